using Gateway.Backends.Core;
using Gateway.Tcmu;
using Gateway.Volumes;

namespace Gateway.Bench.Suite;

/// <summary>
/// What a store that fails does to those whom it does not concern: the 99th percentile of reads from memory, beside writes and reads that miss, all on one ring, with
/// faults and without in turns. The store stands behind what stands before every configured store.
/// </summary>
/// <remarks>Each round is without, with, without: how far the two without faults are apart is the noise.</remarks>
internal sealed class FlakyGroup : SuiteGroup
{
    private const long HotBytes = 16 << 20;
    private const long SizeBytes = 1L << 30;
    private const int Rounds = 7;
    private const string Faults = "unavailable=0.15,reset=0.15,slow=0.05:10s";

    private static readonly Workload Load = new()
    {
        Pattern = AccessPattern.RandRead,
        SpanBytes = HotBytes,
        Depth = 1024, // Those that wait for slow requests must not be all.
        RateMax = 2000,
        Beside = new LoadBeside(Writes: 0.4, FarReads: 0.01),
        Ramp = TimeSpan.FromSeconds(2),
        Runtime = TimeSpan.FromSeconds(5),
    };

    public override SuiteTarget[] Targets => [SuiteTarget.FlakyReads];

    public override TimeSpan TimeLimit => TimeSpan.FromMinutes(10);

    public override async Task MeasureAsync(SuiteContext context, CancellationToken cancellationToken)
    {
        var options = new VolumeOptions { CacheBytes = 4 * HotBytes };
        await using var target = await BenchTarget.TemporaryWithFaultsAsync(
            context.Directory, new VolumeSpec(SizeBytes, VolumeSpec.BlockSizeDefaultBytes), options, new JournalOptions().CapacityBytes, 1, context.Time, context.Logger, cancellationToken);
        await BenchRun.FillAsync(target, SizeBytes, context.Time, cancellationToken);
        // Every block twice: caches that resist scans keep what came again.
        var warm = new Workload { Pattern = AccessPattern.Read, Depth = 32, SpanBytes = HotBytes, Ramp = TimeSpan.Zero, Runtime = TimeSpan.FromMinutes(1), NumberMax = 2 * HotBytes / 4096 };
        await BenchRun.RunAsync(target, warm, new RingDeviceOptions(), context.Time, cancellationToken);

        List<double> ratios = [];
        var loads = 0UL;
        for (var round = -1; round < Rounds; round++) // The first warms up.
        {
            var before = await MeasureAsync(context, target, ++loads, FaultPlan.None, cancellationToken);
            var during = await MeasureAsync(context, target, ++loads, FaultPlan.Parse(Faults), cancellationToken);
            var after = await MeasureAsync(context, target, ++loads, FaultPlan.None, cancellationToken);
            var (p99, without, with) = (during.Reads.Percentile(0.99) / 1e3, before.Reads.Percentile(0.99) / 1e3, after.Reads.Percentile(0.99) / 1e3);
            context.Log($"p99 of {during.Reads.Count:N0} reads from memory: {without:N0} us before, {p99:N0} us with faults, {with:N0} us after; of reads that miss: {before.FarReads.Percentile(0.99) / 1e6:N1} ms, {during.FarReads.Percentile(0.99) / 1e6:N0} ms with faults ({during.FarReads.Count})");
            if (round >= 0) ratios.Add(p99 / ((without + with) / 2));
        }

        context.Report(SuiteTarget.FlakyReads, Median(ratios));
    }

    /// <param name="seed">Of each its own: reads of the same addresses as before would miss no more.</param>
    private static async Task<LoadResult> MeasureAsync(SuiteContext context, BenchTarget target, ulong seed, FaultPlan plan, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        target.BeginFaults(plan);
        using var load = new RingLoad(Load with { Seed = seed }, target.Device.Geometry.BlockLengthBytes, target.SizeBytes, context.Time);
        var result = await load.RunAsync(target.Unit, new RingDeviceOptions(), cancellationToken);
        target.BeginFaults(FaultPlan.None);
        return result;
    }
}
