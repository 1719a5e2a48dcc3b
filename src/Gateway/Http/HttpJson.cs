using System.Text.Json.Serialization;

namespace Gateway.Http;

/// <summary>/readyz.</summary>
internal sealed record ReadinessView(string Status, IReadOnlyList<string> Reasons, IReadOnlyList<VolumeReadinessView> Volumes, IReadOnlyList<StoreReadinessView> Stores);

internal sealed record VolumeReadinessView(string Volume, string Device, string Status, string Condition, string? Reason, double OldestCommandSeconds, double? LeaseSecondsLeft);

internal sealed record StoreReadinessView(string Store, string Status, string Breaker, string? Reason);

/// <summary>/api/status. Times are UTC, sizes bytes; what is not known is null.</summary>
internal sealed record StatusView(
    DateTimeOffset At, string Version, string Host, int ProcessId, DateTimeOffset StartedAt, double UptimeSeconds, long ResidentBytes, int Threads, string ConfigurationFile,
    string Status, IReadOnlyList<string> Reasons, SampleView? Now, IReadOnlyList<VolumeView> Volumes, IReadOnlyList<StoreView> Stores);

/// <param name="Condition">One of <see cref="Serving.VolumeCondition"/>.</param>
/// <param name="Lease">"held", "runOut", "none" (none is needed) or "elsewhere"; null while it is not open.</param>
/// <param name="Now">What it does now.</param>
internal sealed record VolumeView(
    string Volume, string Device, string Store, string Status, string Condition, string? Reason, int InFlight, double OldestCommandSeconds,
    CountsView Reads, CountsView Writes, CountsView Flushes, CountsView Others, OpenVolumeView? Open, string? Lease, double? LeaseSecondsLeft, SampleView? Now);

internal sealed record CountsView(long Commands, long Bytes, long Errors, double? P50Seconds, double? P99Seconds);

internal sealed record OpenVolumeView(long SizeBytes, int BlockSizeBytes, long Epoch, long DirtyBytes, long JournalBytes, long BlocksAtOnce, long BlocksFetched, long CachedBytes, double GarbageShare);

/// <param name="Breaker">"closed", "open", "half-open" or "unused".</param>
internal sealed record StoreView(
    string Name, string Type, string Description, string Status, string? Reason, string Breaker, DateTimeOffset? Since, string? LastError, DateTimeOffset? LastErrorAt,
    long Attempts, long Retries, long Rejected, long Timeouts, long Hedges, double AwaySeconds, double RefusedSeconds);

/// <summary>As <see cref="Sample"/>, with null for what there was none of.</summary>
internal sealed record SampleView(
    long Sequence, DateTimeOffset At, double ReadsPerSecond, double WritesPerSecond, double ReadBytesPerSecond, double WrittenBytesPerSecond,
    double? ReadP50, double? ReadP99, double? WriteP50, double? WriteP99, double ErrorsPerSecond, double DirtyBytes, double JournalBytes, double? HitRatio, double InFlight);

/// <summary>/api/history.</summary>
/// <param name="Device">Null: all together.</param>
/// <param name="PeriodSeconds">Between two samples.</param>
/// <param name="KeptMax">Samples that are kept.</param>
internal sealed record HistoryView(string? Device, double PeriodSeconds, int KeptMax, IReadOnlyList<SampleView> Samples);

/// <summary>/api/events.</summary>
internal sealed record EventsView(IReadOnlyList<EventView> Events);

internal sealed record EventView(long Sequence, DateTimeOffset At, string Level, string Category, int Id, string Name, string Message);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(ReadinessView))]
[JsonSerializable(typeof(StatusView))]
[JsonSerializable(typeof(HistoryView))]
[JsonSerializable(typeof(EventsView))]
internal sealed partial class HttpJson : JsonSerializerContext;
