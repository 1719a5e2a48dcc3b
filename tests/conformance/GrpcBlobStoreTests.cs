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
public abstract class BlobServerConformance : BlobStoreConformance
{
    private BlobServer? _server;
    private IBlobStore? _offered;

    /// <summary>The address to listen on.</summary>
    protected virtual string Listen => "http://127.0.0.1:0";

    /// <summary>The store behind the server; asked for once.</summary>
    protected abstract Task<IBlobStore> OpenOfferedAsync();

    protected async Task<BlobServer> ServerAsync()
    {
        _offered ??= await OpenOfferedAsync();
        return _server ??= await BlobServer.StartAsync(_offered, new BlobServerOptions { Listen = Listen }, TimeProvider.System, NullLoggerFactory.Instance, None);
    }

    protected override async Task<IBlobStore> OpenViewAsync() => new GrpcBlobStore(new GrpcStoreOptions { Address = (await ServerAsync()).Address });

    public override async Task DisposeAsync()
    {
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

/// <summary>A directory behind latency and a server, of which a fifth of the reads fail: with what stands before every store it keeps a store's promises.</summary>
public sealed class FaultyGrpcStoreTests : BlobServerConformance
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

    private readonly string _root = Directory.CreateTempSubdirectory("faulty-grpc-store-").FullName;
    private ResilientStore? _store;

    public override async Task DisposeAsync()
    {
        if (_store is not null) await _store.DisposeAsync();
        await base.DisposeAsync();
        Directory.Delete(_root, recursive: true);
    }

    protected override Task<IBlobStore> OpenOfferedAsync() =>
        Task.FromResult<IBlobStore>(new FaultInjectingStore(new FileBlobStore(new FileStoreOptions { Path = _root }), new Random(1), TimeProvider.System) { Plan = Plan });

    protected override async Task<IBlobStore> OpenViewAsync()
    {
        _store ??= new ResilientStore(await base.OpenViewAsync(), Options, TimeProvider.System, new Random(1), NullLogger.Instance);
        return _store.Foreground;
    }
}

/// <summary>gRPC over S3, against Ceph's RADOS Gateway.</summary>
[Trait("Category", "Server")]
public sealed class GrpcOverRgwTests : BlobServerConformance
{
    protected override async Task<IBlobStore> OpenOfferedAsync() => new S3BlobStore(await RgwBucket.NewAsync());
}
