using Gateway.Tcmu;

namespace Gateway.Bench.Suite;

/// <summary>What the ring and the SCSI layer can do by themselves: the strict reading, with initiator, simulated kernel and gateway on one core.</summary>
internal sealed class RingGroup : SuiteGroup
{
    private const int Rounds = 5;

    public override SuiteTarget[] Targets => [SuiteTarget.RingNull];

    public override bool OneCore => true;

    public override async Task MeasureAsync(SuiteContext context, CancellationToken cancellationToken)
    {
        await using var target = BenchTarget.Null(1L << 30, 4096);
        var workload = new Workload { Pattern = AccessPattern.RandRead, Depth = 128, Ramp = TimeSpan.FromSeconds(0.5), Runtime = TimeSpan.FromSeconds(2) };
        List<double> rates = [];
        for (var round = 0; round < Rounds; round++)
        {
            var report = await BenchRun.RunAsync(target, workload, new RingDeviceOptions(), context.Time, cancellationToken);
            rates.Add(report.Read!.Iops);
            context.Log($"{report.Read.Iops:N0} commands/s with {report.CpusBusy:0.00} of the core; the ring's thread used {report.RingCpuMicrosecondsPerCommand:0.000} us a command");
        }

        context.Report(SuiteTarget.RingNull, Median(rates));
    }
}
