using System.Diagnostics;
using System.Globalization;
using Gateway.Tcmu;
using Microsoft.Extensions.Hosting;

namespace Gateway.Telemetry;

/// <summary>Makes the spans of the commands whose traces are kept, of what they noted, away from the rings' threads.</summary>
internal sealed class CommandSpans(CommandTracing tracing, TimeProvider time) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await foreach (var command in tracing.Ended.ReadAllAsync(stoppingToken)) Write(command);
        }
        catch (OperationCanceledException)
        {
            // Asked to stop.
        }
    }

    internal void Write(EndedCommand command)
    {
        var (now, at) = (TimeProvider.System.GetUtcNow(), time.GetTimestamp());
        var source = CommandTracing.Source;
        Activity.Current = null;
        using var root = command.Root ?? source.StartActivity("scsi command", ActivityKind.Server, default(ActivityContext), startTime: At(command.TakenAt));
        if (root is null) return;
        var kind = Tag.SnakeCase(CommandCounters.KindOf(command.OperationCode));
        root.DisplayName = $"scsi {kind}";
        root.SetStartTime(At(command.TakenAt).UtcDateTime);
        root.SetTag(Tag.Volume, command.Volume);
        root.SetTag(Tag.CommandKind, kind);
        root.SetTag("gateway.scsi.operation_code", command.OperationCode.ToString("X2", CultureInfo.InvariantCulture));
        root.SetTag("gateway.trace.reason", command.Root is null ? "slow" : "sampled");
        if (command.Outcome is { } outcome)
        {
            root.SetTag(Tag.ErrorType, outcome);
            root.SetStatus(ActivityStatusCode.Error, outcome);
        }

        foreach (var mark in command.Marks.OrderBy(m => m.From))
        {
            using var stage = source.StartActivity(NameOf(mark.Stage), ActivityKind.Internal, root.Context, startTime: At(mark.From));
            stage?.SetTag(Tag.Volume, command.Volume);
            stage?.SetEndTime(At(mark.To).UtcDateTime);
        }

        root.SetEndTime(At(command.EndedAt).UtcDateTime);

        DateTimeOffset At(long timestamp) => now - time.GetElapsedTime(timestamp, at);
    }

    private static string NameOf(TraceStage stage) => stage switch
    {
        TraceStage.BackPressure => "journal back-pressure",
        TraceStage.JournalAppend => "journal append",
        TraceStage.FlushWait => "flush wait",
        TraceStage.CacheMiss => "cache miss",
        _ => "cache fetch",
    };
}
