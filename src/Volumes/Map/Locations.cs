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

/// <summary>A block that is in the bucket: its segment, its frame, and its place in the frame. 12 bytes.</summary>
internal readonly record struct SegmentLocation : IExtentLocation<SegmentLocation>
{
    private const int BlockOffsetBits = 8; // A frame holds at most 128 KiB / 512 B = 256 blocks.

    private readonly uint _sequence;
    private readonly uint _frameOffsetUnits;
    private readonly uint _lengthAndOffset;

    private SegmentLocation(uint sequence, uint frameOffsetUnits, uint lengthAndOffset)
    {
        _sequence = sequence;
        _frameOffsetUnits = frameOffsetUnits;
        _lengthAndOffset = lengthAndOffset;
    }

    /// <param name="sequence">The segment's place in the log, below 2^32: 32 EiB of 8 MiB segments.</param>
    /// <param name="frameOffsetBytes">Where the frame starts in the segment, a multiple of 16.</param>
    /// <param name="frameLengthBytes">The frame's length, header included, below 16 MiB.</param>
    public SegmentLocation(long sequence, int frameOffsetBytes, int frameLengthBytes)
        : this(checked((uint)sequence), (uint)frameOffsetBytes / Formats.FrameHeader.AlignmentBytes, (uint)frameLengthBytes << BlockOffsetBits)
    {
    }

    public long Sequence => _sequence;

    public int FrameOffsetBytes => (int)_frameOffsetUnits * Formats.FrameHeader.AlignmentBytes;

    public int FrameLengthBytes => (int)(_lengthAndOffset >> BlockOffsetBits);

    /// <summary>Which of the frame's blocks this is.</summary>
    public int BlockOffset => (int)(_lengthAndOffset & ((1 << BlockOffsetBits) - 1));

    public SegmentLocation Advance(uint blocks) => new(_sequence, _frameOffsetUnits, _lengthAndOffset + blocks);

    public bool IsContinuedBy(in SegmentLocation next, uint blocks) =>
        _sequence == next._sequence && _frameOffsetUnits == next._frameOffsetUnits && next.BlockOffset == BlockOffset + blocks;
}
