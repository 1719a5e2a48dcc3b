using Gateway.Backends.Core;
using Xunit;

namespace Gateway.Backends.Rados.Tests;

/// <summary>When a store goes on with its connection, and when it makes another.</summary>
public sealed class ConnectionTests
{
    [Theory]
    [InlineData(RadosErrors.ESHUTDOWN, BlobErrorKind.Unavailable, 2)]
    [InlineData(RadosException.PoolMissing, BlobErrorKind.ContainerMissing, 2)]
    [InlineData(RadosErrors.EIO, BlobErrorKind.Unavailable, 1)]
    public async Task Request_AfterAnError_ConnectsAnewOnlyWhereThatHelps(int errno, BlobErrorKind kind, int connections)
    {
        await using var world = new RadosWorld();
        await world.Store.PutAsync(new("blob"), new byte[3], Precondition.Absent, CancellationToken.None);
        world.Pool.NextError = errno;

        var error = await Assert.ThrowsAsync<BlobStoreException>(async () => await world.Store.GetLengthAsync(new("blob"), CancellationToken.None));

        Assert.Equal(kind, error.Kind);
        Assert.Equal(3, await world.Store.GetLengthAsync(new("blob"), CancellationToken.None));
        Assert.Equal(connections, world.Connections);
    }

    [Fact]
    public async Task Request_ConnectionThatDoesNotComeAbout_IsTriedAgainByTheNext()
    {
        var tries = 0;
        await using var store = new RadosBlobStore(new RadosStoreOptions { Pool = "pool" }, TimeProvider.System, () => tries++ == 0 ? throw RadosErrors.PoolMissing("pool", "pool") : new SimulatedPool());

        var error = await Assert.ThrowsAsync<BlobStoreException>(async () => await store.GetLengthAsync(new("blob"), CancellationToken.None));

        Assert.Equal(BlobErrorKind.ContainerMissing, error.Kind);
        Assert.Null(await store.GetLengthAsync(new("blob"), CancellationToken.None));
    }
}
