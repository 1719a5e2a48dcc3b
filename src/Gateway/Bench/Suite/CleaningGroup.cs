using Gateway.Tcmu;
using Gateway.Volumes;

namespace Gateway.Bench.Suite;

/// <summary>What a full volume costs: uniform random overwrites while cleaning keeps a given share of the bucket's bytes live, after it has settled.</summary>
/// <remarks>
/// Segments are small, so that a volume that is written in seconds has hundreds of them: the amplification of cleaning depends on the share of
/// live data, not on sizes, once there are enough. It settles while the volume is overwritten <see cref="SettlingTimes"/> times; then all bytes
/// put, moved data and checkpoints included, count against those written.
/// </remarks>
internal sealed class CleaningGroup : SuiteGroup
{
    private const long SizeBytes = 512L << 20;
    private const int SegmentBytes = 1 << 20;
    private const int BlockBytes = 4096;
    private const int SettlingTimes = 3;
    private const int MeasuredTimes = 2;

    public override SuiteTarget[] Targets => [SuiteTarget.Clean80, SuiteTarget.Clean60];

    public override async Task MeasureAsync(SuiteContext context, CancellationToken cancellationToken)
    {
        foreach (var (target, live) in new[] { (SuiteTarget.Clean80, 0.8), (SuiteTarget.Clean60, 0.6) })
            context.Report(target, await MeasureAsync(live, context, cancellationToken));
    }

    /// <summary>The engine's options that keep a share of the bucket live.</summary>
    private static VolumeOptions CleaningTo(double live) => throw new SuiteException($"this build does not clean, so nothing keeps {live:P0} of a bucket live");

    private static async Task<double> MeasureAsync(double live, SuiteContext context, CancellationToken cancellationToken)
    {
        await using var target = await context.NewVolumeAsync(SizeBytes, CleaningTo(live) with { SegmentBytes = SegmentBytes }, new JournalOptions().CapacityBytes, cancellationToken);
        await BenchRun.FillAsync(target, SizeBytes, context.Time, cancellationToken);
        var overwrite = new Workload { Pattern = AccessPattern.RandWrite, Depth = 32, Ramp = TimeSpan.Zero, Runtime = TimeSpan.FromMinutes(5) };
        await BenchRun.RunAsync(target, overwrite with { NumberMax = SettlingTimes * SizeBytes / BlockBytes }, new RingDeviceOptions(), context.Time, cancellationToken);
        var report = await BenchRun.RunAsync(target, overwrite with { NumberMax = MeasuredTimes * SizeBytes / BlockBytes, Seed = 2 }, new RingDeviceOptions(), context.Time, cancellationToken);
        context.Log($"{live:P0} live: {report.Store!.PutBytesPerByteWritten:0.00} bytes put per byte written, {report.Write!.Iops:N0} writes/s, {report.Store.GetBytes:N0} bytes read back");
        return report.Store.PutBytesPerByteWritten!.Value;
    }
}
