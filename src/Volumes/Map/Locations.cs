using System.Runtime.InteropServices;

namespace Gateway.Volumes.Map;

/// <summary>A block that is in the journal and not yet in the bucket: the record that wrote it, and its place in the record.</summary>
/// <param name="WriteNumber">The write.</param>
/// <param name="DataPosition">Journal position of the record's data in bytes; -1 when the record zeroed the blocks.</param>
/// <param name="DataCrc">CRC-32C of the record's data.</param>
/// <param name="RecordBlocks">Number of blocks in the record's data.</param>
/// <param name="BlockOffset">Which of them this is.</param>
internal readonly record struct JournalLocation(long WriteNumber, long DataPosition, uint DataCrc, ushort RecordBlocks, ushort BlockOffset)
    : IExtentLocation<JournalLocation>
{
    public bool IsZero => DataPosition < 0;

    public static JournalLocation Zero(long writeNumber) => new(writeNumber, -1, 0, 0, 0);

    public JournalLocation Advance(uint blocks) => IsZero ? this : this with { BlockOffset = (ushort)(BlockOffset + blocks) };

    public bool IsContinuedBy(in JournalLocation next, uint blocks) =>
        WriteNumber == next.WriteNumber && DataPosition == next.DataPosition && (IsZero || next.BlockOffset == BlockOffset + blocks);
}

/// <summary>A block that is in the bucket: its segment, its frame, and its place in the frame. 10 bytes.</summary>
/// <remarks>The frame's length is kept in units of 16 bytes, rounded up: a reader fetches the padding too, and the frame's own header says where it ends.</remarks>
[StructLayout(LayoutKind.Sequential, Pack = 2)]
internal readonly record struct SegmentLocation : IExtentLocation<SegmentLocation>
{
    /// <summary>A segment is shorter than this: 24 bits of 16 bytes.</summary>
    public const int SegmentLengthMaxBytes = 256 << 20;

    /// <summary>A frame is shorter than this: 14 bits of 16 bytes.</summary>
    public const int FrameLengthLimitBytes = 256 << 10;

    private const int Unit = Formats.FrameHeader.AlignmentBytes;
    private const int BlockOffsetBits = 8; // A frame holds at most 128 KiB / 512 B = 256 blocks.
    private const uint BlockOffsetMask = (1 << BlockOffsetBits) - 1;

    private readonly uint _sequence;
    private readonly uint _offsetAndBlock;
    private readonly ushort _frameLengthUnits;

    private SegmentLocation(uint sequence, uint offsetAndBlock, ushort frameLengthUnits)
    {
        _sequence = sequence;
        _offsetAndBlock = offsetAndBlock;
        _frameLengthUnits = frameLengthUnits;
    }

    /// <param name="sequence">The segment's place in the log, 1 to 2^32 - 1: 32 PiB of 8 MiB segments.</param>
    /// <param name="frameOffsetBytes">Where the frame starts in the segment, a multiple of 16 below 256 MiB.</param>
    /// <param name="frameLengthBytes">The frame's exact length, header included, without the padding after it; below 256 KiB.</param>
    /// <exception cref="ArgumentOutOfRangeException">One of them does not fit.</exception>
    public SegmentLocation(long sequence, int frameOffsetBytes, int frameLengthBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(sequence, (uint)sequence);
        if (frameOffsetBytes is < 0 or >= SegmentLengthMaxBytes || frameOffsetBytes % Unit != 0) throw new ArgumentOutOfRangeException(nameof(frameOffsetBytes), frameOffsetBytes, "No frame starts there.");
        if (frameLengthBytes is <= 0 or > FrameLengthLimitBytes - Unit) throw new ArgumentOutOfRangeException(nameof(frameLengthBytes), frameLengthBytes, "No frame is that long.");
        _sequence = (uint)sequence;
        _offsetAndBlock = (uint)(frameOffsetBytes / Unit) << BlockOffsetBits;
        _frameLengthUnits = (ushort)((frameLengthBytes + Unit - 1) / Unit);
    }

    /// <summary>From the fields of <see cref="MapLeafFormat"/>, each within its bits.</summary>
    internal static SegmentLocation FromUnits(uint sequence, uint frameOffsetUnits, uint frameLengthUnits, uint blockOffset) =>
        new(sequence, (frameOffsetUnits << BlockOffsetBits) | blockOffset, (ushort)frameLengthUnits);

    public long Sequence => _sequence;

    public int FrameOffsetBytes => (int)FrameOffsetUnits * Unit;

    /// <summary>The frame's length with its padding: the exact length rounded up to a multiple of 16.</summary>
    public int FrameLengthBytes => _frameLengthUnits * Unit;

    /// <summary>Which of the frame's blocks this is.</summary>
    public int BlockOffset => (int)(_offsetAndBlock & BlockOffsetMask);

    /// <summary>True for the default value: it stands for blocks that are known to hold nothing.</summary>
    internal bool IsTrimmed => _frameLengthUnits == 0;

    internal uint FrameOffsetUnits => _offsetAndBlock >> BlockOffsetBits;

    internal uint FrameLengthUnits => _frameLengthUnits;

    /// <summary>The location <paramref name="blocks"/> further on in the same frame.</summary>
    public SegmentLocation Advance(uint blocks) => new(_sequence, _offsetAndBlock + blocks, _frameLengthUnits);

    public bool IsContinuedBy(in SegmentLocation next, uint blocks) =>
        _sequence == next._sequence && FrameOffsetBytes == next.FrameOffsetBytes && next.BlockOffset == BlockOffset + blocks;

    /// <summary>The location <paramref name="blocks"/> further on in a run of full frames: each holds <paramref name="frameBlocks"/>, is as long as this one, and starts where the one before ends.</summary>
    internal SegmentLocation AdvanceThroughFrames(uint blocks, uint frameBlocks)
    {
        if (IsTrimmed) return this;
        var block = (_offsetAndBlock & BlockOffsetMask) + blocks;
        if (block < frameBlocks) return new(_sequence, _offsetAndBlock + blocks, _frameLengthUnits);
        var offset = FrameOffsetUnits + (block / frameBlocks * _frameLengthUnits);
        return FromUnits(_sequence, offset, _frameLengthUnits, block % frameBlocks);
    }
}
