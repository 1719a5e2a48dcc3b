using Gateway.Backends.Core;
using Gateway.Backends.File;
using Gateway.Backends.Grpc;
using Gateway.Backends.Resilience;
using Gateway.Backends.S3;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gateway.Configuration;

/// <summary>The configured stores, each made when it is first used. Thread safe.</summary>
internal sealed class StoreSet(GatewayConfiguration configuration, TimeProvider time, ILoggerFactory? loggers = null) : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private volatile GatewayConfiguration _configuration = configuration;
    private readonly Dictionary<string, ResilientStore> _stores = new(StringComparer.Ordinal);
    private readonly Dictionary<string, RequestMeter> _meters = new(StringComparer.Ordinal);

    public IEnumerable<string> Names => _configuration.Stores.Keys.Order(StringComparer.Ordinal);

    /// <summary>How the stores do that are in use.</summary>
    public IReadOnlyList<(string Name, StoreHealth Health)> Health
    {
        get
        {
            lock (_gate) return [.. _stores.OrderBy(s => s.Key, StringComparer.Ordinal).Select(s => (s.Key, s.Value.Health))];
        }
    }

    /// <summary>What was asked of the stores that are in use, and their types.</summary>
    public IReadOnlyList<(string Name, string Type, StoreHealth Health, RequestMeter Requests)> Metered
    {
        get
        {
            lock (_gate) return [.. _stores.OrderBy(s => s.Key, StringComparer.Ordinal).Select(s => (s.Key, _configuration.Stores[s.Key].Type, s.Value.Health, _meters[s.Key]))];
        }
    }

    /// <summary>The store for what a command or a person waits for.</summary>
    /// <exception cref="ConfigurationException">No store has that name.</exception>
    public IBlobStore Get(string name) => GetResilient(name).Foreground;

    /// <summary>The store for uploads, checkpoints, cleaning and leases.</summary>
    /// <exception cref="ConfigurationException">No store has that name.</exception>
    public IBlobStore GetBackground(string name) => GetResilient(name).Background;

    /// <summary>The one place where a store's decorators are stacked.</summary>
    /// <exception cref="ConfigurationException">No store has that name.</exception>
    public ResilientStore GetResilient(string name)
    {
        lock (_gate)
        {
            if (!_configuration.Stores.TryGetValue(name, out var section))
                throw new ConfigurationException($"There is no store '{name}' in the configuration. It knows: {string.Join(", ", Names)}.");
            if (!_stores.TryGetValue(name, out var store))
            {
                var meter = new RequestMeter();
                var plain = new MeteringStore(MakePlain(section), meter, time);
                var logger = (loggers ?? NullLoggerFactory.Instance).CreateLogger("Gateway.Backends");
                store = new ResilientStore(plain, section.Resilience.ToOptions(), time, new Random(Environment.ProcessId), logger);
                _stores.Add(name, store);
                _meters.Add(name, meter);
            }

            return store;
        }
    }

    /// <summary>A store of one's own, without what repeats and stops requests: for those whose callers have that. The caller disposes it.</summary>
    /// <exception cref="ConfigurationException">No store has that name.</exception>
    public IBlobStore OpenPlain(string name) => _configuration.Stores.TryGetValue(name, out var section)
        ? MakePlain(section)
        : throw new ConfigurationException($"There is no store '{name}' in the configuration. It knows: {string.Join(", ", Names)}.");

    /// <summary>Goes on by the resilience of a configuration that is the same but for that.</summary>
    public void Change(GatewayConfiguration next)
    {
        lock (_gate)
        {
            foreach (var (name, store) in _stores)
                if (next.Stores[name].Resilience != _configuration.Stores[name].Resilience) store.Change(next.Stores[name].Resilience.ToOptions());
            _configuration = next;
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var store in _stores.Values) await store.DisposeAsync();
    }

    private IBlobStore MakePlain(StoreSection section) => section.Type switch
    {
        "s3" => new S3BlobStore(section.ToS3Options(), time),
        "grpc" => new GrpcBlobStore(section.ToGrpcOptions(), time),
        _ => new FileBlobStore(section.ToFileOptions(), time),
    };
}

/// <summary>Names a volume in a store: <c>store/volume</c>.</summary>
internal readonly record struct VolumePath(string Store, string Volume)
{
    /// <exception cref="ConfigurationException">The text is not of that form.</exception>
    public static VolumePath Parse(string text) =>
        text.Split('/') is [{ Length: > 0 } store, { Length: > 0 } volume]
            ? new VolumePath(store, volume)
            : throw new ConfigurationException($"'{text}' does not name a volume. Write STORE/VOLUME, for example local/disk1.");

    public override string ToString() => $"{Store}/{Volume}";
}
