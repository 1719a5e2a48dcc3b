using Gateway.Tcmu;
using Gateway.Volumes;

namespace Gateway.Bench.Suite;

/// <summary>What a full volume costs: uniform random overwrites while cleaning keeps a given share of the bucket's bytes live, after it has settled.</summary>
/// <remarks>
/// Segments are small, so that a volume that is written in seconds has hundreds of them: the amplification of cleaning depends on the share
/// of live data, not on sizes, once there are enough. A gateway whose cleaning is behind lets more garbage lie, and would look better than it
/// is: so the load has a rate, which is lowered until the share of live data holds, and only passes over the volume in which it held count,
/// after <see cref="SettlingPasses"/>. Segments without any live block, which wait for a checkpoint and a grace period, are not in the share.
/// All bytes put count against those written: moved data, headers, checkpoints.
/// </remarks>
internal sealed class CleaningGroup : SuiteGroup
{
    private const long SizeBytes = 256L << 20;
    private const int SegmentBytes = 512 << 10;
    private const int BlockBytes = 4096;
    private const int SettlingPasses = 3;
    private const int MeasuredPasses = 2;
    private const int PassesMax = 16;
    private const int WritesPerSecondMax = 12_000;
    private const double ShareTolerance = 0.01;
    private static readonly TimeSpan SampleInterval = TimeSpan.FromMilliseconds(100);

    public override SuiteTarget[] Targets => [SuiteTarget.Clean80, SuiteTarget.Clean60];

    public override TimeSpan TimeLimit => TimeSpan.FromMinutes(12);

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
        var overwrite = new Workload { Pattern = AccessPattern.RandWrite, Depth = 32, Ramp = TimeSpan.Zero, Runtime = TimeSpan.FromMinutes(5), NumberMax = SizeBytes / BlockBytes, RateMax = WritesPerSecondMax };
        double written = 0, put = 0;
        var measured = 0;
        for (var pass = 1; pass <= PassesMax; pass++)
        {
            var (report, share) = await RunPassAsync(target, overwrite with { Seed = (ulong)pass }, context, cancellationToken);
            var held = share >= live - ShareTolerance;
            context.Log($"{live:P0} live, pass {pass}: {report.Store!.PutBytesPerByteWritten:0.00} bytes put per byte written, at {report.Write!.Iops:N0} writes/s with {share:P1} live");
            if (!held)
            {
                overwrite = overwrite with { RateMax = overwrite.RateMax * 2 / 3 };
                (written, put, measured) = (0, 0, 0);
            }
            else if (pass > SettlingPasses)
            {
                written += report.Write.Count * (double)BlockBytes;
                put += report.Store.PutBytes;
                if (++measured == MeasuredPasses) return put / written;
            }
        }

        throw new SuiteException($"cleaning does not keep {live:P0} of the bucket live, even at {overwrite.RateMax:N0} writes/s");
    }

    /// <summary>Overwrites as much as the volume holds, and watches the share of live data meanwhile; its mean.</summary>
    private static async Task<(BenchReport Report, double Share)> RunPassAsync(BenchTarget target, Workload workload, SuiteContext context, CancellationToken cancellationToken)
    {
        var run = BenchRun.RunAsync(target, workload, new RingDeviceOptions(), context.Time, cancellationToken);
        double sum = 0;
        var samples = 0;
        while (!run.IsCompleted)
        {
            sum += 1 - target.Volume!.GarbageShare;
            samples++;
            await Task.WhenAny(run, Task.Delay(SampleInterval, context.Time, cancellationToken));
        }

        return (await run, sum / samples);
    }
}
