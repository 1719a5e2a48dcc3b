using Gateway.Volumes.Formats;
using Gateway.Volumes.Map;
using Xunit;

namespace Gateway.Volumes.Tests.Map;

public class BucketMapTests
{
    private const int SpanBlocks = 512; // Of 4 KiB.
    private const int PageBlocks = SpanBlocks * BucketMap.LeavesPerPage;

    [Fact]
    public void Find_FullFramesWrittenInSequence_AreOneRunAndKeepTheirPlaces()
    {
        var world = new MapWorld(PageBlocks, 4096);

        WriteSequentially(world, 0, 2 * SpanBlocks);

        world.AssertSame(0, 2 * SpanBlocks);
        Assert.Equal(MapAnswer.Data, world.Map.Find(5, 1000, out var blocks, out var location));
        Assert.Equal((27u, 5), (blocks, location.BlockOffset));
        world.Freeze();
        Assert.All(world.Frozen!.Leaves, leaf => Assert.Equal(1, leaf.Content.Count));
    }

    [Fact]
    public void Find_FramesOfDifferentLengths_StayApart()
    {
        var world = new MapWorld(PageBlocks, 4096);

        world.Commit((0, 32, world.Location(8, 5000)), (32, 32, world.Location(8 + 313, 6000)));

        world.AssertSame(0, SpanBlocks);
    }

    [Fact]
    public void Set_OverAnUnloadedLeaf_NeedsNoLoading()
    {
        var world = Stored((0, 32), (40, 32));

        world.Commit((10, 4, world.Location(8, world.RawLength(4))), (50, 4, default));

        Assert.Equal(MapAnswer.Data, world.Map.Find(10, 100, out var blocks, out _));
        Assert.Equal(4u, blocks);
        Assert.Equal(MapAnswer.Hole, world.Map.Find(50, 100, out blocks, out _));
        Assert.Equal(4u, blocks);
        Assert.Equal(MapAnswer.Unloaded, world.Map.Find(14, 100, out blocks, out _));
        Assert.Equal(36u, blocks);
        Assert.True(world.Map.TryGetMissing(14, out var missing));
        Assert.True(missing.IsPage);
        Assert.False(world.Map.TryGetMissing(12, out _));
        world.AssertAllSame();
    }

    [Fact]
    public void LoadPage_OfAnOlderCheckpoint_IsIgnored()
    {
        var world = Stored((0, 32));
        Assert.True(world.Map.TryGetMissing(0, out var old));
        var bytes = world.Stored(old);
        world.Commit((0, 32, world.Location(8, world.RawLength(32))));
        world.Checkpoint();
        Empty(world);

        world.Map.Load(old, bytes);

        Assert.Equal(0, world.Map.ResidentBytes);
        world.AssertAllSame();
    }

    [Fact]
    public void LoadLeaf_OfAnOlderCheckpoint_IsIgnored()
    {
        var world = Stored((0, 32));
        world.Map.TryGetMissing(0, out var page);
        world.Load(page);
        Assert.True(world.Map.TryGetMissing(0, out var old));
        world.Commit((0, 16, world.Location(8, world.RawLength(16))));
        world.Checkpoint();
        Empty(world);
        world.Map.TryGetMissing(0, out page);
        world.Load(page);

        world.Load(old);

        Assert.Equal(MapAnswer.Unloaded, world.Map.Find(0, 1, out _, out _));
        world.AssertAllSame();
    }

    [Fact]
    public void Load_DamagedPiece_IsRefusedAndChangesNothing()
    {
        var world = Stored((0, 32));
        world.Map.TryGetMissing(0, out var page);
        Assert.Throws<VolumeException>(() => world.Map.Load(page, world.Stored(page).AsSpan(1)));
        world.Load(page);
        world.Map.TryGetMissing(0, out var leaf);

        var refusal = Assert.Throws<VolumeException>(() => world.Map.Load(leaf, world.Stored(page)));

        Assert.Equal(VolumeErrorKind.Damaged, refusal.Kind);
        Assert.Equal(MapAnswer.Unloaded, world.Map.Find(0, 1, out _, out _));
        world.AssertAllSame();
    }

    [Fact]
    public void LoadLeaf_OfADeletedSegment_IsRefused()
    {
        var world = Stored((0, 32));
        world.Map.TryGetMissing(0, out var page);
        world.Load(page);
        world.Map.TryGetMissing(0, out var leaf);
        world.Segments.Remove(1);

        var refusal = Assert.Throws<VolumeException>(() => world.Load(leaf));

        Assert.Contains("segment 1", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Freeze_ThenChange_StoresWhatWasThereThen()
    {
        var world = new MapWorld(PageBlocks, 4096);
        world.Commit((0, 32, world.Location(8, world.RawLength(32))));
        world.Freeze();
        world.Commit((0, SpanBlocks, default));
        Assert.Equal(1, world.Map.DirtyLeaves);

        world.Publish();

        // The stored leaf has the data; the leaf in memory is empty, and must be what counts and what the next checkpoint takes.
        Assert.Equal(MapAnswer.Hole, world.Map.Find(0, 1, out _, out _));
        Assert.False(world.Map.Pages[0].IsNone);
        world.Restart();
        world.AssertAllSame();
        world.Checkpoint();
        Assert.True(world.Map.Pages[0].IsNone);
        Assert.Equal(0, world.Map.ResidentBytes);
        Assert.Empty(world.Map.PiecesIn(1));
    }

    [Fact]
    public void Freeze_WithAnUnloadedBase_IsRefused()
    {
        var world = Stored((0, 32));
        world.Commit((0, 1, default));

        Assert.Throws<InvalidOperationException>(world.Map.Freeze);

        world.Freeze();
        Assert.Throws<InvalidOperationException>(world.Map.Freeze);
    }

    [Fact]
    public void Publish_WithoutNewPointers_IsRefusedAndCanBeAbandoned()
    {
        var world = new MapWorld(PageBlocks, 4096);
        world.Commit((0, 32, world.Location(8, world.RawLength(32))));
        world.Freeze();

        Assert.Throws<InvalidOperationException>(() => world.Map.Publish(world.Frozen!));
        world.Abandon();

        Assert.Equal(1, world.Map.DirtyLeaves);
        world.Checkpoint();
        Empty(world);
        world.AssertAllSame();
    }

    [Fact]
    public void Checkpoint_OfUnchangedLeaves_WritesOnlyTheChangedOnes()
    {
        var world = Stored((0, 32), (SpanBlocks, 32), (5 * SpanBlocks, 32));
        world.LoadAt(0);

        world.Commit((SpanBlocks, 1, world.Location(8, world.RawLength(1))));
        world.Freeze();

        Assert.Equal([1L], world.Frozen!.Leaves.Select(l => l.Number));
        Assert.Single(world.Frozen.Pages);
        Assert.Equal(2, world.Frozen.Superseded.Count());
    }

    [Fact]
    public void Trim_OfHolesInALeaf_LeavesItClean()
    {
        var world = Stored((0, 32));
        world.LoadAt(0);

        world.Commit((32, 400, default), (10 * SpanBlocks, 5 * SpanBlocks, default));

        Assert.Equal(0, world.Map.DirtyLeaves);
    }

    [Fact]
    public void Trim_OfTheWholeVolume_HoldsNoLeavesForIt()
    {
        var world = new MapWorld(4 * PageBlocks, 4096);
        for (var leaf = 0; leaf < 2000; leaf++) world.Commit((leaf * SpanBlocks, 1, world.Location(8, world.RawLength(1))));
        world.Checkpoint();
        Empty(world);

        world.Commit((0, 4 * PageBlocks, default));

        Assert.InRange(world.Map.ResidentBytes, 0, 20 << 10);
        Assert.Equal(MapAnswer.Hole, world.Map.Find(0, 1, out _, out _));
        world.Checkpoint();
        Assert.Equal(0, world.Segments.LiveBlocks);
        Assert.Equal(0, world.Map.ResidentBytes);
    }

    [Fact]
    public void SetMoved_ToAnOverlayWhoseBaseIsOlder_NeedsNoLoading()
    {
        var world = Stored((0, 32));
        world.Commit((4, 4, world.Location(8, world.RawLength(4))), (12, 4, default));
        var covered = world.Sequence - 1;

        Assert.True(world.Map.CanApplyMoved(0, 32, covered));
        world.CommitMoved(covered, (0, 32, world.Location(8, world.RawLength(32))));

        Assert.Equal(MapAnswer.Data, world.Map.Find(0, 32, out var blocks, out var location));
        Assert.Equal((4u, (long)world.Sequence), (blocks, location.Sequence));
        world.AssertAllSame();
    }

    [Fact]
    public void SetMoved_ToABaseThatMayBeNewer_NeedsItsLeaf()
    {
        var world = new MapWorld(PageBlocks, 4096);
        world.Commit((0, 32, world.Location(8, world.RawLength(32))));
        var covered = world.Sequence;
        world.Commit((4, 4, world.Location(8, world.RawLength(4))));
        world.Checkpoint();
        Empty(world);

        Assert.False(world.Map.CanApplyMoved(0, 32, covered));
        Assert.Throws<InvalidOperationException>(() => world.Map.SetMoved(0, 32, new SegmentLocation(3, 128, world.RawLength(32)), covered));
        world.CommitMoved(covered, (0, 32, world.Location(8, world.RawLength(32))));

        world.AssertAllSame();
    }

    [Fact]
    public void MarkDirty_OfAnUnloadedLeaf_WritesItAgain()
    {
        var world = Stored((0, 32), (SpanBlocks, 32));
        var before = world.Map.Pages[0];

        world.Map.MarkDirty(1);
        world.Map.MarkDirty(2);
        world.Map.MarkDirty(BucketMap.LeavesPerPage - 1);
        world.Checkpoint();

        Assert.NotEqual(before, world.Map.Pages[0]);
        Assert.Equal([(true, 0L), (false, 1L)], world.Map.PiecesIn(world.Map.Pages[0].Blob).Select(p => (p.IsPage, p.Number)));
        Empty(world);
        world.AssertAllSame();
    }

    [Fact]
    public void Evict_WhileACheckpointTakesAPageWithoutLeaves_KeepsThePage()
    {
        var world = Stored((0, 32));
        world.Map.MarkPageDirty(0);
        world.Freeze();

        world.Map.Evict(0);
        world.Map.Evict(0);
        world.Publish();

        Empty(world);
        world.AssertAllSame();
    }

    [Fact]
    public void MarkPageDirty_OfAnUnloadedPage_WritesItAgain()
    {
        var world = Stored((0, 32));
        var before = world.Map.Pages[0];

        world.Map.MarkPageDirty(0);
        world.Checkpoint();

        Assert.NotEqual(before, world.Map.Pages[0]);
        Empty(world);
        world.AssertAllSame();
    }

    [Fact]
    public void Evict_RecentlyUsedLeaves_StayLongest()
    {
        var world = new MapWorld(PageBlocks, 4096);
        for (var leaf = 0; leaf < 100; leaf++) world.Commit((leaf * SpanBlocks, 1, world.Location(8, world.RawLength(1))));
        world.Checkpoint();
        world.Map.Evict(world.Map.ResidentBytes - 1); // Clears the marks that the writes left.
        world.Map.Find(50 * SpanBlocks, 1, out _, out _);

        world.Map.Evict(world.Map.ResidentBytes - 3000);

        Assert.Equal(MapAnswer.Data, world.Map.Find(50 * SpanBlocks, 1, out _, out _));
        Assert.Equal(MapAnswer.Unloaded, world.Map.Find(0, 1, out _, out _));
    }

    [Fact]
    public void Evict_DirtyAndFrozenLeaves_Stay()
    {
        var world = new MapWorld(PageBlocks, 4096);
        world.Commit((0, 1, world.Location(8, world.RawLength(1))));
        world.Freeze();
        world.Commit((SpanBlocks, 1, world.Location(8, world.RawLength(1))));

        Assert.Equal(0, world.Map.Evict(0));

        world.Publish();
        Assert.NotEqual(0, world.Map.Evict(0));
        world.AssertAllSame();
    }

    [Fact]
    public void Set_PastTheVolumeOrTheFrame_IsRefused()
    {
        var segments = new SegmentTable();
        segments.Add(1, 4096, 100, SegmentKind.Log);
        var map = new BucketMap(1000, 4096, segments);
        var location = new SegmentLocation(1, 128, 4000);

        Assert.Throws<ArgumentOutOfRangeException>(() => map.Set(999, 2, location));
        Assert.Throws<ArgumentOutOfRangeException>(() => map.Set(0, 33, location));
        Assert.Throws<ArgumentOutOfRangeException>(() => map.Set(0, 32, location.Advance(1)));
        Assert.Throws<ArgumentOutOfRangeException>(() => map.Trim(ulong.MaxValue, 1, 1));
        Assert.Equal(0, segments.LiveBlocks);
    }

    [Fact]
    public void RestorePages_OfALargerVolume_IsRefused()
    {
        var map = new BucketMap(PageBlocks, 4096, new SegmentTable());

        Assert.Throws<VolumeException>(() => map.RestorePages([new NumberedPointer(1, new PiecePointer(1, 64, 100, 0))], 5));
    }

    /// <summary>A world whose map was stored and dropped.</summary>
    private static MapWorld Stored(params (int Lba, int Blocks)[] extents)
    {
        var world = new MapWorld(4 * PageBlocks, 4096);
        world.Commit([.. extents.Select((e, i) => (e.Lba, e.Blocks, world.Location(8 + (i * 9000), world.RawLength(e.Blocks))))]);
        world.Checkpoint();
        Empty(world);
        return world;
    }

    private static void Empty(MapWorld world)
    {
        world.Map.Evict(0);
        Assert.Equal(0, world.Map.ResidentBytes);
    }

    private static void WriteSequentially(MapWorld world, int lba, int blocks)
    {
        var frames = blocks / world.FrameBlocks;
        var length = world.RawLength(world.FrameBlocks);
        world.Commit([.. Enumerable.Range(0, frames).Select(i => (lba + (i * world.FrameBlocks), world.FrameBlocks, world.Location(8 + (i * length / 16), length)))]);
    }
}
