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

    /// <summary>Local disk that holds what is not in the store yet.</summary>
    public JournalOptions Journal { get; set; } = new();

    /// <summary>How volumes are served, and which are made.</summary>
    public VolumesSection Volumes { get; set; } = new();

    /// <summary>What is exported, and how.</summary>
    public TargetsSection Targets { get; set; } = new();

    /// <summary>How the daemon is talked to.</summary>
    public ControlSection Control { get; set; } = new();

    /// <summary>How the daemon is seen.</summary>
    public TelemetrySection Telemetry { get; set; } = new();

    /// <summary>Where the daemon keeps what it has made and what 'target export' has added; absolute. Default /var/lib/tcmu-gateway.</summary>
    public string StateDirectory { get; set; } = "/var/lib/tcmu-gateway";

    /// <summary>Reads and checks a file, with what the environment says instead.</summary>
    /// <exception cref="ConfigurationException">It is missing or wrong; the message lists every fault.</exception>
    public static GatewayConfiguration Load(string path) => ConfigurationReader.Read(path, Variables());

    /// <summary>The environment's variables by name.</summary>
    public static IReadOnlyDictionary<string, string> Variables() => Environment.GetEnvironmentVariables().Cast<System.Collections.DictionaryEntry>()
        .ToDictionary(v => (string)v.Key, v => (string?)v.Value ?? "", StringComparer.Ordinal);

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

        // A store that nobody can have used yet needs no restart.
        foreach (var (name, store) in next.Stores) stores.TryAdd(name, store);
        left.AddRange(stores.Keys.Where(name => stores[name] != next.Stores.GetValueOrDefault(name)).Select(name => $"stores.{name}"));
        if (Journal != next.Journal) left.Add("journal");
        if (Control != next.Control) left.Add("control");
        if (Telemetry != next.Telemetry) left.Add("telemetry");
        if (StateDirectory != next.StateDirectory) left.Add("stateDirectory");
        var none = new VolumeSection();
        var each = Volumes.Each.Keys.Union(next.Volumes.Each.Keys).ToDictionary(name => name, name => (Volumes.Each.GetValueOrDefault(name) ?? none) with
        {
            OnLongOutage = next.Volumes.Each.GetValueOrDefault(name)?.OnLongOutage,
            LongOutageSeconds = next.Volumes.Each.GetValueOrDefault(name)?.LongOutageSeconds,
            Size = next.Volumes.Each.GetValueOrDefault(name)?.Size,
            BlockSize = next.Volumes.Each.GetValueOrDefault(name)?.BlockSize,
            Compression = next.Volumes.Each.GetValueOrDefault(name)?.Compression,
        });
        var volumes = Volumes with { OnLongOutage = next.Volumes.OnLongOutage, LongOutageSeconds = next.Volumes.LongOutageSeconds, Each = each };
        if (volumes != next.Volumes with { Each = each }) left.Add("volumes");
        left.AddRange(each.Where(v => v.Value != (next.Volumes.Each.GetValueOrDefault(v.Key) ?? none)).Select(v => $"volumes.each.{v.Key}"));
        needsRestart = left;
        return this with { Stores = stores, Volumes = volumes, Targets = next.Targets };
    }

    internal IEnumerable<string> Faults()
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
            foreach (var fault in volume.Faults()) yield return $"volumes.each.{name}.{fault}";
            if (volume.LongOutageSeconds is { } outage && !VolumesSection.IsLongOutage(outage)) yield return $"volumes.each.{name}.{VolumesSection.LongOutageFault}";
        }

        foreach (var fault in Targets.Faults(Stores)) yield return $"targets.{fault}";
        foreach (var fault in Control.Faults()) yield return $"control.{fault}";
        foreach (var fault in Telemetry.Faults()) yield return $"telemetry.{fault}";
        if (!Path.IsPathRooted(StateDirectory)) yield return "stateDirectory: must be an absolute path";
        if (Journal.Directory is null)
        {
            foreach (var name in Volumes.Each.Where(v => v.Value.Durability == Durability.Journal).Select(v => v.Key))
                yield return $"volumes.each.{name}.durability: without a journal.directory only the bucket can make a flush durable";
        }
    }
}

/// <summary>The configuration is missing or wrong; the message says what to change.</summary>
internal sealed class ConfigurationException(string message) : Exception(message)
{
    /// <summary>Begins the line of one fault of several, in a message.</summary>
    public const string FaultMark = "\n  - ";

    /// <summary>Each fault on its own; the message itself if it tells of one.</summary>
    public IReadOnlyList<string> Faults => Message.Split(FaultMark) is [_, .. { Length: > 0 } faults] ? faults : [Message];
}

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
    Converters = [typeof(TakeoverPolicyConverter), typeof(DurabilityConverter), typeof(LongOutagePolicyConverter), typeof(OtlpProtocolConverter)])]
[JsonSerializable(typeof(GatewayConfiguration))]
internal sealed partial class ConfigurationJson : JsonSerializerContext;
