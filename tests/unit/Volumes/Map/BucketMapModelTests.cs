using Gateway.Volumes.Map;
using Xunit;

namespace Gateway.Volumes.Tests.Map;

/// <summary>Everything that can happen to a map, in random order, against an array of blocks.</summary>
public class BucketMapModelTests
{
    public static TheoryData<int, int> Seeds
    {
        get
        {
            var data = new TheoryData<int, int>();
            for (var seed = 1; seed <= 40; seed++) data.Add(seed, seed % 2 == 0 ? 512 : 4096);
            return data;
        }
    }

    [Theory, MemberData(nameof(Seeds))]
    public void BucketMap_RandomOperations_AgreesWithAnArray(int seed, int blockLengthBytes)
    {
        var random = new Random(seed);
        var spanBlocks = BucketMap.LeafSpanBytes / blockLengthBytes;
        // A little more than two pages, the last leaf cut off by the end of the volume; what happens there happens in a few leaves.
        var world = new MapWorld((ulong)((2050 * spanBlocks) + (spanBlocks / 3)), blockLengthBytes);
        int[] hot = [0, 1, 1022, 1023, 1024, 2047, 2048, 2049, 2050];
        var moves = new List<(uint Covered, int Lba, int Blocks)>();
        var stale = new List<(MissingPiece Piece, byte[] Bytes)>();

        int Pick() => Math.Min((hot[random.Next(hot.Length)] * spanBlocks) + random.Next(spanBlocks), world.Model.Length - 1);

        for (var step = 0; step < 600; step++)
        {
            switch (random.Next(14))
            {
                case < 4:
                    Commit(world, random, Pick);
                    break;
                case 4: // The cleaner reads survivors.
                    var lba = Pick();
                    var blocks = 0;
                    while (lba < world.Model.Length && world.Model[lba].IsTrimmed) lba++;
                    while (lba + blocks < world.Model.Length && blocks < world.FrameBlocks && !world.Model[lba + blocks].IsTrimmed) blocks++;
                    if (blocks > 0) moves.Add((world.Sequence, lba, blocks));
                    break;
                case 5: // They arrive, maybe much later.
                    if (moves.Count == 0) break;
                    var covered = moves[0].Covered;
                    var survivors = moves.TakeWhile(m => m.Covered == covered).ToArray();
                    moves.RemoveRange(0, survivors.Length);
                    world.CommitMoved(covered, [.. survivors.Select((m, i) => (m.Lba, m.Blocks, world.Location(100 + (i * 9000), world.RawLength(m.Blocks))))]);
                    break;
                case 6:
                    var at = (ulong)Pick();
                    if (!world.Map.TryGetMissing(at, out var missing)) break;
                    stale.Add((missing, world.Stored(missing)));
                    world.Load(missing);
                    break;
                case 7:
                    if (stale.Count > 0 && stale[random.Next(stale.Count)] is var late) world.Map.Load(late.Piece, late.Bytes);
                    break;
                case 8:
                    if (world.Frozen is null) world.Freeze();
                    else if (random.Next(3) == 0) world.Abandon();
                    else world.Publish();
                    break;
                case 9:
                    var resident = world.Map.ResidentBytes;
                    var freed = world.Map.Evict((long)(resident * random.NextDouble()));
                    Assert.Equal(resident - freed, world.Map.ResidentBytes);
                    break;
                case 10:
                    world.Map.MarkDirty(hot[random.Next(hot.Length)]);
                    world.Map.MarkPageDirty(random.Next(3));
                    break;
                case 11 when random.Next(4) == 0:
                    world.Restart();
                    break;
                default:
                    var from = Pick();
                    world.AssertSame(from, Math.Min(random.Next(1, 3 * spanBlocks), world.Model.Length - from), load: random.Next(2) == 0);
                    break;
            }
        }

        world.AssertAllSame();
        if (world.Frozen is not null) world.Publish();
        world.Checkpoint();
        Assert.Equal((0, 0, 0), (world.Map.DirtyLeaves, world.Map.DirtyBytes, world.Map.EncodedDirtyBytes));
        world.AssertAllSame();
        world.Restart();
        world.AssertAllSame();
        world.Map.Evict(0);
        world.Map.Evict(0);
        Assert.Equal(0, world.Map.ResidentBytes);
        world.AssertAllSame();
    }

    private static void Commit(MapWorld world, Random random, Func<int> pick)
    {
        var entries = new List<(int, int, SegmentLocation)>();
        var unit = 100;
        for (var n = random.Next(1, 8); n > 0; n--)
        {
            var lba = pick();
            var left = world.Model.Length - lba;
            if (random.Next(4) == 0)
            {
                var length = random.Next(20) == 0 ? left : random.Next(1, random.Next(2) == 0 ? 20 : 2 * world.SpanBlocks);
                entries.Add((lba, Math.Min(left, length), default));
                continue;
            }

            // Now and then a sequence of full frames that make one run.
            var frames = random.Next(3) == 0 ? random.Next(1, 40) : 1;
            var compressed = random.Next(2) == 0;
            for (; frames > 0 && left > 0; frames--)
            {
                var blocks = Math.Min(left, frames > 1 ? world.FrameBlocks : random.Next(1, world.FrameBlocks + 1));
                var length = compressed ? random.Next(33, world.RawLength(blocks)) : world.RawLength(blocks);
                entries.Add((lba, blocks, world.Location(unit, length)));
                unit += (length + 15) / 16;
                lba += blocks;
                left -= blocks;
            }
        }

        world.Commit([.. entries]);
    }
}
