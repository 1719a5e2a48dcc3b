using System.Buffers;

namespace Gateway.Volumes.Map;

/// <summary>What one checkpoint writes of the segment table: copies, read without the volume's gate.</summary>
internal sealed class FrozenSegmentTable(IReadOnlyList<FrozenSegmentPage> pages, IReadOnlyList<NumberedPointer> oldPages)
{
    /// <summary>The changed pages, in order of their numbers.</summary>
    public IReadOnlyList<FrozenSegmentPage> Pages { get; } = pages;

    /// <summary>Old pointers that nothing refers to once this checkpoint is in force.</summary>
    public IEnumerable<PiecePointer> Superseded => Pages.Select(p => p.OldPointer).Where(p => !p.IsNone);

    /// <summary>The top level for the checkpoint's root: all pages that exist, in order of their numbers. The changed pages have their new pointers.</summary>
    public NumberedPointer[] AllPages()
    {
        var changed = Pages.Select(p => p.Number).ToHashSet();
        return [.. oldPages.Where(p => !changed.Contains(p.Number))
            .Concat(from page in Pages where !page.NewPointer.IsNone select new NumberedPointer(page.Number, page.NewPointer))
            .OrderBy(p => p.Number)];
    }
}

/// <summary>A changed page of the segment table.</summary>
internal sealed class FrozenSegmentPage(uint number, PiecePointer oldPointer, SegmentEntry[] entries, int count)
{
    public uint Number { get; } = number;

    /// <summary>None of its segments is left: it is not stored, and its new pointer stays none.</summary>
    public bool IsEmpty => count == 0;

    public PiecePointer OldPointer { get; } = oldPointer;

    /// <summary>Where the checkpoint stored it: set by the checkpointer.</summary>
    public PiecePointer NewPointer { get; set; }

    /// <summary>Appends the page's bytes; returns their number.</summary>
    public int EncodeTo(IBufferWriter<byte> writer) => SegmentPageFormat.Encode(entries, count, Number, writer);
}
