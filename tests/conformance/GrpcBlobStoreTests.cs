using Gateway.Backends.Core;
using Gateway.Backends.File;
using Gateway.Backends.Grpc;
using Gateway.Backends.Grpc.Server;
using Gateway.Backends.Resilience;
using Gateway.Backends.S3;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Conformance.Tests;

/// <summary>A blob server over a store, and clients of it: the common suite over HTTP/2.</summary>
/// <param name="withFaults">The client is under faults. (Behind a server, every page of a listing would meet them, and only its start is repeated.)</param>
public abstract class BlobServerConformance(bool withFaults = false) : BlobStoreConformance
{
    private BlobServer? _server;
    private IBlobStore? _offered;
    private ResilientStore? _guarded;

    /// <summary>The address to listen on.</summary>
    protected virtual string Listen => "http://127.0.0.1:0";

    /// <summary>The store behind the server; asked for once.</summary>
    protected abstract Task<IBlobStore> OpenOfferedAsync();

    protected async Task<BlobServer> ServerAsync()
    {
        _offered ??= await OpenOfferedAsync();
        return _server ??= await BlobServer.StartAsync(_offered, new BlobServerOptions { Listen = Listen }, TimeProvider.System, NullLoggerFactory.Instance, None);
    }

    protected override async Task<IBlobStore> OpenViewAsync()
    {
        if (_guarded is not null) return _guarded.Foreground;
        var client = new GrpcBlobStore(new GrpcStoreOptions { Address = (await ServerAsync()).Address });
        return withFaults ? (_guarded = InjectedFaults.Guard(InjectedFaults.Into(client))).Foreground : client;
    }

    public override async Task DisposeAsync()
    {
        if (_guarded is not null) await _guarded.DisposeAsync();
        await base.DisposeAsync();
        if (_server is not null) await _server.DisposeAsync();
        if (_offered is not null) await _offered.DisposeAsync();
    }
}

/// <summary>gRPC over a directory, by TCP.</summary>
public sealed class GrpcBlobStoreTests : BlobServerConformance
{
    private readonly string _root = Directory.CreateTempSubdirectory("grpc-store-").FullName;

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        Directory.Delete(_root, recursive: true);
    }

    protected override Task<IBlobStore> OpenOfferedAsync() => Task.FromResult<IBlobStore>(new FileBlobStore(new FileStoreOptions { Path = _root }));

    [Fact]
    public async Task Check_OfThisServer_PassesAndLeavesNothing()
    {
        var options = new GrpcStoreOptions { Address = (await ServerAsync()).Address };

        var results = await BlobServerCheck.RunAsync(options, new Random(1), _ => { }, None);

        Assert.Equal([], results.Where(r => !r.Passed).Select(r => $"{r.Name}: {r.Fault}"));
        Assert.True(results.Count > 20);
        Assert.Empty(await NamesAsync(await OpenAsync()));
    }
}

/// <summary>The same by a Unix domain socket.</summary>
public sealed class GrpcSocketStoreTests : BlobServerConformance
{
    private readonly string _root = Directory.CreateTempSubdirectory("grpc-store-").FullName;
    private readonly string _socket = Path.Combine(Path.GetTempPath(), $"grpc-{Guid.NewGuid():n}.sock");

    protected override string Listen => "unix://" + _socket;

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        Directory.Delete(_root, recursive: true);
        Assert.False(File.Exists(_socket));
    }

    protected override Task<IBlobStore> OpenOfferedAsync() => Task.FromResult<IBlobStore>(new FileBlobStore(new FileStoreOptions { Path = _root }));
}

/// <summary>gRPC over a directory under faults.</summary>
public sealed class FaultyGrpcStoreTests() : BlobServerConformance(withFaults: true)
{
    private readonly string _root = Directory.CreateTempSubdirectory("faulty-grpc-store-").FullName;

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        Directory.Delete(_root, recursive: true);
    }

    protected override Task<IBlobStore> OpenOfferedAsync() => Task.FromResult<IBlobStore>(new FileBlobStore(new FileStoreOptions { Path = _root }));
}

/// <summary>gRPC over S3, against Ceph's RADOS Gateway.</summary>
[Trait("Category", "Server")]
public sealed class GrpcOverRgwTests : BlobServerConformance
{
    protected override async Task<IBlobStore> OpenOfferedAsync() => new S3BlobStore(await RgwBucket.NewAsync());
}

/// <summary>gRPC over S3 under faults.</summary>
[Trait("Category", "Server")]
public sealed class FaultyGrpcOverRgwTests() : BlobServerConformance(withFaults: true)
{
    protected override async Task<IBlobStore> OpenOfferedAsync() => new S3BlobStore(await RgwBucket.NewAsync());
}
