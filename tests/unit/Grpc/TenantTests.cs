using Gateway.Backends.Core;
using Gateway.Backends.Grpc.Server;
using Gateway.Backends.Grpc.V1;
using Gateway.Tests.Shared;
using Xunit;
using static Gateway.Backends.Grpc.Tests.BlobServerWorld;
using BlobInfo = Gateway.Backends.Core.BlobInfo;
using Precondition = Gateway.Backends.Core.Precondition;

namespace Gateway.Backends.Grpc.Tests;

/// <summary>Tokens open their tenant's part of the store, and nothing leads out of it.</summary>
public sealed class TenantTests : IAsyncLifetime
{
    private readonly BlobServerWorld _world = new();

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync() => await _world.DisposeAsync();

    [Fact]
    public async Task Tenants_WithTheSameKeys_SeeOnlyTheirOwn()
    {
        var (_, red, blue) = await TwoTenantsAsync();
        await red.PutAsync(new("disk/1"), new byte[1], Precondition.Absent, None);
        await blue.PutAsync(new("disk/1"), new byte[2], Precondition.Absent, None);
        await blue.PutAsync(new("other/2"), new byte[3], Precondition.Absent, None);

        Assert.Equal(["blue/disk/1", "blue/other/2", "red/disk/1"], _world.Blobs.Blobs.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(["disk/1"], await NamesAsync(red));
        Assert.Equal(["disk/1", "other/2"], await NamesAsync(blue));
        Assert.Equal(1, await red.GetLengthAsync(new("disk/1"), None));
        Assert.Null(await red.GetLengthAsync(new("other/2"), None));
        Assert.Null(await red.GetLengthAsync(new("blue/disk/1"), None));
        await red.DeleteAsync(new("disk/1"), None);
        Assert.Equal(2, await blue.GetLengthAsync(new("disk/1"), None));
    }

    [Theory]
    [InlineData("../blue/disk/1")]
    [InlineData("/blue/disk/1")]
    [InlineData("x/../../blue/disk/1")]
    [InlineData("./../blue/disk/1")]
    [InlineData("..")]
    [InlineData("%2e%2e/blue/disk/1")]
    [InlineData("..\\blue\\disk\\1")]
    [InlineData("..\u2215blue")]
    [InlineData("")]
    public async Task Key_ThatWouldLeadOut_IsRefused(string key)
    {
        var (_, red, blue) = await TwoTenantsAsync();
        await blue.PutAsync(new("disk/1"), new byte[2], Precondition.Absent, None);

        foreach (var call in (Func<GrpcConnection, global::Grpc.Core.CallOptions, Task>[])
        [
            async (c, o) => await c.Client.GetLengthAsync(new GetLengthRequest { Key = key }, o),
            async (c, o) => await c.Client.DeleteAsync(new DeleteRequest { Key = key }, o),
            async (c, o) => await c.Client.Get(new GetRequest { Key = key, LengthBytes = 1 }, o).ResponseStream.MoveNext(None),
        ])
            await ThrowsAsync(BlobErrorKind.Rejected, async () => await red.RequestAsync("red", "calling", async (c, o) =>
            {
                await call(c, o);
                return 0;
            }, None));

        Assert.Equal(2, await blue.GetLengthAsync(new("disk/1"), None));
    }

    [Theory]
    [InlineData("../")]
    [InlineData("../blue/")]
    [InlineData("x/../../blue/")]
    [InlineData("/")]
    [InlineData("/blue/")]
    [InlineData("./")]
    public async Task Listing_ThatWouldLeadOut_ShowsNothing(string prefix)
    {
        var (_, red, blue) = await TwoTenantsAsync();
        await blue.PutAsync(new("disk/1"), new byte[2], Precondition.Absent, None);
        await red.PutAsync(new("disk/2"), new byte[2], Precondition.Absent, None);

        Assert.Empty(await NamesAsync(red, prefix));
        await ThrowsAsync(BlobErrorKind.Rejected, async () =>
        {
            await foreach (var _ in red.ListFoldersAsync(prefix, None))
            {
            }
        });
    }

    /// <summary>A tenant's listing may start after any string; one that sorts before or after all of its names shows nobody else's.</summary>
    [Fact]
    public async Task Listing_StartedAnywhere_StaysInside()
    {
        var (_, red, blue) = await TwoTenantsAsync();
        await blue.PutAsync(new("disk/1"), new byte[2], Precondition.Absent, None);
        await red.PutAsync(new("disk/2"), new byte[2], Precondition.Absent, None);

        foreach (var after in (string[])["", "!", "../blue/", "disk/1", "disk/2", "~", "\uffff"])
        {
            await foreach (var blob in red.ListAsync("", after, None)) Assert.Equal("disk/2", blob.Name);
            await foreach (var blob in blue.ListAsync("", after, None)) Assert.Equal("disk/1", blob.Name);
        }

        await ThrowsAsync(BlobErrorKind.Rejected, async () =>
        {
            await foreach (var _ in red.ListAsync("", new string('x', 1025), None))
            {
            }
        });
    }

    [Fact]
    public async Task Listing_OfAStoreThatTellsTooMuch_IsCutToTheTenants()
    {
        var store = new TenantStore(new TellingStore(), "red/");

        Assert.Equal(["x"], await NamesAsync(store));
    }

    [Fact]
    public async Task Key_TooLongWithItsPrefix_IsRefused()
    {
        var (_, red, _) = await TwoTenantsAsync();

        await red.PutAsync(new(new string('k', 508)), new byte[1], Precondition.None, None);
        await ThrowsAsync(BlobErrorKind.Rejected, async () => await red.PutAsync(new(new string('k', 509)), new byte[1], Precondition.None, None));
    }

    [Fact]
    public async Task Token_WrongMissingOrTakenBack_IsAccessDenied()
    {
        var (server, red, _) = await TwoTenantsAsync();

        await ThrowsAsync(BlobErrorKind.AccessDenied, async () => await _world.Connect(server).GetLengthAsync(new("a"), None));
        await ThrowsAsync(BlobErrorKind.AccessDenied, async () => await _world.ConnectWithToken(server, "red-secre").GetLengthAsync(new("a"), None));
        await ThrowsAsync(BlobErrorKind.AccessDenied, async () => await _world.ConnectWithToken(server, "red-secret1").PutAsync(new("a"), new byte[1 << 20], Precondition.None, None));
        await ThrowsAsync(BlobErrorKind.AccessDenied, async () => await NamesAsync(_world.ConnectWithToken(server, "red")));
        Assert.Null(await red.GetLengthAsync(new("a"), None));

        _world.File("tokens", TokenLine("red", "renewed") + TokenLine("blue", "blue-secret"));
        await ThrowsAsync(BlobErrorKind.AccessDenied, async () => await red.GetLengthAsync(new("a"), None));
        Assert.Null(await _world.ConnectWithToken(server, "renewed").GetLengthAsync(new("a"), None));

        // A broken file lets nobody in.
        _world.File("tokens", "red:nonsense-renewed");
        await ThrowsAsync(BlobErrorKind.Unavailable, async () => await red.GetLengthAsync(new("a"), None));
        Assert.DoesNotContain(_world.Log, line => line.Contains("secret", StringComparison.Ordinal) || line.Contains("nonsense", StringComparison.Ordinal));
        Assert.Empty(_world.Blobs.Blobs);
    }

    [Theory]
    [InlineData("red")]
    [InlineData("red:abc")]
    [InlineData("a/b:0000000000000000000000000000000000000000000000000000000000000000")]
    [InlineData("..:0000000000000000000000000000000000000000000000000000000000000000")]
    [InlineData(":0000000000000000000000000000000000000000000000000000000000000000")]
    [InlineData("red:000000000000000000000000000000000000000000000000000000000000000g")]
    [InlineData("# nobody")]
    public void Parse_TokensFileWithAFault_NamesTheLineAndNotWhatIsInIt(string line)
    {
        var error = Assert.Throws<BlobStoreException>(() => TenantList.Parse("# tokens\n" + line, "/etc/tokens"));

        Assert.Contains("/etc/tokens", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("0000", error.Message, StringComparison.Ordinal);
    }

    private async Task<(BlobServer Server, GrpcBlobStore Red, GrpcBlobStore Blue)> TwoTenantsAsync()
    {
        var tokens = _world.File("tokens", "# two of them\n" + TokenLine("red", "red-secret") + "\n" + TokenLine("blue", "blue-secret"));
        var server = await _world.ServeAsync(new BlobServerOptions { TokensFile = tokens });
        return (server, _world.ConnectWithToken(server, "red-secret"), _world.ConnectWithToken(server, "blue-secret\n"));
    }

    /// <summary>Takes no notice of the prefix it is asked for.</summary>
    private sealed class TellingStore : IBlobStore
    {
        public string Description => "telling";

        public async IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
        {
            await Task.CompletedTask;
            foreach (var name in (string[])["blue/x", "red", "red/", "red/x", "red0/x"]) yield return new BlobInfo(name, 1);
        }

        public ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken) => throw new NotSupportedException();

        public ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken) => throw new NotSupportedException();

        public ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken) => throw new NotSupportedException();

        public IAsyncEnumerable<string> ListFoldersAsync(string prefix, CancellationToken cancellationToken) => throw new NotSupportedException();

        public ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken) => throw new NotSupportedException();

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
