using Gateway.Scsi;
using Gateway.Volumes.Checking;
using Gateway.Volumes.Checkpoints;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Map;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Volumes.Tests.Checking;

/// <summary>A repair mends what it can prove, and leaves everything else as it was.</summary>
public class VolumeRepairerTests
{
    private const int Leaves = 3;
    private const int LeafBlocks = BucketMap.LeafSpanBytes / VolumeWorld.BlockDefaultBytes;
    private static readonly VolumeKeys Keys = new(VolumeWorld.Name);

    [Theory]
    [InlineData("leaf")]
    [InlineData("page")]
    [InlineData("table")]
    [InlineData("root")]
    public async Task Repair_OfOneDamagedPiece_GivesTheSameContent(string piece)
    {
        await using var world = NewWorld();
        var content = await FillAsync(world);
        await world.OpenAsync();
        await world.CloseAsync(); // A writer that wrote nothing, so that the log before it has a recorded end.
        Damage(world, piece);
        var before = world.Store.Blobs.ToDictionary();

        var report = await RepairAsync(world, forceOffline: true);

        Assert.True(report.Outcome == RepairOutcome.Repaired, string.Join('\n', report.Lines));
        Assert.All(before, blob => Assert.Same(blob.Value, world.Store.Blobs[blob.Key]));
        Assert.All(world.Store.Blobs.Keys.Except(before.Keys), name => Assert.True(
            name.StartsWith(Keys.EpochPrefix, StringComparison.Ordinal) || name.StartsWith(Keys.MapPrefix, StringComparison.Ordinal) || name.StartsWith(Keys.CheckpointPrefix, StringComparison.Ordinal), name));
        Assert.Equal(RepairOutcome.NothingToRepair, (await RepairAsync(world, forceOffline: true)).Outcome);
        await world.OpenAsync();
        Assert.Equal(content, await ReadAllAsync(world));
    }

    [Fact]
    public async Task Repair_WithWritesInTheJournal_LeavesThemToTheNextOpening()
    {
        await using var world = NewWorld();
        await FillAsync(world);
        world.Options.SealAfter = TimeSpan.FromHours(1);
        await world.OpenAsync();
        await world.WriteAsync(5, VolumeWorld.Tagged(77, 1), fua: true);
        world.Kill();
        Damage(world, "leaf");

        Assert.Equal(RepairOutcome.Repaired, (await RepairAsync(world, forceOffline: true)).Outcome);

        await world.OpenAsync();
        Assert.Equal(VolumeWorld.Tagged(77, 1), await world.ReadAsync(5, 1));
    }

    [Fact]
    public async Task Repair_WhenATrimsSegmentIsGone_IsRefused()
    {
        await using var world = NewWorld();
        await FillAsync(world);
        await world.OpenAsync();
        Assert.Equal(BlockResult.Success, await world.Volume.ZeroAsync(new BlockRange(0, 16), true, default));
        await world.CloseAsync();
        var trim = world.Store.Blobs.Keys.Where(k => k.StartsWith(Keys.LogPrefix, StringComparison.Ordinal)).Max(StringComparer.Ordinal)!;
        world.Store.Blobs.Remove(trim); // As the cleaner removes a segment without a live block.
        Damage(world, "leaf");

        await AssertRefusedAsync(world, "no longer in the bucket");
    }

    [Fact]
    public async Task Repair_WhenALiveSegmentIsGone_IsRefused()
    {
        await using var world = NewWorld();
        await FillAsync(world);
        Damage(world, "leaf");
        world.Store.Blobs.Remove(world.Store.Blobs.Keys.First(k => k.StartsWith(Keys.LogPrefix, StringComparison.Ordinal)));

        await AssertRefusedAsync(world, "index cannot be read");
    }

    [Fact]
    public async Task Repair_OfMapAndTableAtOnce_IsRefused()
    {
        await using var world = NewWorld();
        await FillAsync(world);
        Damage(world, "leaf");
        Damage(world, "table");

        await AssertRefusedAsync(world, "without the one the other cannot be proven");
    }

    [Fact]
    public async Task Repair_OfARootWithoutTheOneBefore_IsRefused()
    {
        await using var world = NewWorld();
        await FillAsync(world);
        var (newest, _) = NewestRoot(world);
        foreach (var name in world.Store.Blobs.Keys.Where(k => k.StartsWith(Keys.CheckpointPrefix, StringComparison.Ordinal) && k != newest).ToArray()) world.Store.Blobs.Remove(name);
        Flip(world, newest, 40);

        await AssertRefusedAsync(world, "Nothing was changed");
    }

    [Fact]
    public async Task Repair_OfAVolumeThatMayBeServed_IsRefused()
    {
        await using var world = NewWorld();
        await FillAsync(world);
        await world.OpenAsync();
        Damage(world, "leaf");

        await AssertRefusedAsync(world, "--force-offline", forceOffline: false);
    }

    [Fact]
    public async Task Repair_OfAWholeVolume_ChangesNothing()
    {
        await using var world = NewWorld();
        await FillAsync(world);
        var before = world.Store.Blobs.ToDictionary();

        Assert.Equal(RepairOutcome.NothingToRepair, (await RepairAsync(world, forceOffline: false)).Outcome);
        Assert.Equal(before, world.Store.Blobs);
    }

    [Fact]
    public void Replay_OfMovedBlocks_KeepsThemUnlessALaterSegmentTouchedThem()
    {
        var volume = NewRecord();
        var target = new BucketIndex(volume);
        foreach (var (sequence, kind) in new[] { (3u, SegmentKind.Log), (4u, SegmentKind.Moved) }) target.Segments.Add(sequence, 1 << 20, 8, kind);
        var replay = new MapReplay(volume, target);

        // Segment 1, the source, is gone. Segment 3 came after what the move had seen, and wrote one block and trimmed another.
        replay.Apply(Header(volume, 3, SegmentKind.Log), [Data(1, 1), new SegmentIndexEntry(2, 1, ExtentKind.Zero, 0, 0)]);
        replay.Apply(Header(volume, 4, SegmentKind.Moved, covered: 2), [Data(0, 4)]);

        Assert.Equal([4, 3, 0, 4], Enumerable.Range(0, 4).Select(lba => target.Map.Find((ulong)lba, 1, out _, out var location) == MapAnswer.Data ? location.Sequence : 0));
        Assert.True(target.Segments.TryGet(4, out var moved));
        Assert.Equal(2u, moved.LiveBlocks);
    }

    [Fact]
    public void Replay_OfTwoMovesOfOneBlock_IsRefusedIfNobodyCanTellWhichCounted()
    {
        var volume = NewRecord();
        var target = new BucketIndex(volume);
        foreach (var sequence in new[] { 3u, 4u }) target.Segments.Add(sequence, 1 << 20, 8, SegmentKind.Moved);
        var replay = new MapReplay(volume, target);
        replay.Apply(Header(volume, 3, SegmentKind.Moved, covered: 1), [Data(0, 1)]);

        Assert.Throws<VolumeException>(() => replay.Apply(Header(volume, 4, SegmentKind.Moved, covered: 2), [Data(0, 1)]));
    }

    private static VolumeWorld NewWorld()
    {
        var world = new VolumeWorld();
        world.Options.RemoveAfter = TimeSpan.FromHours(1);
        world.Options.CleanAbove = 1;
        (world.Options.CheckpointSegmentsMin, world.Options.CheckpointSegments, world.Options.CheckpointIdle) = (int.MaxValue, int.MaxValue, TimeSpan.FromHours(1)); // Only at a close.
        return world;
    }

    /// <summary>Several leaves with data, overwritten and trimmed in part, in more than one checkpoint; closed. Returns the content.</summary>
    private static async Task<byte[]> FillAsync(VolumeWorld world)
    {
        await world.CreateAsync(Leaves * BucketMap.LeafSpanBytes);
        await world.OpenAsync();
        for (var i = 0; i < 24; i++) await world.WriteAsync((ulong)(i * Leaves * LeafBlocks / 24), VolumeWorld.Tagged(i + 1, 32));
        Assert.Equal(BlockResult.Success, await world.Volume.ZeroAsync(new BlockRange(8, 3), true, default));
        await world.CloseAsync();
        await world.OpenAsync();
        for (var i = 0; i < 8; i++) await world.WriteAsync((ulong)(i * Leaves * LeafBlocks / 24 * 3) + 4, VolumeWorld.Tagged(100 + i, 20));

        Assert.Equal(BlockResult.Success, await world.Volume.ZeroAsync(new BlockRange(LeafBlocks, 7), true, default));
        var content = await ReadAllAsync(world);
        await world.CloseAsync();
        return content;
    }

    private static async Task<byte[]> ReadAllAsync(VolumeWorld world)
    {
        var content = new List<byte>();
        for (var lba = 0; lba < Leaves * LeafBlocks; lba += 1024) content.AddRange(await world.ReadAsync((ulong)lba, 1024));
        return [.. content];
    }

    private static Task<RepairReport> RepairAsync(VolumeWorld world, bool forceOffline) =>
        new VolumeRepairer(world.Store, VolumeWorld.Name, "test", TimeProvider.System, new Random(1), NullLogger.Instance).RunAsync(forceOffline, default);

    private static async Task AssertRefusedAsync(VolumeWorld world, string says, bool forceOffline = true)
    {
        var before = world.Store.Blobs.ToDictionary();
        var report = await RepairAsync(world, forceOffline);
        Assert.True(report.Outcome == RepairOutcome.Refused, string.Join('\n', report.Lines));
        Assert.Contains(says, report.Lines[^1], StringComparison.Ordinal);
        Assert.Equal(before, world.Store.Blobs);
    }

    private static (string Name, CheckpointRoot Root) NewestRoot(VolumeWorld world)
    {
        var name = world.Store.Blobs.Keys.Where(k => k.StartsWith(Keys.CheckpointPrefix, StringComparison.Ordinal)).Max(StringComparer.Ordinal)!;
        return (name, CheckpointRoot.Decode(world.Store.Blobs[name], name));
    }

    private static void Damage(VolumeWorld world, string piece)
    {
        var (name, root) = NewestRoot(world);
        var page = root.MapPages[0].Pointer;
        switch (piece)
        {
            case "root":
                Flip(world, name, 40);
                break;
            case "page":
                FlipPiece(world, root, page);
                break;
            case "table":
                FlipPiece(world, root, root.SegmentPages[0].Pointer);
                break;
            default:
                var bytes = world.Store.Blobs[BlobOf(root, page)].AsSpan((int)page.OffsetBytes, (int)page.LengthBytes);
                FlipPiece(world, root, MapPageFormat.Decode(bytes, 0, Leaves, page)[0]);
                break;
        }
    }

    private static string BlobOf(CheckpointRoot root, PiecePointer pointer) => Keys.MapBlob(root.MapBlobs.Single(b => b.Number == pointer.Blob).Id).Value;

    private static void FlipPiece(VolumeWorld world, CheckpointRoot root, PiecePointer pointer) => Flip(world, BlobOf(root, pointer), (int)pointer.OffsetBytes + 10);

    private static void Flip(VolumeWorld world, string name, int offset)
    {
        var damaged = world.Store.Blobs[name].ToArray();
        damaged[offset] ^= 0x20;
        world.Store.Blobs[name] = damaged;
    }

    private static VolumeRecord NewRecord() => new()
    {
        Name = "v",
        Id = new Guid("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"),
        SizeBytes = 1 << 20,
        BlockSizeBytes = 512,
        PhysicalBlockSizeBytes = 4096,
        CreatedAt = DateTimeOffset.UnixEpoch,
    };

    private static SegmentHeader Header(VolumeRecord volume, long sequence, SegmentKind kind, long covered = 0) =>
        new(volume.Id, new SegmentId(1, sequence), default, 1, 1, 1, 1 << 20, 0, 512, 0, kind, covered);

    private static SegmentIndexEntry Data(ulong lba, uint blocks) => new(lba, blocks, ExtentKind.Data, 4096, 4096);
}
