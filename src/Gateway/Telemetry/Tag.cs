namespace Gateway.Telemetry;

/// <summary>The attributes of the gateway's metrics and what they may be. Those without a prefix of ours are OpenTelemetry's semantic conventions.</summary>
internal static class Tag
{
    public const string Volume = "gateway.volume";
    public const string Store = "gateway.store";
    public const string CommandKind = "gateway.scsi.command.kind";
    public const string SenseKey = "gateway.scsi.sense.key";
    public const string Asc = "gateway.scsi.sense.asc";
    public const string Ascq = "gateway.scsi.sense.ascq";
    public const string VolumeState = "gateway.volume.state";
    public const string VolumeOperation = "gateway.volume.operation";
    public const string LeaseState = "gateway.lease.state";
    public const string CheckSource = "gateway.check.source";
    public const string CacheResult = "gateway.cache.result";
    public const string CacheSource = "gateway.cache.source";
    public const string SegmentKind = "gateway.segment.kind";
    public const string SpaceKind = "gateway.space.kind";
    public const string StoreOperation = "gateway.store.operation";
    public const string BreakerState = "gateway.breaker.state";
    public const string DiskDirection = "disk.io.direction";
    public const string NetworkDirection = "network.io.direction";
    public const string ErrorType = "error.type";

    /// <summary>Each attribute with its values, for people.</summary>
    public static readonly IReadOnlyList<(string Name, string Values)> All =
    [
        (Volume, "STORE/VOLUME; for requests to a store, the name that the volume was created with"),
        (Store, "name of the store in the configuration"),
        (CommandKind, "read, write, flush, other"),
        (DiskDirection, "read, write"),
        (SenseKey, "no_sense, recovered_error, not_ready, medium_error, hardware_error, illegal_request, unit_attention, data_protect, aborted_command, miscompare"),
        (Asc, "two hexadecimal digits, such as 04"),
        (Ascq, "two hexadecimal digits, such as 14"),
        (VolumeState, "serving, opening, standby, offline"),
        (VolumeOperation, "read, write, flush"),
        (LeaseState, "none, valid, expired, revoked"),
        (CheckSource, "store, cache_file, map"),
        (CacheResult, "hit, miss"),
        (CacheSource, "store, cache_file, journal"),
        (SegmentKind, "log, moved"),
        (SpaceKind, "used, dead, map"),
        (StoreOperation, "get, put, head, list, delete"),
        (NetworkDirection, "transmit, receive"),
        (BreakerState, "closed, open, half_open"),
        (ErrorType, "of a request that failed: not_found, precondition_failed, access_denied, container_missing, throttled, unavailable, corrupt, rejected, cancelled, other"),
    ];

    public static KeyValuePair<string, object?> Of(string name, object? value) => new(name, value);

    /// <summary>PascalCase as attributes have it: not_ready for NotReady.</summary>
    public static string SnakeCase(Enum value) => System.Text.Json.JsonNamingPolicy.SnakeCaseLower.ConvertName(value.ToString());
}
