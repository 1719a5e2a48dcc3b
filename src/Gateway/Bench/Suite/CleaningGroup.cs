using Gateway.Tcmu;
using Gateway.Volumes;

namespace Gateway.Bench.Suite;

/// <summary>What a full volume costs: uniform random overwrites while cleaning keeps a given share of the bucket's bytes live, after it has settled.</summary>
/// <remarks>
/// Segments are small, so that a volume that is written in a minute has hundreds of them: the amplification of cleaning depends on the share
/// of live data, not on sizes, once there are enough. The load has a rate that cleaning can follow, since a gateway that is behind with its
/// uploads lets more garbage lie, and would look better than it is. It settles while the volume is overwritten
/// <see cref="SettlingTimes"/> times; then all bytes put, moved data and checkpoints included, count against those written.
/// </remarks>
internal sealed class CleaningGroup : SuiteGroup
{
    private const long SizeBytes = 512L << 20;
    private const int SegmentBytes = 1 << 20;
    private const int BlockBytes = 4096;
    private const int SettlingTimes = 3;
    private const int MeasuredTimes = 2;
    private const int WritesPerSecond = 12_000;

    public override SuiteTarget[] Targets => [SuiteTarget.Clean80, SuiteTarget.Clean60];

    public override TimeSpan TimeLimit => TimeSpan.FromMinutes(10);

    public override async Task MeasureAsync(SuiteContext context, CancellationToken cancellationToken)
    {
        foreach (var (target, live) in new[] { (SuiteTarget.Clean80, 0.8), (SuiteTarget.Clean60, 0.6) })
            context.Report(target, await MeasureAsync(live, context, cancellationToken));
    }

    private static async Task<double> MeasureAsync(double live, SuiteContext context, CancellationToken cancellationToken)
    {
        var options = new VolumeOptions { SegmentBytes = SegmentBytes, CleanAbove = 1 - live, CleanBytesPerSecond = long.MaxValue / 4, RemoveAfter = TimeSpan.FromSeconds(1) };
        await using var target = await context.NewVolumeAsync(SizeBytes, options, new JournalOptions().CapacityBytes, cancellationToken);
        await BenchRun.FillAsync(target, SizeBytes, context.Time, cancellationToken);
        var overwrite = new Workload { Pattern = AccessPattern.RandWrite, Depth = 32, Ramp = TimeSpan.Zero, Runtime = TimeSpan.FromMinutes(5), RateMax = WritesPerSecond };
        double written = 0, put = 0;
        for (var times = 1; times <= SettlingTimes + MeasuredTimes; times++)
        {
            var once = overwrite with { NumberMax = SizeBytes / BlockBytes, Seed = (ulong)times };
            var report = await BenchRun.RunAsync(target, once, new RingDeviceOptions(), context.Time, cancellationToken);
            context.Log($"{live:P0} live, overwritten {times} times: {report.Store!.PutBytesPerByteWritten:0.00} bytes put per byte written, {report.Write!.Iops:N0} writes/s, {1 - target.Volume!.GarbageShare:P1} live");
            if (times <= SettlingTimes) continue;
            written += report.Write.Count * (double)BlockBytes;
            put += report.Store.PutBytes;
        }

        return put / written;
    }
}
