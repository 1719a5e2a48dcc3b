using Gateway.Backends.Core;
using Gateway.Backends.Resilience;
using Gateway.Tests.Shared;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gateway.Conformance.Tests;

/// <summary>What stands before every store keeps a store's promises, hedging included.</summary>
public sealed class ResilientStoreTests : BlobStoreConformance
{
    private readonly ResilientStore _store = new(
        new MemoryBlobStore(), new ResilienceOptions { HedgeDelay = TimeSpan.FromMilliseconds(1), ForegroundRequests = 4 }, TimeProvider.System, new Random(1), NullLogger.Instance);

    protected override Task<IBlobStore> OpenViewAsync() => Task.FromResult(_store.Foreground);
}
