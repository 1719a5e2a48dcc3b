using Gateway.Tcmu;
using Gateway.Volumes;

namespace Gateway.Bench.Suite;

/// <summary>Random reads of a volume that is in the memory cache altogether, with initiator, simulated kernel and gateway on one core.</summary>
internal sealed class ReadGroup : SuiteGroup
{
    private const long SizeBytes = 128 << 20;
    private const int Rounds = 5;

    public override SuiteTarget[] Targets => [SuiteTarget.ReadWarm];

    public override bool OneCore => true;

    public override async Task MeasureAsync(SuiteContext context, CancellationToken cancellationToken)
    {
        var options = new VolumeOptions { CacheBytes = SizeBytes * 2 };
        await using var target = await context.NewVolumeAsync(SizeBytes, options, new JournalOptions().CapacityBytes, cancellationToken);
        await BenchRun.FillAsync(target, SizeBytes, context.Time, cancellationToken);
        var workload = new Workload { Pattern = AccessPattern.RandRead, Depth = 128, Ramp = TimeSpan.FromSeconds(0.5), Runtime = TimeSpan.FromSeconds(2) };
        // Every block twice: caches that resist scans keep what came again.
        var warm = workload with { Pattern = AccessPattern.Read, Ramp = TimeSpan.Zero, Runtime = TimeSpan.FromMinutes(1), NumberMax = 2 * SizeBytes / 4096 };
        await BenchRun.RunAsync(target, warm, new RingDeviceOptions(), context.Time, cancellationToken);
        List<double> rates = [];
        for (var round = 0; round < Rounds; round++)
        {
            var report = await BenchRun.RunAsync(target, workload, new RingDeviceOptions(), context.Time, cancellationToken);
            rates.Add(report.Read!.Iops);
            context.Log($"{report.Read.Iops:N0} IOPS with {report.CpusBusy:0.00} of the core, {report.CpuMicrosecondsPerCommand:0.000} us a command, {report.Store!.Gets} GET, {report.AllocatedBytesPerCommand:0.##} bytes allocated a command");
        }

        context.Report(SuiteTarget.ReadWarm, Median(rates));
    }
}
