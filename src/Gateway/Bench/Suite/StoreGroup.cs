using Gateway.Backends.Core;
using Gateway.Backends.S3;
using Gateway.Tcmu;
using Gateway.Volumes;

namespace Gateway.Bench.Suite;

/// <summary>An S3 endpoint's bandwidth: how much of what it gives to the leanest client our store reaches, and how much a volume over it.</summary>
internal sealed class StoreGroup : SuiteGroup
{
    private const int ObjectBytes = 8 << 20;
    private const int Concurrency = 8;
    private const int Rounds = 3;
    private const long SizeBytes = 2L << 30;
    private const int Depth = 8;
    private static readonly TimeSpan StoreTime = TimeSpan.FromSeconds(48);
    private static readonly TimeSpan Slice = TimeSpan.FromSeconds(4);

    public override SuiteTarget[] Targets => [SuiteTarget.S3SeqWrite, SuiteTarget.S3SeqRead, SuiteTarget.S3Sdk];

    public override TimeSpan TimeLimit => TimeSpan.FromMinutes(10);

    public override async Task MeasureAsync(SuiteContext context, CancellationToken cancellationToken)
    {
        var options = SuiteContext.S3Options ?? throw new SuiteException($"no S3 endpoint is named in {SuiteContext.EndpointVariable}: 'make bench' starts one");
        await using var ceiling = new S3Ceiling(options, ObjectBytes, Concurrency, context.Time, new Random(Environment.ProcessId));
        var (_, put, get) = await S3BenchCommand.MeasureAsync(ceiling, StoreTime, cancellationToken);
        context.Log($"our store: PUT {put.Ours.MegabytesPerSecond:N0} MB/s of {put.Ceiling.MegabytesPerSecond:N0} ({put.Ratio:0.00}), GET {get.Ours.MegabytesPerSecond:N0} of {get.Ceiling.MegabytesPerSecond:N0} ({get.Ratio:0.00})");
        context.Report(SuiteTarget.S3Sdk, Math.Min(put.Ratio, get.Ratio));

        List<double> writes = [];
        List<double> reads = [];
        for (var round = 0; round < Rounds; round++)
        {
            // Before and after: what else happens on the machine, and the store's own upkeep, change it from one moment to the next.
            var leanPut = await ceiling.PutAsync(Slice, cancellationToken);
            var (write, read, leanRead) = await MeasureVolumeAsync(options, ceiling, round, context, cancellationToken);
            leanPut += await ceiling.PutAsync(Slice, cancellationToken);
            context.Log($"a volume: written with {write / 1e6:N0} MB/s of {leanPut.MegabytesPerSecond:N0}, read with {read / 1e6:N0} of {leanRead / 1e6:N0}");
            writes.Add(write / 1e6 / leanPut.MegabytesPerSecond);
            reads.Add(read / leanRead);
        }

        context.Report(SuiteTarget.S3SeqWrite, Median(writes));
        context.Report(SuiteTarget.S3SeqRead, Median(reads));
    }

    /// <summary>Bytes per second of a volume written from end to end until all of it is in the store, then opened anew and read: one half by the volume,
    /// the other, as whole segments, by the lean client. Neither has been read since it was written, so the store's caches serve both alike.</summary>
    private static async Task<(double Write, double Read, double LeanRead)> MeasureVolumeAsync(
        S3StoreOptions options, S3Ceiling ceiling, int round, SuiteContext context, CancellationToken cancellationToken)
    {
        var folder = Directory.CreateDirectory(Path.Combine(context.Directory, $"s3-{Environment.ProcessId}-{round}")).FullName;
        var journal = new JournalOptions { Directory = folder };
        var inStore = options with { Prefix = $"{options.Prefix}/volume-{round}" };
        var sequential = new Workload { Pattern = AccessPattern.Write, BlockBytes = 1 << 20, Depth = Depth, Ramp = TimeSpan.Zero, Runtime = TimeSpan.FromMinutes(5), NumberMax = SizeBytes >> 20 };
        try
        {
            double write;
            var target = await BenchTarget.InStoreAsync(
                "S3", new S3BlobStore(inStore, context.Time), null, new VolumeSpec(SizeBytes, VolumeSpec.BlockSizeDefaultBytes), new VolumeOptions(), journal, context.Time, context.Logger, cancellationToken);
            await using (target)
            {
                var start = context.Time.GetTimestamp();
                var report = await BenchRun.RunAsync(target, sequential, new RingDeviceOptions(), context.Time, cancellationToken); // Drains, too.
                write = report.Write!.Count * (double)sequential.BlockBytes / context.Time.GetElapsedTime(start).TotalSeconds;
            }

            await using var cold = await BenchTarget.ReopenAsync(
                "S3", new S3BlobStore(inStore, context.Time), null, new VolumeOptions(), journal, context.Time, context.Logger, cancellationToken);
            var half = sequential with { Pattern = AccessPattern.Read, SpanBytes = SizeBytes / 2, NumberMax = (SizeBytes / 2) >> 20 };
            double leanRead = 0;
            if (round % 2 == 1) leanRead = await ReadSecondHalfAsync();
            var read = await BenchRun.RunAsync(cold, half, new RingDeviceOptions(), context.Time, cancellationToken);
            if (round % 2 == 0) leanRead = await ReadSecondHalfAsync();
            return (write, read.Read!.BytesPerSecond, leanRead);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        // Written in order, the second half of the volume is in the second half of its segments.
        async Task<double> ReadSecondHalfAsync()
        {
            var segments = new List<BlobInfo>();
            await using var store = new S3BlobStore(options, context.Time);
            await foreach (var blob in store.ListAsync($"volume-{round}/", null, cancellationToken))
                if (blob.Name.Contains("/log/", StringComparison.Ordinal)) segments.Add(blob);
            var rate = await ceiling.GetEachAsync(segments[(segments.Count / 2)..], cancellationToken);
            return rate.Bytes / rate.Elapsed.TotalSeconds;
        }
    }
}
