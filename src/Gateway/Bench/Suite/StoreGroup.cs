using Gateway.Backends.S3;
using Gateway.Tcmu;
using Gateway.Volumes;

namespace Gateway.Bench.Suite;

/// <summary>An S3 endpoint's bandwidth: how much of what it can give our store reaches, and how much a volume over it.</summary>
internal sealed class StoreGroup : SuiteGroup
{
    private const int ObjectBytes = 8 << 20;
    private const int Concurrency = 8;
    private const int Rounds = 3;
    private const long SizeBytes = 1L << 30;
    private const int Depth = 8;

    /// <summary>Length of one measurement of the store itself.</summary>
    private static readonly TimeSpan Slice = TimeSpan.FromSeconds(5);

    public override SuiteTarget[] Targets => [SuiteTarget.S3SeqWrite, SuiteTarget.S3SeqRead, SuiteTarget.S3Sdk];

    public override async Task MeasureAsync(SuiteContext context, CancellationToken cancellationToken)
    {
        var options = SuiteContext.S3Options ?? throw new SuiteException($"no S3 endpoint is named in {SuiteContext.EndpointVariable}: 'make bench' starts one if Ceph's RGW is installed (make packages-ceph)");
        await using var ceiling = new S3Ceiling(options, ObjectBytes, Concurrency, context.Time, new Random(1));
        await ceiling.PrepareAsync(cancellationToken);
        List<double> sdk = [];
        List<double> writes = [];
        List<double> reads = [];
        for (var round = 0; round < Rounds; round++)
        {
            // In turns, each round in the other order: what else the machine does meets all alike.
            var lean = round % 2 == 0 ? await LeanAsync() : default;
            var (ownPut, ownGet) = (Rate(await ceiling.PutByStoreAsync(Slice, cancellationToken)), Rate(await ceiling.GetByStoreAsync(Slice, cancellationToken)));
            var (write, read) = await MeasureVolumeAsync(options, round, context, cancellationToken);
            if (round % 2 != 0) lean = await LeanAsync();
            context.Log($"MB/s of ceiling, our store, a volume: write {lean.Put / 1e6:N0} {ownPut / 1e6:N0} {write / 1e6:N0}, read {lean.Get / 1e6:N0} {ownGet / 1e6:N0} {read / 1e6:N0}");
            sdk.Add(Math.Min(ownPut / lean.Put, ownGet / lean.Get));
            writes.Add(write / lean.Put);
            reads.Add(read / lean.Get);
        }

        context.Report(SuiteTarget.S3SeqWrite, Median(writes));
        context.Report(SuiteTarget.S3SeqRead, Median(reads));
        context.Report(SuiteTarget.S3Sdk, Median(sdk));

        async Task<(double Put, double Get)> LeanAsync() => (Rate(await ceiling.PutAsync(Slice, cancellationToken)), Rate(await ceiling.GetAsync(Slice, cancellationToken)));

        static double Rate(TransferRate rate) => rate.Bytes / rate.Elapsed.TotalSeconds;
    }

    /// <summary>Bytes per second of a volume written from end to end until all of it is in the store, then opened anew and read.</summary>
    private static async Task<(double Write, double Read)> MeasureVolumeAsync(S3StoreOptions options, int round, SuiteContext context, CancellationToken cancellationToken)
    {
        var folder = Directory.CreateDirectory(Path.Combine(context.Directory, $"s3-{Environment.ProcessId}-{round}")).FullName;
        var journal = new JournalOptions { Directory = folder };
        var inStore = options with { Prefix = $"{options.Prefix}/volume-{round}" };
        var sequential = new Workload { Pattern = AccessPattern.Write, BlockBytes = 1 << 20, Depth = Depth, Ramp = TimeSpan.Zero, Runtime = TimeSpan.FromMinutes(5), NumberMax = SizeBytes >> 20 };
        try
        {
            var start = context.Time.GetTimestamp();
            var target = await BenchTarget.InStoreAsync(
                "S3", new S3BlobStore(inStore, context.Time), null, new VolumeSpec(SizeBytes, VolumeSpec.BlockSizeDefaultBytes), new VolumeOptions(), journal, context.Time, context.Logger, cancellationToken);
            await using (target)
            {
                start = context.Time.GetTimestamp();
                await BenchRun.RunAsync(target, sequential, new RingDeviceOptions(), context.Time, cancellationToken); // Drains, too.
            }

            var write = SizeBytes / context.Time.GetElapsedTime(start).TotalSeconds;
            await using var cold = await BenchTarget.ReopenAsync(
                "S3", new S3BlobStore(inStore, context.Time), null, new VolumeOptions(), journal, context.Time, context.Logger, cancellationToken);
            var report = await BenchRun.RunAsync(cold, sequential with { Pattern = AccessPattern.Read }, new RingDeviceOptions(), context.Time, cancellationToken);
            return (write, report.Read!.BytesPerSecond);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
