using Gateway.Tcmu;
using Gateway.Volumes;

namespace Gateway.Bench.Suite;

/// <summary>How long a volume of ten million extents takes to open, and the most that was resident by then: in a process that has done nothing else.</summary>
internal sealed class OpenGroup : SuiteGroup
{
    private const int Rounds = 5;
    private const int FirstReads = 500;
    private const string PrepareStep = "prepare";
    private const string OpenStep = "open";
    private const string Seconds = "seconds";
    private const string Resident = "resident";

    public override SuiteTarget[] Targets => [SuiteTarget.Open, SuiteTarget.OpenMemory];

    public override TimeSpan TimeLimit => TimeSpan.FromMinutes(10);

    public override async Task MeasureAsync(SuiteContext context, CancellationToken cancellationToken)
    {
        var folder = Directory.CreateDirectory(Path.Combine(context.Directory, $"open-{Environment.ProcessId}")).FullName;
        try
        {
            await SuiteContext.RunStepAsync(this, PrepareStep, folder, cancellationToken);
            List<double> seconds = [];
            List<double> resident = [];
            for (var round = 0; round < Rounds; round++)
            {
                var values = await SuiteContext.RunStepAsync(this, OpenStep, folder, cancellationToken);
                seconds.Add(values[Seconds]);
                resident.Add(values[Resident]);
            }

            context.Report(SuiteTarget.Open, Median(seconds));
            context.Report(SuiteTarget.OpenMemory, Math.Round(resident.Max(), 1));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    public override async Task RunStepAsync(string step, SuiteContext context, CancellationToken cancellationToken)
    {
        var volume = new ScatteredVolume(context.Directory, context);
        if (step == PrepareStep)
        {
            await volume.MakeAsync(cancellationToken);
            return;
        }

        var start = context.Time.GetTimestamp();
        await using var target = await BenchTarget.ReopenAsync("scattered", volume.NewStore(), null, new VolumeOptions(), volume.Journal, context.Time, context.Logger, cancellationToken);
        var seconds = context.Time.GetElapsedTime(start).TotalSeconds;
        context.Report(Seconds, seconds);
        context.Report(Resident, ProcessMemory.PeakMiB());
        var traffic = target.Store!.Traffic;
        context.Log($"open in {seconds:0.000} s, {ProcessMemory.PeakMiB():0} MiB resident; {traffic.Gets} GET ({traffic.GetBytes:N0} bytes), {traffic.Others} other requests");

        // What opening left for later: the leaves of the map come with the first read of their span.
        var reads = new Workload { Pattern = AccessPattern.RandRead, Depth = 1, Ramp = TimeSpan.Zero, NumberMax = FirstReads };
        var report = await BenchRun.RunAsync(target, reads, new RingDeviceOptions(), context.Time, cancellationToken);
        context.Log($"then {report.Read!.Count} random reads: median {report.Read.P50Microseconds:N0} us, the slowest {report.Read.MaxMicroseconds:N0} us, {ProcessMemory.PeakMiB():0} MiB resident");
    }
}
