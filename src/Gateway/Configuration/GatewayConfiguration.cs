using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using System.Text.Json.Serialization;
using Gateway.Backends.File;
using Gateway.Backends.Resilience;
using Gateway.Backends.S3;
using Gateway.Serving;
using Gateway.Volumes;

namespace Gateway.Configuration;

/// <summary>The configuration file: JSON, comments and trailing commas allowed, unknown settings refused.</summary>
internal sealed record GatewayConfiguration
{
    public const string DefaultPath = "/etc/tcmu-gateway/gateway.json";

    /// <summary>The stores by name: what stands between 'gateway/' and the volume in a device's configuration string.</summary>
    public Dictionary<string, StoreSection> Stores { get; set; } = [];

    public JournalOptions Journal { get; set; } = new();

    public VolumesSection Volumes { get; set; } = new();

    /// <summary>Reads and checks a file.</summary>
    /// <exception cref="ConfigurationException">It is missing or wrong; the message lists every fault.</exception>
    public static GatewayConfiguration Load(string path)
    {
        GatewayConfiguration? configuration;
        try
        {
            using var file = File.OpenRead(path);
            configuration = JsonSerializer.Deserialize(file, ConfigurationJson.Default.GatewayConfiguration);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new ConfigurationException($"There is no configuration file '{path}'. Write one (see 'First volume by hand' in the README), or name another with --config.");
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException($"Configuration file '{path}' cannot be read: {e.Message}");
        }

        var faults = configuration is null ? ["it is empty"] : configuration.Faults().ToArray();
        if (faults.Length > 0) throw new ConfigurationException($"Configuration file '{path}' is not valid:\n{string.Join('\n', faults.Select(f => "  - " + f))}");
        return configuration!;
    }

    /// <summary>The volume engine's options for one volume, or for any that has none of its own.</summary>
    public VolumeOptions ToVolumeOptions(VolumePath? volume = null) => new()
    {
        LeaseLength = TimeSpan.FromSeconds((volume is { } l ? Volumes.Each.GetValueOrDefault(l.ToString())?.LeaseSeconds : null) ?? Volumes.LeaseSeconds),
        Takeover = (volume is { } t ? Volumes.Each.GetValueOrDefault(t.ToString())?.Takeover : null) ?? Volumes.Takeover,
        Durability = (volume is { } v ? Volumes.Each.GetValueOrDefault(v.ToString())?.Durability : null) ?? Volumes.Durability,
        HighWaterPercent = Volumes.HighWaterPercent,
        SegmentBytes = Volumes.SegmentBytes,
        SealAfter = TimeSpan.FromSeconds(Volumes.SealAfterSeconds),
        UploadWindow = Volumes.UploadWindow,
        CacheBytes = Volumes.CacheBytes,
        ReadAheadBytes = Volumes.ReadAheadBytes,
        ReadWindow = Volumes.ReadWindow,
        CacheFileBytes = Volumes.CacheFileBytes,
        CacheDirectory = Volumes.CacheDirectory,
        CommandTimeout = TimeSpan.FromSeconds(Volumes.CommandTimeoutSeconds),
        CloseTimeout = TimeSpan.FromSeconds(Volumes.CloseTimeoutSeconds),
    };

    /// <summary>What initiators of a volume are told when its store has been away for long.</summary>
    public OutageOptions ToOutageOptions(VolumePath volume)
    {
        var own = Volumes.Each.GetValueOrDefault(volume.ToString());
        return new OutageOptions(own?.OnLongOutage ?? Volumes.OnLongOutage, TimeSpan.FromSeconds(own?.LongOutageSeconds ?? Volumes.LongOutageSeconds));
    }

    /// <summary>This configuration with what of another can be had without a restart: the stores' resilience, and what is done about long outages.</summary>
    /// <param name="next">A valid configuration.</param>
    /// <param name="needsRestart">The settings of <paramref name="next"/> that differ and are left out.</param>
    public GatewayConfiguration With(GatewayConfiguration next, out IReadOnlyList<string> needsRestart)
    {
        var left = new List<string>();
        var stores = new Dictionary<string, StoreSection>(Stores);
        foreach (var (name, store) in Stores)
        {
            if (!next.Stores.TryGetValue(name, out var other)) continue;
            stores[name] = store with { Resilience = other.Resilience };
            if (stores[name] == other && store.Type == "s3" && store.ToS3Options().MaxConnections != other.ToS3Options().MaxConnections) left.Add($"stores.{name}.resilience (foregroundRequests and backgroundRequests hold, but the connections for them do not)");
        }

        left.AddRange(stores.Keys.Union(next.Stores.Keys).Where(name => stores.GetValueOrDefault(name) != next.Stores.GetValueOrDefault(name)).Select(name => $"stores.{name}"));
        if (Journal != next.Journal) left.Add("journal");
        var none = new VolumeSection();
        var each = Volumes.Each.Keys.Union(next.Volumes.Each.Keys).ToDictionary(name => name, name => (Volumes.Each.GetValueOrDefault(name) ?? none) with
        {
            OnLongOutage = next.Volumes.Each.GetValueOrDefault(name)?.OnLongOutage,
            LongOutageSeconds = next.Volumes.Each.GetValueOrDefault(name)?.LongOutageSeconds,
        });
        var volumes = Volumes with { OnLongOutage = next.Volumes.OnLongOutage, LongOutageSeconds = next.Volumes.LongOutageSeconds, Each = each };
        if (volumes != next.Volumes with { Each = each }) left.Add("volumes");
        left.AddRange(each.Where(v => v.Value != (next.Volumes.Each.GetValueOrDefault(v.Key) ?? none)).Select(v => $"volumes.each.{v.Key}"));
        needsRestart = left;
        return this with { Stores = stores, Volumes = volumes };
    }

    private IEnumerable<string> Faults()
    {
        if (Stores.Count == 0) yield return "stores: at least one store is needed, for example \"stores\": { \"local\": { \"type\": \"file\", \"path\": \"/srv/volumes\" } }";
        foreach (var (name, store) in Stores)
        {
            if (!VolumeCatalog.IsValidName(name)) yield return $"stores.{name}: a store's name has lower-case letters, digits, '.', '_' and '-' only";
            foreach (var fault in store.Faults()) yield return $"stores.{name}.{fault}";
        }

        if (Journal.Directory is { } directory && !Path.IsPathRooted(directory)) yield return "journal.directory: must be an absolute path, or null for none";
        if (Journal.CapacityBytes is < JournalOptions.CapacityMinBytes or > JournalOptions.CapacityMaxBytes)
            yield return $"journal.capacityBytes: {Journal.CapacityBytes} is not between {JournalOptions.CapacityMinBytes} (64 MiB) and {JournalOptions.CapacityMaxBytes} (1 TiB)";
        foreach (var fault in Volumes.Faults()) yield return $"volumes.{fault}";
        foreach (var (name, volume) in Volumes.Each)
        {
            if (name.Split('/') is not [var store, var path] || !Stores.ContainsKey(store) || !VolumeCatalog.IsValidName(path))
                yield return $"volumes.each.{name}: must be STORE/VOLUME, with a store from above";
            if (volume.LeaseSeconds is { } seconds && !VolumesSection.IsLease(seconds)) yield return $"volumes.each.{name}.{VolumesSection.LeaseFault}";
            if (volume.LongOutageSeconds is { } outage && !VolumesSection.IsLongOutage(outage)) yield return $"volumes.each.{name}.{VolumesSection.LongOutageFault}";
        }

        if (Journal.Directory is null)
        {
            foreach (var name in Volumes.Each.Where(v => v.Value.Durability == Durability.Journal).Select(v => v.Key))
                yield return $"volumes.each.{name}.durability: without a journal.directory only the bucket can make a flush durable";
        }
    }
}

/// <summary>One store. The settings are those of its type; the others stay away.</summary>
internal sealed record StoreSection
{
    /// <summary>"file" or "s3".</summary>
    public string Type { get; set; } = "";

    /// <summary>file: the directory, absolute; it must exist.</summary>
    public string? Path { get; set; }

    /// <summary>s3: http(s)://host[:port]; none for Amazon S3.</summary>
    public Uri? Endpoint { get; set; }

    /// <summary>s3: default us-east-1.</summary>
    public string? Region { get; set; }

    /// <summary>s3: the bucket; it must exist.</summary>
    public string? Bucket { get; set; }

    /// <summary>s3: put before every key. Default none.</summary>
    public string? Prefix { get; set; }

    /// <summary>s3: bucket in the path instead of in the host name. Default: yes with an endpoint.</summary>
    public bool? ForcePathStyle { get; set; }

    /// <summary>s3: a profile of the credentials file.</summary>
    public string? Profile { get; set; }

    /// <summary>s3: a file in the format of ~/.aws/credentials.</summary>
    public string? CredentialsFile { get; set; }

    /// <summary>s3: access key id; with secretAccessKeyFile.</summary>
    public string? AccessKeyId { get; set; }

    /// <summary>s3: a file that holds the secret access key and nothing else.</summary>
    public string? SecretAccessKeyFile { get; set; }

    /// <summary>s3: sign the hash of every body, for http over a network that is not trusted. Default false.</summary>
    public bool? SignPayload { get; set; }

    /// <summary>s3: seconds for one request. Default 20.</summary>
    public double? RequestTimeoutSeconds { get; set; }

    /// <summary>How requests are limited, repeated, and stopped while the store is away. Any type of store.</summary>
    public ResilienceSection Resilience { get; set; } = new();

    public FileStoreOptions ToFileOptions() => new() { Path = Path ?? "" };

    public S3StoreOptions ToS3Options()
    {
        var options = new S3StoreOptions
        {
            Endpoint = Endpoint,
            Bucket = Bucket ?? "",
            Prefix = Prefix ?? "",
            ForcePathStyle = ForcePathStyle,
            Profile = Profile,
            CredentialsFile = CredentialsFile,
            AccessKeyId = AccessKeyId,
            SecretAccessKeyFile = SecretAccessKeyFile,
        };
        // Requests that have their turn must not wait for a connection: their time runs.
        options.MaxConnections = Math.Clamp(Resilience.ForegroundRequests + Resilience.BackgroundRequests, options.MaxConnections, 10_000);
        if (Region is not null) options.Region = Region;
        if (SignPayload is { } sign) options.SignPayload = sign;
        if (RequestTimeoutSeconds is { } seconds) options.RequestTimeout = TimeSpan.FromSeconds(seconds);
        return options;
    }

    public IEnumerable<string> Faults()
    {
        switch (Type)
        {
            case "file":
                if (Path is null || !System.IO.Path.IsPathRooted(Path)) yield return "path: a file store needs an absolute path";
                if (Bucket is not null || Endpoint is not null) yield return "bucket, endpoint: these belong to a store of type \"s3\"";
                break;
            case "s3":
                if (string.IsNullOrEmpty(Bucket)) yield return "bucket: an s3 store needs a bucket";
                if (Path is not null) yield return "path: this belongs to a store of type \"file\"";
                foreach (var fault in ToS3Options().Validate(new ValidationContext(this, "store", null, null))) yield return $"{string.Join(", ", fault.MemberNames.Select(JsonNamingPolicy.CamelCase.ConvertName))}: {fault.ErrorMessage}";
                break;
            default:
                yield return $"type: '{Type}' is no type of store; use \"file\" or \"s3\"";
                break;
        }

        foreach (var fault in Resilience.Faults()) yield return $"resilience.{fault}";
    }
}

/// <summary>How requests to one store are limited, repeated and stopped; see <see cref="ResilienceOptions"/>.</summary>
internal sealed record ResilienceSection
{
    private static readonly ResilienceOptions Default = new();

    /// <summary>Seconds for one attempt of a read of up to 1 MiB, a look or the first page of a listing. Default 8.</summary>
    public double AttemptTimeoutSeconds { get; set; } = Default.AttemptTimeout.TotalSeconds;

    /// <summary>Repetitions of a request that a command waits for. Default 4.</summary>
    public int Retries { get; set; } = Default.Retries;

    /// <summary>Seconds before the first repetition. Default 0.1.</summary>
    public double RetryDelayMinSeconds { get; set; } = Default.RetryDelayMin.TotalSeconds;

    /// <summary>Seconds that the doubling of the delay ends at. Default 3.</summary>
    public double RetryDelayMaxSeconds { get; set; } = Default.RetryDelayMax.TotalSeconds;

    /// <summary>Seconds that are waited at most because the store says so. Default 30.</summary>
    public double RetryAfterMaxSeconds { get; set; } = Default.RetryAfterMax.TotalSeconds;

    /// <summary>Share of failed attempts that opens the circuit. Default 0.8.</summary>
    public double FailureRatio { get; set; } = Default.FailureRatio;

    /// <summary>Seconds that are looked back on. Default 5.</summary>
    public double SamplingWindowSeconds { get; set; } = Default.SamplingWindow.TotalSeconds;

    /// <summary>Attempts within that time below which the circuit stays closed. Default 20.</summary>
    public int MinimumThroughput { get; set; } = Default.MinimumThroughput;

    /// <summary>Seconds from one probe of a store that is away to the next. Default 1.</summary>
    public double BreakDurationSeconds { get; set; } = Default.BreakDuration.TotalSeconds;

    /// <summary>Requests at a time that commands wait for. Default 40.</summary>
    public int ForegroundRequests { get; set; } = Default.ForegroundRequests;

    /// <summary>Requests at a time of uploads, checkpoints and cleaning. Default 24.</summary>
    public int BackgroundRequests { get; set; } = Default.BackgroundRequests;

    /// <summary>Requests of either kind that wait for their turn. Default 1024.</summary>
    public int QueueMax { get; set; } = Default.QueueMax;

    /// <summary>Seconds after which a read is sent a second time. Default null: never.</summary>
    public double? HedgeDelaySeconds { get; set; }

    /// <summary>Percent of the reads that are answered before one is sent a second time. Default null: never.</summary>
    public double? HedgePercentile { get; set; }

    /// <summary>Seconds that the store may refuse credentials before reads say that a person must help. Default 60.</summary>
    public double RefusedGraceSeconds { get; set; } = Default.RefusedGrace.TotalSeconds;

    public ResilienceOptions ToOptions() => new()
    {
        AttemptTimeout = Seconds(AttemptTimeoutSeconds),
        Retries = Retries,
        RetryDelayMin = Seconds(RetryDelayMinSeconds),
        RetryDelayMax = Seconds(RetryDelayMaxSeconds),
        RetryAfterMax = Seconds(RetryAfterMaxSeconds),
        FailureRatio = FailureRatio,
        SamplingWindow = Seconds(SamplingWindowSeconds),
        MinimumThroughput = MinimumThroughput,
        BreakDuration = Seconds(BreakDurationSeconds),
        ForegroundRequests = ForegroundRequests,
        BackgroundRequests = BackgroundRequests,
        QueueMax = QueueMax,
        RefusedGrace = Seconds(RefusedGraceSeconds),
        HedgeDelay = HedgeDelaySeconds is { } seconds ? Seconds(seconds) : null,
        HedgePercentile = HedgePercentile,
    };

    public IEnumerable<string> Faults() => ToOptions().Validate(new ValidationContext(this, "resilience", null, null)).Select(f => $"{NameOf(f.MemberNames.First())}: {f.ErrorMessage}");

    /// <summary>Kept within what a duration can hold; all of that is far out of every range.</summary>
    private static TimeSpan Seconds(double seconds) => TimeSpan.FromSeconds(Math.Clamp(seconds, -1, 1e6));

    /// <summary>The setting behind an option: durations are in seconds, and say so.</summary>
    private static string NameOf(string option) => JsonNamingPolicy.CamelCase.ConvertName(option) + option switch
    {
        nameof(ResilienceOptions.AttemptTimeout) or nameof(ResilienceOptions.RetryDelayMin) or nameof(ResilienceOptions.RetryDelayMax) or nameof(ResilienceOptions.RetryAfterMax)
            or nameof(ResilienceOptions.SamplingWindow) or nameof(ResilienceOptions.BreakDuration) or nameof(ResilienceOptions.HedgeDelay) or nameof(ResilienceOptions.RefusedGrace) => "Seconds",
        _ => "",
    };
}

/// <summary>What one volume has of its own.</summary>
internal sealed record VolumeSection
{
    /// <summary>Default: that of all volumes.</summary>
    public double? LeaseSeconds { get; set; }

    /// <summary>Default: that of all volumes.</summary>
    public TakeoverPolicy? Takeover { get; set; }

    /// <summary>Default: that of all volumes.</summary>
    public Durability? Durability { get; set; }

    /// <summary>Default: that of all volumes.</summary>
    public LongOutagePolicy? OnLongOutage { get; set; }

    /// <summary>Default: that of all volumes.</summary>
    public double? LongOutageSeconds { get; set; }
}

/// <summary>How all volumes are served; see <see cref="VolumeOptions"/>.</summary>
internal sealed record VolumesSection
{
    /// <summary>What a flush waits for: "journal" or "bucket". Default journal.</summary>
    public Durability Durability { get; set; } = Durability.Journal;

    public const string LongOutageFault = "longOutageSeconds: must be between 10 and 604800 (a week)";

    /// <summary>What commands end in once the store has been away for long: "retry", "readOnly" or "fail". Default retry.</summary>
    public LongOutagePolicy OnLongOutage { get; set; } = LongOutagePolicy.Retry;

    /// <summary>Seconds of an outage from which on it is long. Default 600.</summary>
    public double LongOutageSeconds { get; set; } = 600;

    public const string LeaseFault = "leaseSeconds: must be between 10 and 600; or 0, which declares that only one gateway ever opens the volume";

    /// <summary>Seconds that this gateway may acknowledge after it last saw that nobody else claimed the volume. Default 120; 0 declares a single gateway.</summary>
    public double LeaseSeconds { get; set; } = 150;

    /// <summary>What is done about a volume that another gateway did not release: "whenSilent" or "never". Default whenSilent.</summary>
    public TakeoverPolicy Takeover { get; set; } = TakeoverPolicy.WhenSilent;

    /// <summary>What single volumes have of their own, by STORE/VOLUME.</summary>
    public Dictionary<string, VolumeSection> Each { get; set; } = [];

    /// <summary>Data bytes that seal a segment. Default 8 MiB.</summary>
    public int SegmentBytes { get; set; } = 8 << 20;

    /// <summary>Age in seconds of the oldest write that seals a segment. Default 5.</summary>
    public double SealAfterSeconds { get; set; } = 5;

    /// <summary>Segments on their way at a time. Default 4.</summary>
    public int UploadWindow { get; set; } = 8;

    /// <summary>Bytes of blocks kept in memory for each volume. Default 64 MiB.</summary>
    public long CacheBytes { get; set; } = 64 << 20;

    /// <summary>Bytes of memory for what sequential readers will ask for, for each volume. Default 32 MiB.</summary>
    public long ReadAheadBytes { get; set; } = 32 << 20;

    /// <summary>Requests of a volume's reads that the store has at a time. Default 16.</summary>
    public int ReadWindow { get; set; } = 16;

    /// <summary>Bytes of local disk that keep frames of each volume. Default 0: none.</summary>
    public long CacheFileBytes { get; set; }

    /// <summary>Directory of the cache files, absolute.</summary>
    public string CacheDirectory { get; set; } = "/var/lib/tcmu-gateway/cache";

    /// <summary>Percentage of its journal in use above which a volume's writes are slowed down. Default 70.</summary>
    public int HighWaterPercent { get; set; } = 70;

    /// <summary>Seconds that a command may wait for journal space or the store. Default 20.</summary>
    public double CommandTimeoutSeconds { get; set; } = 20;

    /// <summary>Seconds that a stop tries to empty a journal into the bucket. Default 4.</summary>
    public double CloseTimeoutSeconds { get; set; } = 4;

    public static bool IsLongOutage(double seconds) => seconds is >= 10 and <= 604_800;

    public static bool IsLease(double seconds) => seconds is 0 or (>= 10 and <= 600);

    public IEnumerable<string> Faults()
    {
        if (!IsLease(LeaseSeconds)) yield return LeaseFault;
        if (!IsLongOutage(LongOutageSeconds)) yield return LongOutageFault;
        if (SegmentBytes is < 64 << 10 or > 64 << 20) yield return "segmentBytes: must be between 65536 (64 KiB) and 67108864 (64 MiB)";
        if (SealAfterSeconds is not (>= 0.05 and <= 3600)) yield return "sealAfterSeconds: must be between 0.05 and 3600";
        if (UploadWindow is < 1 or > 64) yield return "uploadWindow: must be between 1 and 64";
        if (CacheBytes is < 0 or > 1L << 40) yield return "cacheBytes: must be between 0 and 1099511627776 (1 TiB)";
        if (ReadAheadBytes is < 0 or > 4L << 30) yield return "readAheadBytes: must be between 0 and 4294967296 (4 GiB)";
        if (ReadWindow is < 1 or > 256) yield return "readWindow: must be between 1 and 256";
        if (CacheFileBytes is not 0 and (< 16L << 20 or > 1L << 40)) yield return "cacheFileBytes: must be 0, or between 16777216 (16 MiB) and 1099511627776 (1 TiB)";
        if (!Path.IsPathRooted(CacheDirectory)) yield return "cacheDirectory: must be an absolute path";
        if (HighWaterPercent is < 10 or > 100) yield return "highWaterPercent: must be between 10 and 100";
        if (CommandTimeoutSeconds is not (>= 1 and <= 60)) yield return "commandTimeoutSeconds: must be between 1 and 60";
        if (CloseTimeoutSeconds is not (>= 0 and <= 600)) yield return "closeTimeoutSeconds: must be between 0 and 600";
    }
}

/// <summary>The configuration is missing or wrong; the message says what to change.</summary>
internal sealed class ConfigurationException(string message) : Exception(message);

/// <summary>"whenSilent" and "never", and no numbers.</summary>
internal sealed class TakeoverPolicyConverter() : JsonStringEnumConverter<TakeoverPolicy>(JsonNamingPolicy.CamelCase, allowIntegerValues: false);

/// <summary>"retry", "readOnly" and "fail", and no numbers.</summary>
internal sealed class LongOutagePolicyConverter() : JsonStringEnumConverter<LongOutagePolicy>(JsonNamingPolicy.CamelCase, allowIntegerValues: false);

/// <summary>"journal" and "bucket", and no numbers.</summary>
internal sealed class DurabilityConverter() : JsonStringEnumConverter<Durability>(JsonNamingPolicy.CamelCase, allowIntegerValues: false);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    ReadCommentHandling = JsonCommentHandling.Skip,
    AllowTrailingCommas = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    Converters = [typeof(TakeoverPolicyConverter), typeof(DurabilityConverter), typeof(LongOutagePolicyConverter)])]
[JsonSerializable(typeof(GatewayConfiguration))]
internal sealed partial class ConfigurationJson : JsonSerializerContext;
