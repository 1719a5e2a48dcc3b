using System.Buffers;

namespace Gateway.Volumes.Map;

/// <summary>
/// What one checkpoint writes of the map: first the leaves, then, when each has its new pointer, the pages. It is read without the volume's
/// gate, while the map goes on changing.
/// </summary>
internal sealed class FrozenMap
{
    private readonly PiecePointer[] _pagePointers;

    /// <param name="leaves">The changed leaves.</param>
    /// <param name="pages">The changed pages.</param>
    /// <param name="pagePointers">The map's top level, which changes only when this is published.</param>
    /// <param name="sequence">The last sequence that is in it.</param>
    public FrozenMap(IReadOnlyList<FrozenLeaf> leaves, IReadOnlyList<FrozenPage> pages, PiecePointer[] pagePointers, uint sequence)
    {
        (Leaves, Pages, Sequence) = (leaves, pages, sequence);
        _pagePointers = pagePointers;
    }

    /// <summary>The changed leaves, in order of their numbers.</summary>
    public IReadOnlyList<FrozenLeaf> Leaves { get; }

    /// <summary>The changed pages, in order of their numbers.</summary>
    public IReadOnlyList<FrozenPage> Pages { get; }

    /// <summary>The last sequence that changed the map before it was frozen.</summary>
    public uint Sequence { get; }

    /// <summary>Old pointers that nothing refers to once this checkpoint is in force.</summary>
    public IEnumerable<PiecePointer> Superseded =>
        Leaves.Select(l => l.OldPointer).Concat(Pages.Select(p => p.OldPointer)).Where(p => !p.IsNone);

    /// <summary>The top level for the checkpoint's root: all pages that exist, in order of their numbers. The changed pages have their new pointers.</summary>
    public NumberedPointer[] AllPages()
    {
        var pointers = (PiecePointer[])_pagePointers.Clone();
        foreach (var page in Pages) pointers[page.Number] = page.NewPointer;
        var all = new List<NumberedPointer>();
        for (var i = 0; i < pointers.Length; i++)
            if (!pointers[i].IsNone) all.Add(new NumberedPointer((uint)i, pointers[i]));
        return [.. all];
    }
}

/// <summary>A changed leaf.</summary>
internal sealed class FrozenLeaf(long number, MapLeaf content, PiecePointer oldPointer)
{
    /// <summary>The leaf's span is the 2 MiB from this times 2 MiB on.</summary>
    public long Number { get; } = number;

    /// <summary>Nothing is left in it: it is not stored, and its new pointer stays none.</summary>
    public bool IsEmpty => Content.Count == 0;

    public PiecePointer OldPointer { get; } = oldPointer;

    /// <summary>Where the checkpoint stored it: set by the checkpointer.</summary>
    public PiecePointer NewPointer { get; set; }

    internal MapLeaf Content { get; } = content;

    /// <summary>Appends the leaf's bytes; returns their number.</summary>
    public int EncodeTo(IBufferWriter<byte> writer) => MapLeafFormat.Encode(Content.Runs, Number, writer);
}

/// <summary>A page of which leaves changed.</summary>
internal sealed class FrozenPage(int number, PiecePointer oldPointer, PiecePointer[]? oldBases, IReadOnlyList<FrozenLeaf> leaves, bool wasMarked)
{
    public int Number { get; } = number;

    /// <summary>No leaf is left in it: it is not stored, and its new pointer stays none. Known once the leaves have their pointers.</summary>
    public bool IsEmpty => Array.TrueForAll(NewBases(), b => b.IsNone);

    public PiecePointer OldPointer { get; } = oldPointer;

    /// <summary>Where the checkpoint stored it: set by the checkpointer.</summary>
    public PiecePointer NewPointer { get; set; }

    /// <summary>Those of its leaves that changed.</summary>
    internal IReadOnlyList<FrozenLeaf> Leaves { get; } = leaves;

    internal bool WasMarked { get; } = wasMarked;

    /// <summary>Appends the page's bytes; returns their number. All of its leaves have their new pointers.</summary>
    public int EncodeTo(IBufferWriter<byte> writer) => MapPageFormat.Encode(NewBases(), Number, writer);

    internal PiecePointer[] NewBases()
    {
        var bases = new PiecePointer[BucketMap.LeavesPerPage];
        oldBases?.CopyTo(bases, 0);
        foreach (var leaf in Leaves) bases[leaf.Number % BucketMap.LeavesPerPage] = leaf.NewPointer;
        return bases;
    }
}
