using System.Buffers;
using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Log;
using Gateway.Volumes.Map;
using Xunit;

namespace Gateway.Volumes.Tests.Formats;

/// <summary>Round trips, and what makes no sense: refused, whatever the bytes, though their checksums hold.</summary>
public class MapFormatTests
{
    private const int SpanBlocks = 512;
    private const int FrameBlocks = 32;
    private static readonly Guid Id = new("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9");
    private static readonly PiecePointer From = new(7, 64, 100, 1);

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 20)];

    [Theory, MemberData(nameof(Seeds))]
    public void Leaf_EncodedAndDecoded_IsTheSame(int seed)
    {
        var random = new Random(seed);
        for (var n = 0; n < 50; n++)
        {
            var runs = RandomRuns(random);

            var bytes = Encode(runs);

            Assert.InRange(bytes.Length, MapLeafFormat.HeaderLengthBytes + 1, MapLeafFormat.LengthMaxBytes);
            Assert.Equal(runs.Select(Shown), MapLeafFormat.Decode(bytes, 5, SpanBlocks, FrameBlocks, From).Select(Shown));
        }
    }

    [Fact]
    public void Leaf_WidestFieldsInAllRuns_StaysWithinTheBound()
    {
        var runs = Enumerable.Range(0, 4096).Select(i => new LeafRun((uint)i, (uint)i + 1, SegmentLocation.FromUnits(i % 2 == 0 ? 1 : uint.MaxValue, i % 2 == 0 ? 0u : 0xFF_0000, i % 2 == 0 ? 3u : 8194, (uint)i % 256))).ToArray();

        var bytes = Encode(runs);

        Assert.InRange(bytes.Length, 1, MapLeafFormat.LengthMaxBytes);
        Assert.Equal(runs.Select(Shown), MapLeafFormat.Decode(bytes, 5, 4096, 256, From).Select(Shown));
    }

    [Theory, MemberData(nameof(Seeds))]
    public void Leaf_AnyBytesChanged_IsRefusedOrStillPossible(int seed)
    {
        var random = new Random(seed);
        var bytes = Encode(RandomRuns(random));
        for (var n = 0; n < 5000; n++)
        {
            var forged = (byte[])bytes.Clone();
            for (var changes = random.Next(1, 4); changes > 0; changes--) forged[random.Next(random.Next(2) == 0 ? MapLeafFormat.HeaderLengthBytes : forged.Length)] = (byte)random.Next(256);
            if (random.Next(5) == 0) Array.Resize(ref forged, random.Next(forged.Length + 10));

            AssertRefusedOrPossible(forged);
        }
    }

    [Fact]
    public void Leaf_RandomBytes_IsRefusedOrPossible()
    {
        var random = new Random(1);
        for (var n = 0; n < 20_000; n++)
        {
            var forged = new byte[random.Next(200)];
            random.NextBytes(forged);
            if (forged.Length > 24)
            {
                // So that parsing gets past the first look.
                (forged[0], forged[1]) = ((byte)'L', 1);
                BitConverter.TryWriteBytes(forged.AsSpan(2), (ushort)random.Next(1, 20));
                BitConverter.TryWriteBytes(forged.AsSpan(4), 5u);
                for (var i = 18; i < 24; i++) forged[i] = (byte)random.Next(6);
            }

            AssertRefusedOrPossible(forged);
        }
    }

    [Theory]
    [InlineData("another leaf", 4, 6)]
    [InlineData("version", 1, 2)]
    [InlineData("not a leaf", 0, 0)]
    [InlineData("as long as", 2, 99)]
    [InlineData("field widths", 18, 13)]
    public void Leaf_WithAForgedHeader_IsRefusedWithTheReason(string reason, int offset, byte value)
    {
        var bytes = Encode([new LeafRun(0, 1, new SegmentLocation(1, 128, 4128)), new LeafRun(3, 5, new SegmentLocation(2, 128, 4128))]);
        bytes[offset] = value;

        var refusal = Assert.Throws<VolumeException>(() => MapLeafFormat.Decode(bytes, 5, SpanBlocks, FrameBlocks, From));

        Assert.Contains(reason, refusal.Message, StringComparison.Ordinal);
        Assert.Contains("map blob 7", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Leaf_WithARunPastTheEndOfTheVolume_IsRefused()
    {
        var bytes = Encode([new LeafRun(100, 120, new SegmentLocation(1, 128, 4128))]);

        Assert.Single(MapLeafFormat.Decode(bytes, 5, 120, FrameBlocks, From));
        Assert.Throws<VolumeException>(() => MapLeafFormat.Decode(bytes, 5, 119, FrameBlocks, From));
    }

    [Fact]
    public void Page_EncodedAndDecoded_IsTheSame()
    {
        var leaves = new PiecePointer[BucketMap.LeavesPerPage];
        var random = new Random(1);
        for (var i = 0; i < leaves.Length; i += random.Next(1, 20)) leaves[i] = new PiecePointer((uint)i + 1, 64 + (uint)i, 100, (uint)random.Next());
        var writer = new ArrayBufferWriter<byte>();

        var length = MapPageFormat.Encode(leaves, 3, writer);

        Assert.Equal(length, writer.WrittenCount);
        Assert.Equal(leaves, MapPageFormat.Decode(writer.WrittenSpan, 3, BucketMap.LeavesPerPage, From));
        Assert.Throws<VolumeException>(() => MapPageFormat.Decode(writer.WrittenSpan, 4, BucketMap.LeavesPerPage, From));
        Assert.Throws<VolumeException>(() => MapPageFormat.Decode(writer.WrittenSpan, 3, 500, From));
        for (var i = 0; i < length; i++) Assert.Throws<VolumeException>(() => MapPageFormat.Decode(writer.WrittenSpan[..i], 3, BucketMap.LeavesPerPage, From));
    }

    [Fact]
    public void Pages_ChangedBytes_AreRefusedOrPossible()
    {
        var leaves = new PiecePointer[BucketMap.LeavesPerPage];
        for (var i = 0; i < leaves.Length; i += 7) leaves[i] = new PiecePointer(1, 64, 100, 5);
        var mapPage = new ArrayBufferWriter<byte>();
        MapPageFormat.Encode(leaves, 3, mapPage);
        var table = new SegmentTable();
        for (uint sequence = 1; sequence < 100; sequence += 3) table.Add(sequence, 8 << 20, 2048, SegmentKind.Moved);
        var segmentPage = new ArrayBufferWriter<byte>();
        table.Freeze().Pages[0].EncodeTo(segmentPage);
        var random = new Random(2);
        for (var n = 0; n < 20_000; n++)
        {
            var forged = mapPage.WrittenSpan.ToArray();
            forged[random.Next(random.Next(2) == 0 ? 200 : forged.Length)] ^= (byte)(1 << random.Next(8));
            var decoded = Refused(() => MapPageFormat.Decode(forged, 3, BucketMap.LeavesPerPage, From));
            Assert.All(decoded ?? [], p => Assert.True(p.IsNone || p.IsPossible(MapLeafFormat.LengthMaxBytes)));

            forged = segmentPage.WrittenSpan.ToArray();
            forged[random.Next(random.Next(2) == 0 ? 8 : forged.Length)] ^= (byte)(1 << random.Next(8));
            var segments = Refused(() => SegmentPageFormat.Decode(forged, new NumberedPointer(0, From), 99));
            Assert.All(segments ?? [], s => Assert.True(s.LiveBlocks <= s.TotalBlocks && s.Kind <= SegmentKind.Moved));
        }
    }

    [Fact]
    public void SegmentPage_WithASegmentPastTheCheckpoint_IsRefused()
    {
        var table = new SegmentTable();
        table.Add(99, 8 << 20, 2048, SegmentKind.Log);
        var writer = new ArrayBufferWriter<byte>();
        table.Freeze().Pages[0].EncodeTo(writer);

        new SegmentTable().LoadPage(new NumberedPointer(0, From), writer.WrittenSpan, 99);

        Assert.Throws<VolumeException>(() => new SegmentTable().LoadPage(new NumberedPointer(0, From), writer.WrittenSpan, 98));
        Assert.Throws<VolumeException>(() => new SegmentTable().LoadPage(new NumberedPointer(1, From), writer.WrittenSpan, uint.MaxValue));
    }

    [Fact]
    public void MapBlobHeader_WrittenAndParsed_IsTheSame()
    {
        var header = new MapBlobHeader(Id, new MapBlobId(7, 42), 123_456);
        var bytes = new byte[MapBlobHeader.HeaderLengthBytes];

        header.WriteTo(bytes);

        Assert.Equal(header, MapBlobHeader.Parse(bytes, "map/x"));
        for (var i = 0; i < bytes.Length; i++)
        {
            bytes[i] ^= 0x10;
            Assert.Throws<VolumeException>(() => MapBlobHeader.Parse(bytes, "map/x"));
            bytes[i] ^= 0x10;
            Assert.Throws<VolumeException>(() => MapBlobHeader.Parse(bytes.AsSpan(0, i), "map/x"));
        }
    }

    [Fact]
    public void MapBlobSeed_OfAnotherBlobOrVolume_Differs()
    {
        var seed = MapBlobHeader.Seed(Id, new MapBlobId(1, 2));

        Assert.NotEqual(seed, MapBlobHeader.Seed(Id, new MapBlobId(2, 2)));
        Assert.NotEqual(seed, MapBlobHeader.Seed(Id, new MapBlobId(1, 3)));
        Assert.NotEqual(seed, MapBlobHeader.Seed(Guid.Empty, new MapBlobId(1, 2)));
        Assert.NotEqual(seed, FrameHeader.Seed(Id, new SegmentId(1, 2)));
    }

    [Fact]
    public void CheckpointRoot_EncodedAndDecoded_IsTheSame()
    {
        AssertSame(NewRoot(), CheckpointRoot.Decode(NewRoot().Encode(), "checkpoints/x"));
        var empty = NewRoot() with { Position = default, LastWrite = 0, Epochs = [], MapPages = [], SegmentPages = [], MapBlobs = [], NextMapBlob = 1 };
        AssertSame(empty, CheckpointRoot.Decode(empty.Encode(), "checkpoints/x"));
    }

    [Fact]
    public void CheckpointRoot_AnyByteChangedOrCut_IsRefused()
    {
        var blob = NewRoot().Encode();
        for (var i = 0; i < blob.Length; i++)
        {
            blob[i] ^= 0x01;
            Assert.Throws<VolumeException>(() => CheckpointRoot.Decode(blob, "checkpoints/x"));
            blob[i] ^= 0x01;
            Assert.Throws<VolumeException>(() => CheckpointRoot.Decode(blob.AsSpan(0, i), "checkpoints/x"));
        }
    }

    [Fact]
    public void CheckpointRoot_ChangedBytesWithGoodChecksums_IsRefusedOrPossible()
    {
        var random = new Random(1);
        var blob = NewRoot().Encode();
        for (var n = 0; n < 50_000; n++)
        {
            var forged = (byte[])blob.Clone();
            for (var changes = random.Next(1, 3); changes > 0; changes--)
            {
                var at = random.Next(forged.Length);
                forged[at] = random.Next(2) == 0 ? (byte)random.Next(256) : (byte)(forged[at] ^ (1 << random.Next(8)));
            }

            BitConverter.TryWriteBytes(forged.AsSpan(112), Crc32C.Compute(forged.AsSpan(CheckpointFormat.HeaderLengthBytes)));
            BitConverter.TryWriteBytes(forged.AsSpan(124), Crc32C.Compute(forged.AsSpan(0, 124)));

            Assert.Null(Refused(() => CheckpointRoot.Decode(forged, "checkpoints/x"))?.FindFault());
        }
    }

    public static TheoryData<string> Faults => ["page order", "page blob", "page past blob", "blob order", "blob number", "epoch sequence", "epoch order", "epoch past position", "epoch end", "segment page", "position", "writer"];

    [Theory, MemberData(nameof(Faults))]
    public void CheckpointRoot_ThatCannotBe_IsNotEncoded(string fault)
    {
        var root = NewRoot();
        var forged = fault switch
        {
            "page order" => root with { MapPages = [root.MapPages[1], root.MapPages[0]] },
            "page blob" => root with { MapPages = [new NumberedPointer(0, new PiecePointer(3, 64, 200, 1))] },
            "page past blob" => root with { MapPages = [new NumberedPointer(0, new PiecePointer(2, 9_900, 200, 1))] },
            "blob order" => root with { MapBlobs = [root.MapBlobs[1], root.MapBlobs[0]] },
            "blob number" => root with { NextMapBlob = 5 },
            "epoch sequence" => root with { Epochs = [new EpochSpan(1, 6, 600), new EpochSpan(4, 6, 1234)] },
            "epoch order" => root with { Epochs = [new EpochSpan(4, 1, 600), new EpochSpan(4, 6, 1234)] },
            "epoch past position" => root with { Epochs = [new EpochSpan(1, 1, 600), new EpochSpan(4, 11, 1234)] },
            "epoch end" => root with { Epochs = [new EpochSpan(1, 1, 600), new EpochSpan(4, 6, 1233)] },
            "segment page" => root with { SegmentPages = [new NumberedPointer(1, root.SegmentPages[0].Pointer)] },
            "position" => root with { Position = new SegmentId(4, 0) },
            _ => root with { Id = new CheckpointId(3, 1) },
        };

        Assert.Throws<InvalidOperationException>(forged.Encode);
    }

    [Theory]
    [InlineData("0000000007-000000000042", true)]
    [InlineData("0000000007-00000000042", false)]
    [InlineData("0000000000-000000000042", false)]
    [InlineData("0000000007_000000000042", false)]
    [InlineData("", false)]
    public void PairKeys_Parse_TakesOnlyWhatTheyMake(string name, bool valid)
    {
        Assert.Equal(valid, VolumeKeys.TryParseMapBlob(name, out var blob));
        Assert.Equal(valid, VolumeKeys.TryParseCheckpoint(name, out var checkpoint));
        if (!valid) return;
        Assert.Equal("v/map/" + name, new VolumeKeys("v").MapBlob(blob).Value);
        Assert.Equal("v/checkpoints/" + name, new VolumeKeys("v").Checkpoint(checkpoint).Value);
    }

    private static void AssertRefusedOrPossible(byte[] forged)
    {
        uint end = 0;
        foreach (var run in Refused(() => MapLeafFormat.Decode(forged, 5, SpanBlocks, FrameBlocks, From)) ?? [])
        {
            Assert.True(run.Start >= end && run.End > run.Start && run.End <= SpanBlocks);
            var last = run.Location.AdvanceThroughFrames(run.Blocks - 1, FrameBlocks);
            Assert.True(run.Location.Sequence > 0 && run.Location.BlockOffset < FrameBlocks && last.FrameOffsetBytes + (long)last.FrameLengthBytes <= SegmentLocation.SegmentLengthMaxBytes);
            end = run.End;
        }
    }

    private static T? Refused<T>(Func<T> decode)
        where T : class
    {
        try
        {
            return decode();
        }
        catch (VolumeException)
        {
            return null;
        }
    }

    private static LeafRun[] RandomRuns(Random random)
    {
        var runs = new List<LeafRun>();
        var sequences = random.Next(1, 1 << random.Next(1, 31));
        for (var start = random.Next(20); start < SpanBlocks;)
        {
            var end = Math.Min(SpanBlocks, start + random.Next(1, random.Next(2) == 0 ? 3 : 200));
            var offset = random.Next(8, 1 << random.Next(4, 24));
            var length = random.Next(33, FrameHeader.FrameLengthMaxBytes);
            var block = (uint)random.Next(FrameBlocks);
            var location = new SegmentLocation(random.Next(1, sequences + 1), offset * 16, length).Advance(block);
            if (location.AdvanceThroughFrames((uint)(end - start), FrameBlocks).FrameOffsetUnits < (1 << 23)) runs.Add(new LeafRun((uint)start, (uint)end, location));
            start = end + (random.Next(2) == 0 ? 0 : random.Next(40));
        }

        if (runs.Count == 0) runs.Add(new LeafRun(3, 4, new SegmentLocation(1, 128, 4128)));
        return [.. runs];
    }

    private static byte[] Encode(LeafRun[] runs)
    {
        var writer = new ArrayBufferWriter<byte>();
        Assert.Equal(MapLeafFormat.Encode(runs, 5, writer), writer.WrittenCount);
        return writer.WrittenSpan.ToArray();
    }

    private static (uint, uint, SegmentLocation) Shown(LeafRun run) => (run.Start, run.End, run.Location);

    private static CheckpointRoot NewRoot() => new()
    {
        VolumeId = Id,
        Id = new CheckpointId(5, 3),
        Nonce = new Guid("11111111-2222-3333-4444-555555555555"),
        Position = new SegmentId(4, 10),
        LastWrite = 1234,
        Epochs = [new EpochSpan(1, 1, 600), new EpochSpan(4, 6, 1234)],
        MapPages = [new NumberedPointer(0, new PiecePointer(2, 64, 200, 1)), new NumberedPointer(9, new PiecePointer(5, 300, 200, 2))],
        SegmentPages = [new NumberedPointer(0, new PiecePointer(5, 500, 600, 3))],
        MapBlobs = [new MapBlobUse(2, new MapBlobId(1, 1), 10_000, 200), new MapBlobUse(5, new MapBlobId(5, 2), 2_000, 800)],
        NextMapBlob = 6,
    };

    private static void AssertSame(CheckpointRoot expected, CheckpointRoot actual)
    {
        Assert.Equal(expected.Epochs, actual.Epochs);
        Assert.Equal(expected.MapPages, actual.MapPages);
        Assert.Equal(expected.SegmentPages, actual.SegmentPages);
        Assert.Equal(expected.MapBlobs, actual.MapBlobs);
        Assert.Equal(expected, actual with { Epochs = expected.Epochs, MapPages = expected.MapPages, SegmentPages = expected.SegmentPages, MapBlobs = expected.MapBlobs });
    }
}
