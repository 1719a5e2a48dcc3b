using System.Buffers;

namespace Gateway.Volumes.Map;

/// <summary>What a segment is made of.</summary>
internal enum SegmentKind : byte
{
    /// <summary>Writes.</summary>
    Log = 0,

    /// <summary>Survivors that cleaning copied.</summary>
    Moved = 1,
}

/// <summary>A segment and what is left of it.</summary>
/// <param name="Sequence">Its place in the log.</param>
/// <param name="Kind">What it is made of.</param>
/// <param name="LengthBytes">Length of the blob.</param>
/// <param name="TotalBlocks">Blocks of data that it holds.</param>
/// <param name="LiveBlocks">How many of them the map refers to.</param>
internal readonly record struct SegmentUse(uint Sequence, SegmentKind Kind, int LengthBytes, uint TotalBlocks, uint LiveBlocks);

/// <summary>All segments that exist, and how much of each is live. Not thread safe: the volume's gate guards it.</summary>
/// <remarks>Live blocks are exact when no leaf of the map is an overlay; until then, what an overlay hides in its base still counts as live.</remarks>
internal sealed class SegmentTable
{
    /// <summary>Segments of one page of the table.</summary>
    public const int SegmentsPerPage = 4096;

    /// <summary>Number of segments.</summary>
    public long Count => throw new NotImplementedException();

    /// <summary>Bytes of all segments.</summary>
    public long LengthBytes => throw new NotImplementedException();

    public long TotalBlocks => throw new NotImplementedException();

    public long LiveBlocks => throw new NotImplementedException();

    /// <summary>About what a checkpoint would write of the table, in bytes.</summary>
    public long EncodedDirtyBytes => throw new NotImplementedException();

    /// <summary>The stored pages as of the last <see cref="Publish"/>, by number.</summary>
    public IReadOnlyList<NumberedPointer> Pages => throw new NotImplementedException();

    public void Add(uint sequence, int lengthBytes, uint totalBlocks, SegmentKind kind) => throw new NotImplementedException();

    public void AddLive(uint sequence, uint blocks) => throw new NotImplementedException();

    public void SubtractLive(uint sequence, uint blocks) => throw new NotImplementedException();

    /// <summary>The segment is deleted. No effect if it is not there.</summary>
    public void Remove(uint sequence) => throw new NotImplementedException();

    public bool TryGet(uint sequence, out SegmentUse segment) => throw new NotImplementedException();

    /// <summary>All segments in order of sequence. The table must not change meanwhile.</summary>
    public IEnumerable<SegmentUse> Segments() => throw new NotImplementedException();

    /// <summary>Takes a copy of the changed pages for a checkpoint, in the same breath as <see cref="BucketMap.Freeze"/>. One at a time.</summary>
    public FrozenSegmentTable Freeze() => throw new NotImplementedException();

    public void Publish(FrozenSegmentTable frozen) => throw new NotImplementedException();

    public void Abandon(FrozenSegmentTable frozen) => throw new NotImplementedException();

    /// <summary>Loads a page when the volume is opened. The table is new, but for pages loaded before.</summary>
    /// <param name="page">Number and place, as the checkpoint root says.</param>
    /// <param name="bytes">The page; its checksum held.</param>
    /// <param name="lastSequence">The last sequence that the checkpoint covers.</param>
    /// <exception cref="VolumeException">Its content makes no sense; the table is unchanged.</exception>
    public void LoadPage(in NumberedPointer page, ReadOnlySpan<byte> bytes, uint lastSequence) => throw new NotImplementedException();
}

/// <summary>A page's number and where it is stored.</summary>
internal readonly record struct NumberedPointer(uint Number, PiecePointer Pointer);

/// <summary>What one checkpoint writes of the segment table.</summary>
internal sealed class FrozenSegmentTable
{
    /// <summary>The changed pages, in order of their numbers.</summary>
    public IReadOnlyList<FrozenSegmentPage> Pages => throw new NotImplementedException();

    /// <summary>Old pointers that nothing refers to once this checkpoint is in force.</summary>
    public IEnumerable<PiecePointer> Superseded => throw new NotImplementedException();

    /// <summary>The top level for the root, once the pages have their new pointers: unchanged pages and these.</summary>
    public NumberedPointer[] AllPages() => throw new NotImplementedException();
}

/// <summary>A changed page of the segment table.</summary>
internal sealed class FrozenSegmentPage
{
    public uint Number => throw new NotImplementedException();

    /// <summary>None of its segments is left: it is not stored, and its new pointer stays none.</summary>
    public bool IsEmpty => throw new NotImplementedException();

    public PiecePointer OldPointer => throw new NotImplementedException();

    /// <summary>Where the checkpoint stored it: set by the checkpointer.</summary>
    public PiecePointer NewPointer { get; set; }

    /// <summary>Appends the page's bytes; returns their number.</summary>
    public int EncodeTo(IBufferWriter<byte> writer) => throw new NotImplementedException();
}
