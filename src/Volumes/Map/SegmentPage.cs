using Gateway.Volumes.Formats;

namespace Gateway.Volumes.Map;

/// <summary>What the table keeps of a segment: 12 bytes. The default value: no segment.</summary>
internal struct SegmentEntry(int lengthBytes, SegmentKind kind, uint totalBlocks, uint liveBlocks)
{
    public const int EncodedLengthBytes = 12;

    private const int LengthBits = 28; // SegmentLocation.SegmentLengthMaxBytes.
    private const uint LengthMask = (1u << LengthBits) - 1;

    private readonly uint _lengthAndKind = (uint)lengthBytes | ((uint)kind << LengthBits);
    public readonly uint TotalBlocks = totalBlocks;
    public uint LiveBlocks = liveBlocks;

    /// <param name="lengthAndKind">As <see cref="LengthAndKind"/> gave it.</param>
    /// <param name="totalBlocks">Blocks of data.</param>
    /// <param name="liveBlocks">Those of them that are live.</param>
    public SegmentEntry(uint lengthAndKind, uint totalBlocks, uint liveBlocks)
        : this((int)(lengthAndKind & LengthMask), (SegmentKind)(lengthAndKind >> LengthBits), totalBlocks, liveBlocks)
    {
    }

    public readonly bool Exists => LengthBytes != 0;

    public readonly int LengthBytes => (int)(_lengthAndKind & LengthMask);

    public readonly SegmentKind Kind => (SegmentKind)(_lengthAndKind >> LengthBits);

    /// <summary>Length in the lower 28 bits, kind above.</summary>
    public readonly uint LengthAndKind => _lengthAndKind;

    public readonly SegmentUse ToUse(uint sequence) => new(sequence, Kind, LengthBytes, TotalBlocks, LiveBlocks);
}

/// <summary>4,096 neighbouring sequences of the segment table.</summary>
internal sealed class SegmentPage(uint number)
{
    public uint Number { get; } = number;

    public SegmentEntry[] Entries { get; } = new SegmentEntry[SegmentTable.SegmentsPerPage];

    /// <summary>How many of the entries exist.</summary>
    public int Count { get; set; }

    /// <summary>Where the last checkpoint stored it.</summary>
    public PiecePointer Pointer { get; set; }

    /// <summary>Changed since the last freeze.</summary>
    public bool IsDirty { get; set; }
}
