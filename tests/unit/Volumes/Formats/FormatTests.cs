using System.Text;
using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Frames;
using Gateway.Volumes.Journal;
using Xunit;

namespace Gateway.Volumes.Tests.Formats;

public class FormatTests
{
    private static readonly Guid Id = new("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9");

    [Fact]
    public void Crc32C_CheckString_GivesTheKnownValue() => Assert.Equal(0xE3069283u, Crc32C.Compute("123456789"u8)); // RFC 3720 B.4 and every CRC catalogue.

    /// <summary>Lengths around every way that a run is cut, at every alignment, against the definition: one bit at a time.</summary>
    [Fact]
    public void Crc32C_AnyLengthAndSeed_AgreesWithTheDefinition()
    {
        var data = new byte[13_000];
        new Random(3).NextBytes(data);
        int[] lengths = [.. Enumerable.Range(0, 900), .. Enumerable.Range(4070, 40), .. Enumerable.Range(4460, 60), .. Enumerable.Range(8150, 30), 12_990];
        foreach (var length in lengths)
        {
            var bytes = data.AsSpan(length % 9, length);
            var seed = (uint)length * 2_654_435_761;
            var expected = ~seed;
            foreach (var b in bytes)
            {
                expected ^= b;
                for (var bit = 0; bit < 8; bit++) expected = (expected >> 1) ^ ((expected & 1) * 0x82F6_3B78);
            }

            Assert.Equal(~expected, Crc32C.Compute(bytes, seed));
        }
    }

    [Fact]
    public void Crc32C_InPieces_EqualsTheWhole()
    {
        var data = Encoding.ASCII.GetBytes("The quick brown fox jumps over the lazy dog");

        Assert.Equal(Crc32C.Compute(data), Crc32C.Compute(data.AsSpan(13), Crc32C.Compute(data.AsSpan(0, 13))));
    }

    [Fact]
    public void SegmentHeader_WrittenAndParsed_IsTheSame()
    {
        var header = new SegmentHeader(Id, new SegmentId(7, 42), Guid.NewGuid(), 100, 163, 3, 5000, 0xDEADBEEF, 512, 1_700_000_000_000);
        var bytes = new byte[SegmentHeader.HeaderLengthBytes];

        header.WriteTo(bytes);

        Assert.Equal(header, SegmentHeader.Parse(bytes, "log/x"));
    }

    [Fact]
    public void SegmentHeader_AnyByteChanged_IsRefused()
    {
        var bytes = new byte[SegmentHeader.HeaderLengthBytes];
        new SegmentHeader(Id, new SegmentId(7, 42), Guid.NewGuid(), 100, 163, 3, 5000, 1, 512, 0).WriteTo(bytes);

        for (var i = 0; i < bytes.Length; i++)
        {
            bytes[i] ^= 0x10;
            Assert.Throws<VolumeException>(() => SegmentHeader.Parse(bytes, "log/x"));
            bytes[i] ^= 0x10;
        }
    }

    [Fact]
    public void SegmentHeader_OfMovedBlocks_IsTheSameAfterParsing()
    {
        var header = Moved();
        var bytes = new byte[SegmentHeader.HeaderLengthBytes];

        header.WriteTo(bytes);

        Assert.Equal(header, SegmentHeader.Parse(bytes, "log/x"));
    }

    [Fact]
    public void SegmentHeader_OfAnUnknownKind_IsRefusedAsNewer()
    {
        var bytes = new byte[SegmentHeader.HeaderLengthBytes];
        (Moved() with { Kind = (SegmentKind)2 }).WriteTo(bytes);

        Assert.Equal(VolumeErrorKind.Unsupported, Assert.Throws<VolumeException>(() => SegmentHeader.Parse(bytes, "log/x")).Kind);
    }

    [Fact]
    public void SegmentHeader_WhoseKindContradictsItself_IsDamaged()
    {
        var log = Moved() with { Kind = SegmentKind.Log, FirstWrite = 100, LastWrite = 120, CoveredSequence = 0 };
        SegmentHeader[] impossible =
        [
            Moved() with { LastWrite = 100 }, // Holds a write.
            Moved() with { LastWrite = 98 },
            Moved() with { FirstWrite = 0, LastWrite = -1 },
            Moved() with { CoveredSequence = 0 },
            Moved() with { CoveredSequence = -1 },
            Moved() with { CoveredSequence = 42 }, // Covers itself.
            log with { CoveredSequence = 1 },
            log with { LastWrite = 99 },
        ];
        var bytes = new byte[SegmentHeader.HeaderLengthBytes];

        foreach (var header in impossible)
        {
            header.WriteTo(bytes);
            Assert.Equal(VolumeErrorKind.Damaged, Assert.Throws<VolumeException>(() => SegmentHeader.Parse(bytes, "log/x")).Kind);
        }
    }

    [Fact]
    public void SegmentIndex_WithAnImpossibleEntry_IsDamaged()
    {
        var sound = new SegmentIndexEntry(0, 8, ExtentKind.Data, 160, 4128);
        var zero = new SegmentIndexEntry(0, 8, ExtentKind.Zero, 0, 0);
        Parse(sound, SegmentKind.Log);
        Parse(sound, SegmentKind.Moved);
        Parse(zero, SegmentKind.Log);

        (SegmentIndexEntry, SegmentKind)[] impossible =
        [
            (zero, SegmentKind.Moved), // Only data can be applied block by block.
            (sound with { Blocks = 0 }, SegmentKind.Log),
            (sound with { Lba = 93 }, SegmentKind.Log),
            (sound with { Lba = ulong.MaxValue }, SegmentKind.Log),
            (sound with { FrameOffsetBytes = 144 }, SegmentKind.Log),
            (sound with { FrameOffsetBytes = 168 }, SegmentKind.Log),
            (sound with { FrameOffsetBytes = 176 }, SegmentKind.Log),
            (sound with { FrameLengthBytes = 4129 }, SegmentKind.Log), // Its padding would pass the end.
            (sound with { FrameLengthBytes = 32 }, SegmentKind.Log),
            (sound with { Kind = (ExtentKind)2 }, SegmentKind.Log),
        ];
        foreach (var (entry, kind) in impossible) Assert.Equal(VolumeErrorKind.Damaged, Assert.Throws<VolumeException>(() => Parse(entry, kind)).Kind);

        static void Parse(SegmentIndexEntry entry, SegmentKind kind)
        {
            var index = new byte[SegmentIndexEntry.EntryLengthBytes];
            entry.WriteTo(index);
            SegmentIndexEntry.ParseIndex(index, Moved() with { Kind = kind, IndexCount = 1, LengthBytes = 160 + 4128, IndexCrc = Crc32C.Compute(index) }, 100, "log/x");
        }
    }

    [Fact]
    public void Record_AnyByteChanged_IsRefused()
    {
        var blob = RecordCodec.Encode(NewVolume());

        for (var i = 0; i < blob.Length; i++)
        {
            blob[i] ^= 0x01;
            Assert.Throws<VolumeException>(() => RecordCodec.DecodeVolume(blob, "volume/x"));
            blob[i] ^= 0x01;
        }

        Assert.Equal(NewVolume(), RecordCodec.DecodeVolume(blob, "volume/x") with { Features = NewVolume().Features });
    }

    [Fact]
    public void Record_WithAnUnknownFeature_IsRefusedAsUnsupported()
    {
        var blob = RecordCodec.Encode(NewVolume() with { Features = ["time-travel"] });

        var refusal = Assert.Throws<VolumeException>(() => RecordCodec.DecodeVolume(blob, "volume/x"));

        Assert.Equal(VolumeErrorKind.Unsupported, refusal.Kind);
        Assert.Contains("time-travel", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("lz4", (int)VolumeCompression.Lz4)]
    [InlineData("zstd", (int)VolumeCompression.Zstd)]
    [InlineData(null, (int)VolumeCompression.None)]
    public void Record_WithKnownFeatures_IsTaken(string? codec, int compression)
    {
        var blob = RecordCodec.Encode(NewVolume() with { Features = ["lz4", "zstd"], CompressionName = codec });

        Assert.Equal((VolumeCompression)compression, RecordCodec.DecodeVolume(blob, "volume/x").Compression);
    }

    [Fact]
    public void Record_ThatCompressesByWhatItDoesNotName_IsDamaged()
    {
        var blob = RecordCodec.Encode(NewVolume() with { Features = ["lz4"], CompressionName = "zstd" });

        Assert.Equal(VolumeErrorKind.Damaged, Assert.Throws<VolumeException>(() => RecordCodec.DecodeVolume(blob, "volume/x")).Kind);
    }

    [Fact]
    public void Record_WithoutAListOfFeatures_IsDamaged()
    {
        var blob = RecordCodec.Encode(NewVolume() with { Features = null! });

        Assert.Equal(VolumeErrorKind.Damaged, Assert.Throws<VolumeException>(() => RecordCodec.DecodeVolume(blob, "volume/x")).Kind);
    }

    [Fact]
    public void Frame_OfAnotherSegment_FailsItsCheck()
    {
        var frame = NewFrame(new SegmentId(1, 2));

        Assert.True(FrameDecoder.TryCheck(frame, FrameHeader.Seed(Id, new SegmentId(1, 2)), 512, out _));
        Assert.False(FrameDecoder.TryCheck(frame, FrameHeader.Seed(Id, new SegmentId(2, 2)), 512, out _));
        Assert.False(FrameDecoder.TryCheck(frame, FrameHeader.Seed(Guid.NewGuid(), new SegmentId(1, 2)), 512, out _));
    }

    [Fact]
    public void Frame_AnyByteChangedOrCut_FailsItsCheck()
    {
        var seed = FrameHeader.Seed(Id, new SegmentId(1, 2));
        var frame = NewFrame(new SegmentId(1, 2));

        for (var i = 0; i < frame.Length; i++)
        {
            frame[i] ^= 0x80;
            Assert.False(FrameDecoder.TryCheck(frame, seed, 512, out _));
            frame[i] ^= 0x80;
            Assert.False(FrameDecoder.TryCheck(frame.AsSpan(0, i), seed, 512, out _));
        }
    }

    [Fact]
    public void JournalBatch_AnyHeaderOrRecordByteChanged_FailsItsCheck()
    {
        var page = new byte[JournalBatchHeader.PageBytes];
        new JournalRecord(5, 8, JournalRecordKind.Data, 4096, 4096, 77).WriteTo(page.AsSpan(JournalBatchHeader.HeaderLengthBytes));
        var header = new JournalBatchHeader(8192, 3, 10, 4096, 8192, 1);
        header.WriteTo(page, seed: 99);

        Assert.True(JournalBatchHeader.TryParse(page, 99, out var parsed));
        Assert.Equal(header, parsed);
        Assert.False(JournalBatchHeader.TryParse(page, 98, out _));
        for (var i = 0; i < JournalBatchHeader.HeaderLengthBytes + JournalRecord.RecordLengthBytes; i++)
        {
            page[i] ^= 0x04;
            Assert.False(JournalBatchHeader.TryParse(page, 99, out _));
            page[i] ^= 0x04;
        }
    }

    [Fact]
    public void Parsers_RandomBytes_RefuseWithoutCrashing()
    {
        var random = new Random(1);
        var bytes = new byte[JournalSuperblock.SlotLengthBytes];
        for (var i = 0; i < 20_000; i++)
        {
            random.NextBytes(bytes);
            // Magic and length in place, so that parsing gets past the first look.
            "TCMUGSEG"u8.CopyTo(bytes);
            Assert.Throws<VolumeException>(() => SegmentHeader.Parse(bytes, "x"));
            "TCMUGREC"u8.CopyTo(bytes);
            Assert.Throws<VolumeException>(() => RecordCodec.DecodeVolume(bytes, "x"));
            "TCMUGJNL"u8.CopyTo(bytes);
            Assert.False(JournalSuperblock.TryParse(bytes, "x", out _));
            "JBAT"u8.CopyTo(bytes);
            Assert.False(JournalBatchHeader.TryParse(bytes, 0, out _));
        }
    }

    [Theory]
    [InlineData("log/0000000001-000000000001", true)]
    [InlineData("0000000001-000000000001", false)]
    [InlineData("log/1-1", false)]
    public void SegmentKey_Parse_TakesOnlyWhatItMakes(string name, bool valid) =>
        Assert.Equal(valid, name.StartsWith("log/", StringComparison.Ordinal) && VolumeKeys.TryParseSegment(name.AsSpan(4), out _));

    [Theory]
    [InlineData("v", true)]
    [InlineData("vm-17.data_0", true)]
    [InlineData("", false)]
    [InlineData(".hidden", false)]
    [InlineData("Upper", false)]
    [InlineData("a/b", false)]
    public void VolumeName_Check(string name, bool valid) => Assert.Equal(valid, VolumeKeys.IsValidName(name));

    private static SegmentHeader Moved() => new(Id, new SegmentId(7, 42), Id, 100, 99, 3, 5000, 1, 512, 0, SegmentKind.Moved, 41);

    private static VolumeRecord NewVolume() => new()
    {
        Name = "v",
        Id = Id,
        SizeBytes = 1 << 20,
        BlockSizeBytes = 512,
        PhysicalBlockSizeBytes = 4096,
        CreatedAt = DateTimeOffset.UnixEpoch,
    };

    private static byte[] NewFrame(SegmentId segment)
    {
        var frame = new byte[FrameHeader.HeaderLengthBytes + 1024];
        new Random(3).NextBytes(frame.AsSpan(FrameHeader.HeaderLengthBytes));
        var crc = Crc32C.Compute(frame.AsSpan(FrameHeader.HeaderLengthBytes));
        new FrameHeader(100, 2, FrameCodec.None, 1024, crc, crc).WriteTo(frame, FrameHeader.Seed(Id, segment));
        return frame;
    }
}
