using Gateway.Tcmu;
using Gateway.Volumes;

namespace Gateway.Bench.Suite;

/// <summary>Managed bytes that the whole process allocates for each command, once it is warm: over the null device, for reads from memory, for journaled writes.</summary>
/// <remarks>
/// The writes are measured within one segment: sending it is not the command's way, and is spread over thousands of commands. Every block is
/// overwritten several times before, since the journal's map grows with what is written, not with the commands. The least of a few rounds counts:
/// a heartbeat that falls into one is not the commands', and what they allocate is in all.
/// </remarks>
internal sealed class AllocationGroup : SuiteGroup
{
    private const long SizeBytes = 4 << 20;
    private const int Commands = 2_000;
    private const int RampCommands = 8_000;
    private const int Rounds = 3;

    /// <summary>So that what an opening leaves to do in the background does not run into all rounds.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(300);

    private static readonly Workload Counted = new() { Depth = 32, Ramp = TimeSpan.FromMinutes(1), RampNumber = RampCommands, Runtime = TimeSpan.FromMinutes(1), NumberMax = Commands, SpanBytes = SizeBytes };

    public override SuiteTarget[] Targets => [SuiteTarget.RingAlloc];

    public override async Task MeasureAsync(SuiteContext context, CancellationToken cancellationToken)
    {
        var most = 0.0;
        await using (var target = BenchTarget.Null(SizeBytes, 4096)) await MeasureAsync("null", target, AccessPattern.RandRead);

        var options = new VolumeOptions { SegmentBytes = 64 << 20, SealAfter = TimeSpan.FromHours(1), CacheBytes = 256 << 20 };
        await using (var target = await context.NewVolumeAsync(SizeBytes, options, new JournalOptions().CapacityBytes, cancellationToken))
        {
            await BenchRun.FillAsync(target, SizeBytes, context.Time, cancellationToken);
            // Every block once, so that all of them are in memory.
            var warm = Counted with { Pattern = AccessPattern.Read, RampNumber = SizeBytes / 4096, NumberMax = SizeBytes / 4096 };
            await BenchRun.RunAsync(target, warm, new RingDeviceOptions(), context.Time, cancellationToken);
            await MeasureAsync("cached read", target, AccessPattern.RandRead);
            await MeasureAsync("journal write", target, AccessPattern.RandWrite);
        }

        context.Report(SuiteTarget.RingAlloc, most);

        async Task MeasureAsync(string name, BenchTarget target, AccessPattern pattern)
        {
            var least = double.PositiveInfinity;
            for (var round = 0; round < Rounds; round++)
            {
                await Task.Delay(Pause, context.Time, cancellationToken);
                var report = await BenchRun.RunAsync(target, Counted with { Pattern = pattern, RampNumber = round == 0 ? RampCommands : 1 }, new RingDeviceOptions(), context.Time, cancellationToken);
                least = Math.Min(least, report.AllocatedBytesPerCommand);
            }

            context.Log($"{name}: {least:0.###} bytes a command");
            most = Math.Max(most, least);
        }
    }
}
