using Gateway.Backends.Core;
using Gateway.Tests.Shared;

namespace Gateway.Conformance.Tests;

/// <summary>The tests' own store in memory: it stands for real ones elsewhere, so it must do what they do.</summary>
public sealed class MemoryBlobStoreTests : BlobStoreConformance
{
    private readonly MemoryBlobStore _store = new();

    protected override Task<IBlobStore> OpenViewAsync() => Task.FromResult<IBlobStore>(_store);
}
