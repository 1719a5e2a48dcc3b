using Gateway.Tcmu;
using Gateway.Volumes;

namespace Gateway.Bench.Suite;

/// <summary>What small random writes cost in bytes sent to the store: frames' headers, indexes, padding, checkpoints, all that closing sends.</summary>
internal sealed class AmplificationGroup : SuiteGroup
{
    private const long SizeBytes = 4L << 30;
    private const long WrittenBytes = 1L << 30;

    public override SuiteTarget[] Targets => [SuiteTarget.PutAmplification];

    public override async Task MeasureAsync(SuiteContext context, CancellationToken cancellationToken)
    {
        var target = await context.NewVolumeAsync(SizeBytes, new VolumeOptions { CloseTimeout = TimeSpan.FromMinutes(5) }, new JournalOptions().CapacityBytes, cancellationToken);
        long written;
        await using (target)
        {
            var workload = new Workload
            {
                Pattern = AccessPattern.RandWrite,
                Depth = 32,
                Ramp = TimeSpan.Zero,
                Runtime = TimeSpan.FromMinutes(5),
                NumberMax = WrittenBytes / 4096,
            };
            var report = await BenchRun.RunAsync(target, workload, new RingDeviceOptions(), context.Time, cancellationToken);
            written = report.Write!.Count * 4096;
        }

        var traffic = target.Store!.Traffic;
        context.Log($"{traffic.PutBytes:N0} bytes in {traffic.Puts:N0} PUT for {written:N0} bytes written");
        context.Report(SuiteTarget.PutAmplification, (double)traffic.PutBytes / written);
    }
}
