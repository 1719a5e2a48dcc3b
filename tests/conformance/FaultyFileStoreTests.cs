using Gateway.Backends.Core;
using Gateway.Backends.File;
using Gateway.Backends.Resilience;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gateway.Conformance.Tests;

/// <summary>A directory behind latency, and reads of which a fifth fails: with what stands before every store it keeps a store's promises.</summary>
public sealed class FaultyFileStoreTests : BlobStoreConformance
{
    private static readonly FaultPlan Plan = new()
    {
        Latency = TimeSpan.FromMilliseconds(0.5),
        Jitter = TimeSpan.FromMilliseconds(1),
        Unavailable = 0.08,
        Throttled = 0.04,
        Reset = 0.08,
        Hole = 0.005,
        HoleTime = TimeSpan.FromMilliseconds(50),
        SparesWrites = true,
    };

    private static readonly ResilienceOptions Options = new() { Retries = 20, RetryDelayMin = TimeSpan.FromMilliseconds(1), RetryDelayMax = TimeSpan.FromMilliseconds(5) };

    private readonly string _root = Directory.CreateTempSubdirectory("faulty-store-").FullName;
    private readonly ResilientStore _store;

    public FaultyFileStoreTests()
    {
        var faulty = new FaultInjectingStore(new FileBlobStore(new FileStoreOptions { Path = _root }), new Random(1), TimeProvider.System) { Plan = Plan };
        _store = new ResilientStore(faulty, Options, TimeProvider.System, new Random(1), NullLogger.Instance);
    }

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        await _store.DisposeAsync();
        Directory.Delete(_root, recursive: true);
    }

    protected override Task<IBlobStore> OpenViewAsync() => Task.FromResult(_store.Foreground);
}
