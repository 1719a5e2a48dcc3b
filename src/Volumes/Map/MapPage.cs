namespace Gateway.Volumes.Map;

/// <summary>1,024 neighbouring leaves: where each is stored, and those in memory.</summary>
internal sealed class MapPage(bool isLoaded)
{
    /// <summary>Both objects of a page without leaf pointers, and what the pointers add.</summary>
    private const int OverheadBytes = 80 + (BucketMap.LeavesPerPage * 8);
    private const int BasesBytes = 24 + (BucketMap.LeavesPerPage * PiecePointer.EncodedLengthBytes);

    public MapLeaf?[] Leaves { get; } = new MapLeaf?[BucketMap.LeavesPerPage];

    /// <summary>Where the last checkpoint stored each leaf; null: none is stored, or the page is not loaded. Replaced, never changed, while a checkpoint runs.</summary>
    public PiecePointer[]? Bases { get; private set; }

    /// <summary>False: where its leaves are stored is not known yet, so all that are in memory are overlays.</summary>
    public bool IsLoaded { get; private set; } = isLoaded;

    /// <summary>The next checkpoint writes it again, changed or not.</summary>
    public bool IsMarked { get; set; }

    /// <summary>A running checkpoint writes it.</summary>
    public bool IsFrozen { get; set; }

    /// <summary>Used since the clock's hand last passed.</summary>
    public bool WasUsed { get; set; }

    /// <summary>Leaves in memory; of these, overlays and dirty ones.</summary>
    public int LeafCount { get; set; }

    public int OverlayCount { get; set; }

    public int DirtyCount { get; set; }

    public int ResidentBytes => OverheadBytes + (Bases is null ? 0 : BasesBytes);

    public PiecePointer BaseOf(int slot) => Bases is null ? default : Bases[slot];

    /// <summary>True if the slot's base exists or may exist.</summary>
    public bool MayHaveBase(int slot) => !IsLoaded || !BaseOf(slot).IsNone;

    public void SetBases(PiecePointer[]? bases)
    {
        Bases = bases;
        IsLoaded = true;
    }
}
