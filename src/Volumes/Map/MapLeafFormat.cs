using System.Buffers;
using System.Numerics;
using Gateway.Volumes.Formats;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Volumes.Map;

/// <summary>Bytes of a stored leaf: a header, then its runs, each field in as many bits as the leaf's largest value needs. See docs/formats.md, "Map".</summary>
internal static class MapLeafFormat
{
    public const int HeaderLengthBytes = 24;

    private const byte Magic = (byte)'L';
    private const byte FormatVersion = 1;
    private const int FieldCount = 6;

    /// <summary>Widest that each field can be: gap, blocks, sequence, frame offset, frame length, block offset.</summary>
    private static ReadOnlySpan<byte> BitsMax => [12, 12, 32, 24, 14, 8];

    /// <summary>No leaf is longer: 4,096 runs of 102 bits.</summary>
    public const int LengthMaxBytes = HeaderLengthBytes + (4096 * 102 / 8);

    /// <summary>What a leaf of so many runs takes, about: shredded ones were seen to take 4.2 to 5.4 bytes for a run. Exact would need a look at each.</summary>
    public static int EstimateLengthBytes(int runs) => HeaderLengthBytes + (runs * 5);

    /// <summary>Appends the leaf's bytes; returns their number. The leaf is complete and not empty.</summary>
    public static int Encode(ReadOnlySpan<LeafRun> runs, long leaf, IBufferWriter<byte> writer)
    {
        ArgumentOutOfRangeException.ThrowIfZero(runs.Length);
        var least = Fields.Least(runs);
        var widest = Fields.Widest(runs, least);
        Span<byte> bits = stackalloc byte[FieldCount];
        var runBits = 0;
        for (var i = 0; i < FieldCount; i++)
        {
            bits[i] = (byte)(32 - BitOperations.LeadingZeroCount(widest[i]));
            runBits += bits[i];
        }

        var length = LengthOf(runs.Length, runBits);
        var destination = writer.GetSpan(length)[..length];
        destination[0] = Magic;
        destination[1] = FormatVersion;
        WriteUInt16LittleEndian(destination[2..], (ushort)runs.Length);
        WriteUInt32LittleEndian(destination[4..], checked((uint)leaf));
        WriteUInt32LittleEndian(destination[8..], least.Sequence);
        WriteUInt32LittleEndian(destination[12..], least.FrameOffset);
        WriteUInt16LittleEndian(destination[16..], (ushort)least.FrameLength);
        bits.CopyTo(destination[18..]);

        var packer = new BitPacker(destination[HeaderLengthBytes..]);
        uint end = 0;
        foreach (ref readonly var run in runs)
        {
            var fields = Fields.Of(run, end).Minus(least);
            for (var i = 0; i < FieldCount; i++) packer.Write(fields[i], bits[i]);
            end = run.End;
        }

        packer.Finish();
        writer.Advance(length);
        return length;
    }

    /// <summary>Decodes a leaf and checks that it can be what it says: runs in order, inside the span, in frames that can be.</summary>
    /// <param name="bytes">The piece; its checksum held.</param>
    /// <param name="leaf">The leaf that it must be.</param>
    /// <param name="spanBlocks">Blocks of the leaf's span that are in the volume.</param>
    /// <param name="frameBlocks">Blocks of a full frame.</param>
    /// <param name="from">Where it was, for the message.</param>
    /// <exception cref="VolumeException">It makes no sense.</exception>
    public static LeafRun[] Decode(ReadOnlySpan<byte> bytes, long leaf, uint spanBlocks, uint frameBlocks, PiecePointer from)
    {
        VolumeException Damaged(string why) => MapDamage.Of($"leaf {leaf}", from, why);
        if (bytes.Length < HeaderLengthBytes || bytes[0] != Magic) throw Damaged("is not a leaf");
        if (bytes[1] != FormatVersion) throw Damaged($"has format version {bytes[1]}, which this tcmu-gateway does not know");
        if (ReadUInt32LittleEndian(bytes[4..]) != leaf) throw Damaged("is another leaf");
        var count = ReadUInt16LittleEndian(bytes[2..]);
        var least = new Fields(0, 0, ReadUInt32LittleEndian(bytes[8..]), ReadUInt32LittleEndian(bytes[12..]), ReadUInt16LittleEndian(bytes[16..]), 0);
        var bits = bytes.Slice(18, FieldCount);
        var runBits = 0;
        for (var i = 0; i < FieldCount; i++)
        {
            if (bits[i] > BitsMax[i]) throw Damaged("has impossible field widths");
            runBits += bits[i];
        }

        if (count == 0 || count > spanBlocks || bytes.Length != LengthOf(count, runBits)) throw Damaged("is not as long as its header says");
        var runs = new LeafRun[count];
        var unpacker = new BitUnpacker(bytes[HeaderLengthBytes..]);
        uint end = 0;
        for (var r = 0; r < count; r++)
        {
            var fields = new Fields(unpacker.Read(bits[0]), unpacker.Read(bits[1]), unpacker.Read(bits[2]), unpacker.Read(bits[3]), unpacker.Read(bits[4]), unpacker.Read(bits[5])).Plus(least);
            if (!fields.TryGetRun(end, spanBlocks, frameBlocks, out runs[r])) throw Damaged($"has an impossible run, number {r}");
            end = runs[r].End;
        }

        if (!unpacker.IsAtEnd) throw Damaged("does not end where its runs do");
        return runs;
    }

    private static int LengthOf(int runs, int runBits) => HeaderLengthBytes + (int)(((long)runs * runBits + 7) / 8);

    /// <summary>A run's fields as they are stored: its distance from the run before, its length less one, and its location in units.</summary>
    private readonly record struct Fields(uint Gap, uint Blocks, ulong Sequence64, ulong FrameOffset64, uint FrameLength, uint BlockOffset)
    {
        public uint Sequence => (uint)Sequence64;

        public uint FrameOffset => (uint)FrameOffset64;

        public uint this[int field] => field switch { 0 => Gap, 1 => Blocks, 2 => Sequence, 3 => FrameOffset, 4 => FrameLength, _ => BlockOffset };

        public static Fields Of(in LeafRun run, uint end) => new(
            run.Start - end, run.Blocks - 1, (uint)run.Location.Sequence, run.Location.FrameOffsetUnits, run.Location.FrameLengthUnits, (uint)run.Location.BlockOffset);

        public static Fields Least(ReadOnlySpan<LeafRun> runs)
        {
            var least = Of(runs[0], 0);
            foreach (ref readonly var run in runs)
            {
                var fields = Of(run, 0);
                least = new Fields(0, 0, Math.Min(least.Sequence64, fields.Sequence64), Math.Min(least.FrameOffset64, fields.FrameOffset64), Math.Min(least.FrameLength, fields.FrameLength), 0);
            }

            return least;
        }

        public static Fields Widest(ReadOnlySpan<LeafRun> runs, in Fields least)
        {
            var widest = default(Fields);
            uint end = 0;
            foreach (ref readonly var run in runs)
            {
                var fields = Of(run, end).Minus(least);
                widest = new Fields(
                    widest.Gap | fields.Gap, widest.Blocks | fields.Blocks, widest.Sequence64 | fields.Sequence64,
                    widest.FrameOffset64 | fields.FrameOffset64, widest.FrameLength | fields.FrameLength, widest.BlockOffset | fields.BlockOffset);
                end = run.End;
            }

            return widest;
        }

        public Fields Minus(in Fields least) => new(Gap, Blocks, Sequence64 - least.Sequence64, FrameOffset64 - least.FrameOffset64, FrameLength - least.FrameLength, BlockOffset);

        public Fields Plus(in Fields least) => new(Gap, Blocks, Sequence64 + least.Sequence64, FrameOffset64 + least.FrameOffset64, FrameLength + least.FrameLength, BlockOffset);

        public bool TryGetRun(uint end, uint spanBlocks, uint frameBlocks, out LeafRun run)
        {
            run = default;
            var start = end + Gap;
            if (start >= spanBlocks || Blocks >= spanBlocks - start) return false;
            if (Sequence64 is 0 or > uint.MaxValue || BlockOffset >= frameBlocks) return false;
            if (FrameLength * FrameHeader.AlignmentBytes is <= FrameHeader.HeaderLengthBytes || FrameLength * FrameHeader.AlignmentBytes > FrameHeader.PaddedLength(FrameHeader.FrameLengthMaxBytes)) return false;
            var lastFrame = (BlockOffset + Blocks) / frameBlocks;
            if ((FrameOffset64 + ((lastFrame + 1ul) * FrameLength)) * FrameHeader.AlignmentBytes > SegmentLocation.SegmentLengthMaxBytes) return false;
            run = new LeafRun(start, start + Blocks + 1, SegmentLocation.FromUnits(Sequence, FrameOffset, FrameLength, BlockOffset));
            return true;
        }
    }
}
