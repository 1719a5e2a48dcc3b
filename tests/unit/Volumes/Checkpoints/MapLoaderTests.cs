using Gateway.Backends.Core;
using Gateway.Volumes.Map;
using Xunit;

namespace Gateway.Volumes.Tests.Checkpoints;

/// <summary>Loads that several callers share.</summary>
public class MapLoaderTests
{
    [Fact]
    public async Task Load_FirstOfTwoCallersGivesUp_TheOtherGetsItFromTheSameRequest()
    {
        var world = await StoredAsync();
        var (reads, arrived, release) = (0, new TaskCompletionSource(), new TaskCompletionSource());
        world.Store.BeforeRequest = async (name, _, cancellationToken) =>
        {
            if (name != "read") return;
            reads++;
            arrived.TrySetResult();
            await release.Task.WaitAsync(cancellationToken);
        };
        using var first = new CancellationTokenSource();
        var impatient = world.Loader.LoadAsync(0, first.Token).AsTask();
        await arrived.Task;
        var patient = world.Loader.LoadAsync(0, default).AsTask();

        first.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => impatient);
        Assert.False(patient.IsCompleted);
        release.SetResult();
        await patient;

        Assert.Equal(2, reads); // The page, then the leaf.
        Assert.Equal(MapAnswer.Data, world.Index.Map.Find(0, 1, out _, out _));
    }

    [Fact]
    public async Task Load_LeavesOfNeighbouringData_ComeWithOneRequest()
    {
        var world = await StoredAsync(leaves: 50);
        await world.Loader.LoadAsync(0, default);
        var before = world.Store.Requests;

        await world.AssertMapAsync();

        Assert.Equal(before, world.Store.Requests);
    }

    [Fact]
    public async Task Load_NeighbourDamaged_FailsOnlyItself()
    {
        var world = await StoredAsync(leaves: 3);
        await world.Loader.LoadAsync(0, default);
        Assert.False(world.Index.Map.TryGetMissing(2 * CheckpointWorld.SpanBlocks, out _));
        await world.RestartAsync();
        var damaged = await LeafAsync(world, 1);
        world.Memory.Blobs[damaged.Blob][damaged.OffsetBytes] ^= 1;

        await world.Loader.LoadAsync(0, default);
        await world.Loader.LoadAsync(2 * CheckpointWorld.SpanBlocks, default);
        var failure = await Assert.ThrowsAsync<VolumeException>(() => world.Loader.LoadAsync(CheckpointWorld.SpanBlocks, default).AsTask());

        Assert.Equal(VolumeErrorKind.Damaged, failure.Kind);
        Assert.Equal(MapAnswer.Data, world.Index.Map.Find(0, 1, out _, out _));
        Assert.Equal(MapAnswer.Data, world.Index.Map.Find(2 * CheckpointWorld.SpanBlocks, 1, out _, out _));
    }

    [Fact]
    public async Task Load_WaitsForItAsANeighbourOfADamagedLeaf_GetsItAllTheSame()
    {
        var world = await StoredAsync(leaves: 2);
        var damaged = await LeafAsync(world, 0);
        world.Memory.Blobs[damaged.Blob][damaged.OffsetBytes] ^= 1;
        var (arrived, release) = (new TaskCompletionSource(), new TaskCompletionSource());
        world.Store.BeforeRequest = async (_, _, _) =>
        {
            arrived.TrySetResult();
            await release.Task;
        };
        var first = world.Loader.LoadAsync(0, default).AsTask();
        await arrived.Task;
        var second = world.Loader.LoadAsync(CheckpointWorld.SpanBlocks, default).AsTask();
        release.SetResult();

        await Assert.ThrowsAsync<VolumeException>(() => first);
        await second;

        Assert.Equal(MapAnswer.Data, world.Index.Map.Find(CheckpointWorld.SpanBlocks, 1, out _, out _));
    }

    [Fact]
    public async Task Load_TransferGoesWrongOnce_IsTriedAgain()
    {
        var world = await StoredAsync(leaves: 1);
        var leaf = await LeafAsync(world, 0);
        world.Memory.Blobs[leaf.Blob][leaf.OffsetBytes] ^= 1;
        var reads = 0;
        world.Store.BeforeRequest = (_, _, _) =>
        {
            if (++reads == 2) world.Memory.Blobs[leaf.Blob][leaf.OffsetBytes] ^= 1;
            return default;
        };

        await world.Loader.LoadAsync(0, default);

        Assert.Equal(2, reads);
        Assert.Equal(MapAnswer.Data, world.Index.Map.Find(0, 1, out _, out _));
    }

    [Fact]
    public async Task Load_NobodyWaitsForAnyMore_EndsAndCanBeAskedForAgain()
    {
        var world = await StoredAsync();
        var ended = new TaskCompletionSource();
        world.Store.BeforeRequest = async (_, _, cancellationToken) =>
        {
            try
            {
                await new TaskCompletionSource().Task.WaitAsync(cancellationToken);
            }
            finally
            {
                ended.SetResult();
            }
        };
        using var caller = new CancellationTokenSource();
        var load = world.Loader.LoadAsync(0, caller.Token).AsTask();
        caller.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => load);
        await ended.Task;
        world.Store.BeforeRequest = null;

        await world.AssertMapAsync();
    }

    [Fact]
    public async Task Load_StartsItsRequestOutsideTheGate()
    {
        var world = await StoredAsync();
        var held = 0;
        world.Store.BeforeRequest = (_, _, _) =>
        {
            if (world.Gate.IsHeldByCurrentThread) held++;
            return default;
        };

        await world.AssertMapAsync();

        Assert.Equal(0, held);
    }

    [Fact]
    public async Task Load_PieceMovedAndItsBlobGoneMeanwhile_FindsItWhereItIsNow()
    {
        var world = await StoredAsync();
        var moved = false;
        world.Store.BeforeRequest = async (name, _, _) =>
        {
            if (name != "read" || moved) return;
            moved = true;
            world.Commit(0, 5000);
            await world.CheckpointAndRemoveAsync();
            world.Index.Map.Evict(0);
        };

        await world.AssertMapAsync();

        Assert.True(moved);
    }

    [Fact]
    public async Task Load_StoreFails_TellsEverybodyAndTheNextOneTriesAgain()
    {
        var world = await StoredAsync();
        var (arrived, release) = (new TaskCompletionSource(), new TaskCompletionSource());
        world.Store.BeforeRequest = async (_, _, _) =>
        {
            arrived.TrySetResult();
            await release.Task;
            throw new BlobStoreException(BlobErrorKind.Unavailable, "By design of the test.");
        };
        var first = world.Loader.LoadAsync(0, default).AsTask();
        await arrived.Task;
        var second = world.Loader.LoadAsync(0, default).AsTask();

        release.SetResult();

        await Assert.ThrowsAsync<BlobStoreException>(() => first);
        await Assert.ThrowsAsync<BlobStoreException>(() => second);
        world.Store.BeforeRequest = null;
        await world.AssertMapAsync();
    }

    /// <summary>Where a leaf is stored. Loads the page, but not the leaf.</summary>
    private static async Task<(string Blob, int OffsetBytes)> LeafAsync(CheckpointWorld world, int leaf)
    {
        var lba = (ulong)(leaf * CheckpointWorld.SpanBlocks);
        Assert.True(world.Index.Map.TryGetMissing(lba, out var page) && page.IsPage);
        await world.Loader.LoadAsync([page], default);
        Assert.True(world.Index.Map.TryGetMissing(lba, out var missing) && !missing.IsPage);
        return (Assert.Single(world.Names(world.Keys.MapPrefix)), (int)missing.Pointer.OffsetBytes);
    }

    private static async Task<CheckpointWorld> StoredAsync(int leaves)
    {
        var world = new CheckpointWorld();
        world.Commit([.. Enumerable.Range(0, leaves).Select(i => (ulong)(i * CheckpointWorld.SpanBlocks))]);
        await world.CheckpointAsync();
        await world.RestartAsync();
        return world;
    }

    private static async Task<CheckpointWorld> StoredAsync()
    {
        var world = new CheckpointWorld();
        world.Commit(0, 5000);
        await world.CheckpointAsync();
        await world.RestartAsync();
        return world;
    }
}
