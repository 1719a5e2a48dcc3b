using Gateway.Backends.Core;
using Gateway.Backends.File;
using Gateway.Backends.Rados;
using Gateway.Backends.S3;
using Xunit;

namespace Gateway.Conformance.Tests;

/// <summary>A directory under faults.</summary>
public sealed class FaultyFileStoreTests : FaultyStoreConformance
{
    private readonly string _root = Directory.CreateTempSubdirectory("faulty-store-").FullName;

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        Directory.Delete(_root, recursive: true);
    }

    protected override Task<IBlobStore> OpenBareAsync() => Task.FromResult<IBlobStore>(new FileBlobStore(new FileStoreOptions { Path = _root }));
}

/// <summary>S3 under faults, against Ceph's RADOS Gateway.</summary>
[Trait("Category", "Server")]
public sealed class FaultyRgwStoreTests : FaultyStoreConformance
{
    protected override async Task<IBlobStore> OpenBareAsync() => new S3BlobStore(await RgwBucket.NewAsync());
}

/// <summary>RADOS under faults.</summary>
[Trait("Category", "Server")]
public sealed class FaultyRadosStoreTests : FaultyStoreConformance
{
    protected override async Task<IBlobStore> OpenBareAsync() => new RadosBlobStore(await RadosNamespace.NewAsync());
}
