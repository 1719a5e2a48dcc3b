using Gateway.Volumes.Checkpoints;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Log;
using Gateway.Volumes.Map;
using Xunit;

namespace Gateway.Volumes.Tests.Checkpoints;

/// <summary>What a checkpoint stores, what it frees, and what is left when it dies on the way.</summary>
public class CheckpointerTests
{
    private const ulong PageBlocks = (ulong)BucketMap.LeavesPerPage * CheckpointWorld.SpanBlocks;

    [Fact]
    public async Task Checkpoint_DiesBetweenMapBlobsAndRoot_TheOneBeforeIsWholeAndNamesAreNotReused()
    {
        var world = new CheckpointWorld();
        world.Commit(0, 1, 5000);
        await world.CheckpointAsync();
        var before = world.Memory.Blobs.ToDictionary();
        world.Commit(7, 9000);
        using var death = new CancellationTokenSource();
        world.Store.BeforeRequest = (name, key, _) =>
        {
            if (name == "put" && key.StartsWith(world.Keys.CheckpointPrefix, StringComparison.Ordinal)) death.Cancel();
            death.Token.ThrowIfCancellationRequested();
            return default;
        };

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => world.CheckpointAsync(death.Token));
        world.Store.BeforeRequest = null;

        Assert.Equal(2, world.Names(world.Keys.MapPrefix).Length); // The second is nobody's.
        Assert.All(before, blob => Assert.Same(blob.Value, world.Memory.Blobs[blob.Key]));
        var orphan = world.Names(world.Keys.MapPrefix)[1];
        var content = world.Memory.Blobs[orphan];
        world.Commit(8);
        await world.CheckpointAsync();
        Assert.Same(content, world.Memory.Blobs[orphan]);
        await world.RestartAsync();
        await world.AssertMapAsync();
    }

    [Fact]
    public async Task Checkpoint_OfANumberThatWasTriedBefore_GetsAnotherName()
    {
        var world = new CheckpointWorld();
        world.Commit(0);
        (BlobKeyCopy? late, var cancel) = (null, new CancellationTokenSource());
        world.Store.BeforeRequest = (name, key, _) =>
        {
            if (name != "put" || !key.StartsWith(world.Keys.CheckpointPrefix, StringComparison.Ordinal) || late is not null) return default;
            late = new BlobKeyCopy(key);
            cancel.Cancel();
            throw new OperationCanceledException(cancel.Token); // The request is still on its way.
        };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => world.CheckpointAsync(cancel.Token));

        world.Commit(1);
        await world.CheckpointAsync();

        Assert.DoesNotContain(late!.Key, world.Memory.Blobs.Keys); // It may arrive, and is then the older one.
        Assert.True(string.CompareOrdinal(late.Key, world.Names(world.Keys.CheckpointPrefix).Single()) < 0);
        cancel.Dispose();
    }

    [Fact]
    public async Task Checkpoint_NewerEpochAfterItsRoot_IsNotInForceAndFreesNothing()
    {
        var world = new CheckpointWorld();
        world.Commit(0);
        await world.CheckpointAsync();
        var root = world.Index.Root;
        world.Commit(0);
        world.Store.AfterEffect = (name, key, _) =>
        {
            if (name == "put" && key.StartsWith(world.Keys.CheckpointPrefix, StringComparison.Ordinal)) world.Memory.Blobs[world.Keys.Epoch(world.Epoch + 1).Value] = [];
            return default;
        };

        await Assert.ThrowsAsync<FencedException>(() => world.CheckpointAsync());

        Assert.Equal(root!.Id, world.Index.Root!.Id);
        await world.AssertMapAsync();
    }

    [Fact]
    public async Task Checkpoint_PiecesOfSparseBlobsOnPagesThatAreNotInMemory_AreWrittenAgain()
    {
        // Two blobs' worth of leaves on pages of their own, most of which go away; then nothing of them is in memory.
        var world = new CheckpointWorld(sizeBytes: 1L << 40);
        world.Commit([.. Enumerable.Range(0, 300).Select(page => (ulong)page * PageBlocks)]);
        await world.CheckpointAndRemoveAsync();
        var first = Assert.Single(world.Names(world.Keys.MapPrefix));
        await world.RestartAsync();
        for (var round = 0; round < 2; round++)
        {
            world.Commit([.. Enumerable.Range(0, 250).Select(page => (ulong)page * PageBlocks)]);
            await world.CheckpointAndRemoveAsync();
            await world.RestartAsync();
        }

        for (ulong i = 0; i < 40 && world.Memory.Blobs.ContainsKey(first); i++)
        {
            world.Commit(i);
            await world.CheckpointAndRemoveAsync();
            world.Index.Map.Evict(0);
        }

        Assert.DoesNotContain(first, world.Memory.Blobs.Keys);
        await world.RestartAsync();
        await world.AssertMapAsync();
    }

    [Fact]
    public async Task Checkpoint_SegmentTablePageInASparseBlob_IsWrittenAgain()
    {
        // A page of the table that nothing changes any more, in a blob of which everything else goes.
        var world = new CheckpointWorld();
        ulong[] leaves = [.. Enumerable.Range(0, 2000).Select(leaf => (ulong)leaf * CheckpointWorld.SpanBlocks)];
        world.Commit(10_000_000);
        while (world.Index.Position.Sequence < SegmentTable.SegmentsPerPage - 1) world.Commit(1);
        await world.CheckpointAndRemoveAsync();
        world.Commit(leaves);
        world.Commit(1);
        await world.CheckpointAndRemoveAsync();
        world.Commit(1);
        await world.CheckpointAndRemoveAsync();
        var blob = world.Keys.MapBlob(world.Index.Root!.MapBlobs.Single(b => b.Number == world.Index.Root.SegmentPages[0].Pointer.Blob).Id).Value;
        world.Commit(leaves);

        for (ulong i = 0; i < 4; i++)
        {
            await world.CheckpointAndRemoveAsync();
            world.Commit(2 + i);
        }

        Assert.DoesNotContain(blob, world.Memory.Blobs.Keys);
        await world.CheckpointAndRemoveAsync();
        await world.RestartAsync();
        await world.AssertMapAsync();
    }

    [Fact]
    public void After_MoreIsFreedThanWasInUse_TheBlobStays()
    {
        var table = new MapBlobTable();
        table.Restore([new MapBlobUse(1, new MapBlobId(1, 1), 1000, 100), new MapBlobUse(2, new MapBlobId(1, 2), 1000, 100)], 3);

        var (blobs, dead, miscounted) = table.After([], [new PiecePointer(1, 64, 100, 0), new PiecePointer(2, 64, 101, 0), new PiecePointer(2, 200, 100, 0)]);

        Assert.Equal([1u], dead.Select(b => b.Number));
        Assert.Equal([2u], miscounted);
        Assert.Equal([new MapBlobUse(2, new MapBlobId(1, 2), 1000, 1000 - MapBlobHeader.HeaderLengthBytes)], blobs);
    }

    private sealed record BlobKeyCopy(string Key);
}
