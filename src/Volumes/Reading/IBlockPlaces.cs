using Gateway.Scsi;
using Gateway.Volumes.Map;

namespace Gateway.Volumes.Reading;

/// <summary>What is known of a run of blocks.</summary>
internal enum PlaceKind
{
    /// <summary>Never written, trimmed, or written as zeroes.</summary>
    Hole,

    /// <summary>In the journal, at <see cref="Place.Journal"/>.</summary>
    Journal,

    /// <summary>In the bucket, at <see cref="Place.Segment"/>.</summary>
    Segment,

    /// <summary>Its part of the map is not in memory: <see cref="IBlockPlaces.LoadAsync"/> brings it.</summary>
    Unloaded,
}

/// <summary>A run of blocks that are together at one place.</summary>
internal readonly record struct Place(ulong Lba, uint Blocks, PlaceKind Kind, JournalLocation Journal, SegmentLocation Segment)
{
    /// <summary>The first block's number in its record or frame.</summary>
    public int BlockOffset => Kind == PlaceKind.Journal ? Journal.BlockOffset : Segment.BlockOffset;

    /// <summary>True if both tell of the same bytes.</summary>
    public bool IsSameAs(in Place other) => Kind == other.Kind && Journal == other.Journal && Segment == other.Segment;
}

/// <summary>Says where blocks are at this moment. Thread safe; allocates nothing but in <see cref="LoadAsync"/>.</summary>
internal interface IBlockPlaces
{
    /// <summary>Journal positions below this were given back: what is read there may be a later batch.</summary>
    long JournalTailPosition { get; }

    /// <summary>Looks up the blocks from <paramref name="lba"/> on. The place has 1 to <paramref name="blocksMax"/> blocks, all of one answer.</summary>
    PlaceKind Find(ulong lba, uint blocksMax, out Place place);

    /// <summary>Brings the part of the map that tells of a block into memory.</summary>
    ValueTask<BlockError> LoadAsync(ulong lba);

    /// <summary>The epoch that wrote a segment of the valid log.</summary>
    long EpochOf(long sequence);

    /// <summary>The journal does not return what was written to it.</summary>
    void JournalFailed(IOException failure);
}
