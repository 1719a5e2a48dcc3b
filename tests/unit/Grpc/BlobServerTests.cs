using System.ComponentModel.DataAnnotations;
using System.Net.Sockets;
using Gateway.Backends.Core;
using Gateway.Backends.Grpc.Server;
using Gateway.Backends.Grpc.V1;
using Gateway.Tests.Shared.Stores;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Health.V1;
using Xunit;
using static Gateway.Backends.Grpc.Tests.BlobServerWorld;
using Precondition = Gateway.Backends.Core.Precondition;

namespace Gateway.Backends.Grpc.Tests;

/// <summary>What the server does about memory, time, clients that go away, and its own end.</summary>
public sealed class BlobServerTests : IAsyncLifetime
{
    private const int MiB = 1 << 20;
    private static readonly BlobKey Key = new("blob");

    private readonly BlobServerWorld _world = new();
    private readonly FaultyBlobStore _store;

    public BlobServerTests() => _store = new FaultyBlobStore(_world.Blobs, seed: 1, TimeProvider.System);

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync() => await _world.DisposeAsync();

    [Fact]
    public async Task Put_WithoutMemoryForIt_IsThrottledUntilThereIs()
    {
        var (reached, go) = HoldRequests("put");
        var server = await _world.ServeAsync(new BlobServerOptions { PutMemoryBytes = 2 * MiB }, _store);
        var store = _world.Connect(server);
        var first = store.PutAsync(new("first"), new byte[MiB + 1], Precondition.None, None).AsTask();
        await reached;

        var error = await ThrowsAsync(BlobErrorKind.Throttled, async () => await store.PutAsync(new("second"), new byte[MiB], Precondition.None, None));
        await ThrowsAsync(BlobErrorKind.Rejected, async () => await store.PutAsync(new("huge"), new byte[3 * MiB], Precondition.None, None));

        Assert.Equal(TimeSpan.FromSeconds(1), error.RetryAfter);
        Assert.InRange(server.Memory.Puts.HeldBytes, MiB, 2 * MiB);
        go.SetResult();
        await first;
        await store.PutAsync(new("second"), new byte[MiB], Precondition.None, None);
        Assert.Equal(["first", "second"], _world.Blobs.Blobs.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(0, server.Memory.Puts.UsedBytes);
    }

    /// <summary>A client that is told no while it sends must not lose the connection, and all other calls with it.</summary>
    [Fact]
    public async Task Put_RefusedOverAndOver_TheOthersOfTheConnectionGoOn()
    {
        var (reached, go) = HoldRequests("put");
        var server = await _world.ServeAsync(new BlobServerOptions { PutMemoryBytes = 2 * MiB }, _store);
        var store = _world.Connect(server);
        var first = store.PutAsync(new("first"), new byte[MiB + 1], Precondition.None, None).AsTask();
        await reached;

        for (var i = 0; i < 50; i++)
        {
            await Task.WhenAll(Enumerable.Range(0, 4).Select(n => ThrowsAsync(BlobErrorKind.Throttled, async () => await store.PutAsync(new("more"), new byte[MiB + n], Precondition.None, None))));
            await ThrowsAsync(BlobErrorKind.Rejected, async () => await store.PutAsync(new("huge"), new byte[3 * MiB], Precondition.None, None));
        }

        go.SetResult();
        await first;
    }

    [Fact]
    public async Task Get_WithoutMemoryForIt_IsThrottledAndPutsGoOn()
    {
        var server = await _world.ServeAsync(new BlobServerOptions { GetMemoryBytes = MiB }, _store);
        var store = _world.Connect(server);
        await store.PutAsync(Key, new byte[MiB], Precondition.None, None);
        var (reached, go) = HoldRequests("read");
        var first = store.ReadAsync(Key, 0, new byte[MiB], None).AsTask();
        await reached;

        await ThrowsAsync(BlobErrorKind.Throttled, async () => await store.ReadAsync(Key, 0, new byte[MiB], None));
        await store.PutAsync(new("other"), new byte[MiB], Precondition.None, None);

        go.SetResult();
        Assert.Equal(MiB, await first);
    }

    [Fact]
    public async Task Put_LongerThanTheServerTakes_IsRejected()
    {
        var store = _world.Connect(await _world.ServeAsync(new BlobServerOptions { BlobMaxBytes = MiB }));

        await store.PutAsync(Key, new byte[MiB], Precondition.None, None);
        await ThrowsAsync(BlobErrorKind.Rejected, async () => await store.PutAsync(Key, new byte[MiB + 1], Precondition.None, None));
        await ThrowsAsync(BlobErrorKind.Rejected, async () => await store.ReadAsync(Key, 0, new byte[MiB + 1], None));
    }

    [Fact]
    public void Memory_RentedAndReturned_NeverHoldsMoreThanItsLimit()
    {
        var memory = new TransferMemory(8 * MiB);
        var random = new Random(1);
        var rented = new List<TransferMemory.Buffer>();
        for (var i = 0; i < 2000; i++)
        {
            var length = random.Next(3 * MiB);
            try
            {
                rented.Add(memory.Rent(length));
                Assert.Equal(length, rented[^1].Memory.Length);
            }
            catch (BlobStoreException e)
            {
                Assert.Equal(BlobErrorKind.Throttled, e.Kind);
            }

            if (rented.Count > 0 && random.Next(2) == 0)
            {
                var at = random.Next(rented.Count);
                rented[at].Dispose();
                rented[at].Dispose(); // A second time does no harm.
                rented.RemoveAt(at);
            }

            Assert.InRange(memory.HeldBytes, memory.UsedBytes, 8 * MiB);
        }

        rented.ForEach(b => b.Dispose());
        Assert.Equal(0, memory.UsedBytes);
        Assert.Equal(BlobErrorKind.Rejected, Assert.Throws<BlobStoreException>(() => memory.Rent(9 * MiB)).Kind);
    }

    [Fact]
    public async Task Deadline_PassedAtTheClient_EndsTheCallAndTheServersWork()
    {
        var server = await _world.ServeAsync(new BlobServerOptions(), _store);
        Assert.Null(await _world.Connect(server).GetLengthAsync(Key, None)); // All that is slow once has been done.
        var ended = new TaskCompletionSource();
        _store.BeforeRequest = async (_, _, token) =>
        {
            await using var registration = token.Register(ended.SetResult);
            await ended.Task;
            token.ThrowIfCancellationRequested();
        };
        var store = _world.Connect(server, new GrpcStoreOptions { RequestTimeout = TimeSpan.FromSeconds(1) });

        var error = await ThrowsAsync(BlobErrorKind.Unavailable, async () => await store.GetLengthAsync(Key, None));

        Assert.Contains("no answer within 1 s", error.Message, StringComparison.Ordinal);
        await ended.Task;
    }

    [Fact]
    public async Task Put_ThatStopsInTheMiddle_IsEndedByTheServer()
    {
        var server = await _world.ServeAsync(new BlobServerOptions { CallTimeout = TimeSpan.FromMilliseconds(200) });
        var store = _world.Connect(server);

        await ThrowsAsync(BlobErrorKind.Unavailable, async () => await store.RequestAsync("put", "putting", async (c, o) =>
        {
            using var put = c.Client.Put(o);
            await BeginAsync(put.RequestStream);
            return await put.ResponseAsync;
        }, None));

        Assert.Equal(0, server.Memory.Puts.UsedBytes);
        Assert.Empty(_world.Blobs.Blobs);
    }

    [Fact]
    public async Task Put_CancelledInTheMiddle_LeavesNothing()
    {
        var server = await _world.ServeAsync(new BlobServerOptions());
        var store = _world.Connect(server);
        using var source = new CancellationTokenSource();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await store.RequestAsync("put", "putting", async (c, o) =>
        {
            using var put = c.Client.Put(o);
            await BeginAsync(put.RequestStream);
            await source.CancelAsync();
            return await put.ResponseAsync;
        }, source.Token));

        await server.StopAsync(None); // Everything that it was doing is done.
        Assert.Equal(0, server.Memory.Puts.UsedBytes);
        Assert.Empty(_world.Blobs.Blobs);
    }

    [Fact]
    public async Task Server_KilledInTheMiddle_IsUnavailable()
    {
        var (reached, go) = HoldRequests("put");
        var server = await _world.ServeAsync(new BlobServerOptions(), _store);
        var store = _world.Connect(server);
        var put = store.PutAsync(Key, new byte[MiB], Precondition.None, None).AsTask();
        await reached;

        await server.StopAsync(new CancellationToken(canceled: true));

        await ThrowsAsync(BlobErrorKind.Unavailable, () => put);
        var error = await ThrowsAsync(BlobErrorKind.Unavailable, async () => await store.GetLengthAsync(Key, None));
        Assert.True(error.Message.Contains("Check that the server runs there", StringComparison.Ordinal), error.Message);
        go.SetResult();
    }

    /// <summary>No backing off in the channel: what decides when to try again stands before the store.</summary>
    [Fact]
    public async Task Server_ThatComesBack_IsUsedAtOnce()
    {
        var socket = Path.Combine(Path.GetTempPath(), $"blob-server-{Guid.NewGuid():n}.sock");
        var options = new BlobServerOptions { Listen = "unix://" + socket };
        var first = await _world.ServeAsync(options);
        var store = _world.Connect(first);
        await store.PutAsync(Key, new byte[1], Precondition.None, None);
        await first.DisposeAsync();
        for (var i = 0; i < 5; i++) await ThrowsAsync(BlobErrorKind.Unavailable, async () => await store.GetLengthAsync(Key, None));

        await _world.ServeAsync(options);

        Assert.Equal(1, await store.GetLengthAsync(Key, None));
    }

    [Fact]
    public async Task Socket_LeftByAKilledServer_IsReplacedAndOneInUseIsNot()
    {
        var path = Path.Combine(Path.GetTempPath(), $"blob-server-{Guid.NewGuid():n}.sock");
        using (var dead = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            dead.Bind(new UnixDomainSocketEndPoint(path));
        }

        var server = await _world.ServeAsync(new BlobServerOptions { Listen = "unix://" + path });

        Assert.Null(await _world.Connect(server).GetLengthAsync(Key, None));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        var error = await Assert.ThrowsAsync<BlobStoreException>(() => _world.ServeAsync(new BlobServerOptions { Listen = "unix://" + path }));
        Assert.Contains(path, error.Message, StringComparison.Ordinal);
        Assert.Null(await _world.Connect(server).GetLengthAsync(Key, None));
    }

    [Fact]
    public async Task Failure_OfTheStoreBehind_IsToldWithoutItsPlace()
    {
        _store.BeforeRequest = (_, key, _) => throw new BlobStoreException(BlobErrorKind.ContainerMissing, $"/srv/secret-place/{key}: no such directory");
        var store = _world.Connect(await _world.ServeAsync(new BlobServerOptions(), _store));

        var error = await ThrowsAsync(BlobErrorKind.ContainerMissing, async () => await store.GetLengthAsync(Key, None));

        Assert.DoesNotContain("secret-place", error.Message, StringComparison.Ordinal);
        Assert.Contains(_world.Log, line => line.Contains("secret-place", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Health_OfAStoreThatIsAway_IsNotServing()
    {
        var store = _world.Connect(await _world.ServeAsync(new BlobServerOptions(), _store));
        _store.Faults = new() { Outage = true };

        var answer = await store.RequestAsync("health", "asking", async (c, o) => await c.Health.CheckAsync(new HealthCheckRequest(), o), None);

        Assert.Equal(HealthCheckResponse.Types.ServingStatus.NotServing, answer.Status);
    }

    [Theory]
    [InlineData("http://127.0.0.1:7070", false, false, false, null)]
    [InlineData("http://localhost:7070", false, false, false, null)]
    [InlineData("http://[::1]:7070", false, false, false, null)]
    [InlineData("unix:///run/blobs.sock", false, false, false, null)]
    [InlineData("http://0.0.0.0:7070", false, true, false, "other machines")]
    [InlineData("http://192.0.2.1:7070", false, true, false, "other machines")]
    [InlineData("https://[::]:7070", true, false, false, "other machines")]
    [InlineData("https://0.0.0.0:7070", true, true, false, null)]
    [InlineData("http://0.0.0.0:7070", false, false, true, null)]
    [InlineData("https://0.0.0.0:7070", false, true, true, "needed for an https:// address")]
    [InlineData("http://127.0.0.1:7070", true, false, false, "belong to an https:// address")]
    [InlineData("http://storage.example:7070", false, false, true, "http(s)://IP:PORT")]
    [InlineData("ftp://127.0.0.1", false, false, true, "http(s)://IP:PORT")]
    [InlineData("", false, false, true, "http(s)://IP:PORT")]
    public void Options_OfTheServer_AreSafeOrRefused(string listen, bool tls, bool tokens, bool insecure, string? fault)
    {
        var options = new BlobServerOptions { Listen = listen, CertificateFile = tls ? "/c" : null, KeyFile = tls ? "/k" : null, TokensFile = tokens ? "/t" : null, Insecure = insecure };

        var faults = options.Validate(new ValidationContext(options)).Select(f => f.ErrorMessage!).ToArray();

        if (fault is null) Assert.Empty(faults);
        else Assert.Contains(fault, Assert.Single(faults), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("unix://run/x")]
    [InlineData("unix:///")]
    [InlineData("unix:///run/")]
    [InlineData("https://user:password@host:1")]
    [InlineData("https://host/path")]
    [InlineData("https://host?x")]
    [InlineData("host:7070")]
    [InlineData("")]
    public void Address_ThatIsNone_IsRefused(string text) => Assert.Null(GrpcAddress.TryParse(text));

    /// <summary>Sends a header and half of the blob that it announces.</summary>
    private static async Task BeginAsync(IClientStreamWriter<PutRequest> stream)
    {
        await stream.WriteAsync(new PutRequest { Header = new PutHeader { Key = Key.Value, Precondition = V1.Precondition.None, LengthBytes = 2000 } });
        await stream.WriteAsync(new PutRequest { Chunk = ByteString.CopyFrom(new byte[1000]) });
    }

    /// <summary>Holds the first request of a name.</summary>
    private (Task Reached, TaskCompletionSource Go) HoldRequests(string name)
    {
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var go = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _store.BeforeRequest = async (request, _, _) =>
        {
            if (request == name && reached.TrySetResult()) await go.Task;
        };
        return (reached.Task, go);
    }
}
