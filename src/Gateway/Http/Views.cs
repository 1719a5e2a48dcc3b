using System.Text.Json;
using Gateway.Control;
using Gateway.Control.V1;
using Gateway.Health;
using Gateway.Serving;
using Gateway.Tcmu;

namespace Gateway.Http;

/// <summary>What the daemon's parts know, as it is served.</summary>
internal static class Views
{
    public static ReadinessView Of(HealthReport report) => new(
        NameOf(report.Status),
        [.. ReasonsOf(report)],
        [.. report.Volumes.Select(v => new VolumeReadinessView(v.Volume, v.Device, NameOf(v.Status), NameOf(v.Condition), v.Reason, v.OldestCommand.TotalSeconds, v.LeaseLeft?.TotalSeconds))],
        [.. report.Stores.Select(s => new StoreReadinessView(s.Store, NameOf(s.Status), NameOf(s.Breaker), s.Reason))]);

    public static StatusView Of(Status status, HealthReport report, SampleHistory history)
    {
        var (volumes, stores) = (report.Volumes.DistinctBy(v => v.Device).ToDictionary(v => v.Device, StringComparer.Ordinal), report.Stores.ToDictionary(s => s.Store, StringComparer.Ordinal));
        var (at, startedAt) = (status.At.ToDateTimeOffset(), status.StartedAt.ToDateTimeOffset());
        return new StatusView(
            at, status.Version, Environment.MachineName, status.ProcessId, startedAt, (at - startedAt).TotalSeconds, status.ResidentBytes, status.Threads, status.ConfigurationFile,
            NameOf(report.Status), [.. ReasonsOf(report)], Of(history.Last(null)),
            [.. status.Devices.Select(d => Of(d, volumes.GetValueOrDefault(d.Name), history))],
            [.. status.Stores.Select(s => Of(s, stores.GetValueOrDefault(s.Name)))]);
    }

    public static HistoryView Of(string? device, IReadOnlyList<Sample> samples) => new(device, SampleHistory.Period.TotalSeconds, SampleHistory.KeptMax, [.. samples.Select(s => Of(s)!)]);

    public static EventsView Of(IReadOnlyList<LoggedEvent> events) => new([.. events.Select(e => new EventView(e.Sequence, e.At, e.LevelName, e.Category, e.Id.Id, e.Id.Name ?? "", e.Message))]);

    private static IEnumerable<string> ReasonsOf(HealthReport report) => report.NotLive is { } dead ? report.Reasons.Prepend(dead) : report.Reasons;

    /// <param name="health">Null for a device that came since the last look.</param>
    private static VolumeView Of(Device device, VolumeHealth? health, SampleHistory history) => new(
        device.Volume, device.Name, device.Volume.Split('/')[0],
        NameOf(health?.Status ?? HealthStatus.Unready), NameOf(health?.Condition ?? VolumeCondition.Opening), health?.Reason, device.InFlight, health?.OldestCommand.TotalSeconds ?? 0,
        Of(device.Reads), Of(device.Writes), Of(device.Flushes), Of(device.Others),
        device.Open is { } o ? new OpenVolumeView(o.Size, o.BlockSize, o.Epoch, o.DirtyBytes, o.JournalBytes, o.BlocksAtOnce, o.BlocksFetched, o.CachedBytes, o.GarbageShare) : null,
        LeaseOf(device, health), health?.LeaseLeft?.TotalSeconds, Of(history.Last(device.Name)));

    private static string? LeaseOf(Device device, VolumeHealth? health) => (health?.Condition, device.Open, health?.LeaseLeft) switch
    {
        (VolumeCondition.Standby, _, _) => "elsewhere",
        (null, _, _) or (_, null, _) => null,
        (_, _, null) => "none",
        (_, _, { Ticks: 0 }) => "runOut",
        _ => "held",
    };

    private static CountsView Of(Counts? counts) => counts is null
        ? new CountsView(0, 0, 0, null, null)
        : new CountsView(counts.Commands, counts.Bytes, counts.Errors, Latency(counts, 0.5), Latency(counts, 0.99));

    private static double? Latency(Counts counts, double share) => LatencyBuckets.Percentile([.. counts.Latencies], share) is > 0 and var nanoseconds ? nanoseconds / 1e9 : null;

    private static StoreView Of(StoreStatus store, ConditionOfStore? condition) => new(
        store.Name, store.Type, store.Description, NameOf(condition?.Status ?? HealthStatus.Ok), condition?.Reason, store.Breaker, store.Since?.ToDateTimeOffset(), store.LastError is { Length: > 0 } error ? error : null,
        store.LastErrorAt?.ToDateTimeOffset(), store.Attempts, store.Retries, store.Rejected, store.Timeouts, store.Hedges, store.AwayS, store.RefusedS);

    private static SampleView? Of(Sample? sample) => sample is not { } s ? null : new(
        s.Sequence, s.At, s.ReadsPerSecond, s.WritesPerSecond, s.ReadBytesPerSecond, s.WrittenBytesPerSecond,
        Known(s.ReadP50), Known(s.ReadP99), Known(s.WriteP50), Known(s.WriteP99), s.ErrorsPerSecond, s.DirtyBytes, s.JournalBytes, Known(s.HitRatio), s.InFlight);

    private static double? Known(double value) => double.IsNaN(value) ? null : value;

    private static string NameOf<T>(T value)
        where T : struct, Enum => JsonNamingPolicy.CamelCase.ConvertName(value.ToString());
}
