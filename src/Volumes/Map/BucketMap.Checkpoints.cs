namespace Gateway.Volumes.Map;

/// <content>What checkpoints take, and what opening at one restores.</content>
internal sealed partial class BucketMap
{
    /// <summary>Opens the map at a checkpoint. The map is new.</summary>
    /// <param name="pages">Pointers of the pages that exist.</param>
    /// <param name="coveredSequence">The last sequence that the checkpoint covers.</param>
    /// <exception cref="VolumeException">The checkpoint is of a larger volume.</exception>
    public void RestorePages(ReadOnlySpan<NumberedPointer> pages, uint coveredSequence)
    {
        foreach (var (number, pointer) in pages)
        {
            if (number >= _pagePointers.Length) throw MapDamage.Of($"page {number}", pointer, "lies past the end of the volume");
            _pagePointers[number] = pointer;
        }

        _baseSequence = _appliedSequence = coveredSequence;
    }

    /// <summary>
    /// What must be loaded before <see cref="Freeze"/>, in order of blob and offset, so that neighbours can be fetched together. Ask again
    /// when all of it is loaded: a page shows which leaves are missing. Empty: freeze.
    /// </summary>
    public IReadOnlyList<MissingPiece> MissingForFreeze()
    {
        var missing = new List<MissingPiece>();
        for (var p = 0; p < _pages.Length; p++)
        {
            if (_pages[p] is not { } page || (page.OverlayCount == 0 && (page.IsLoaded || !page.IsMarked))) continue;
            if (!page.IsLoaded)
            {
                missing.Add(new MissingPiece(true, p, _pagePointers[p]));
                continue;
            }

            for (var slot = 0; slot < LeavesPerPage; slot++)
                if (page.Leaves[slot] is { IsOverlay: true }) missing.Add(MissingOf(page, p, slot));
        }

        missing.Sort((a, b) => (a.Pointer.Blob, a.Pointer.OffsetBytes).CompareTo((b.Pointer.Blob, b.Pointer.OffsetBytes)));
        return missing;
    }

    /// <summary>Takes what changed since the last freeze for a checkpoint. One at a time. Cheap: nothing is copied or encoded.</summary>
    /// <exception cref="InvalidOperationException">Another freeze is neither published nor abandoned, or something must be loaded first.</exception>
    public FrozenMap Freeze()
    {
        if (_frozen is not null) throw new InvalidOperationException("A checkpoint is running already.");
        var leaves = new List<FrozenLeaf>((int)DirtyLeaves);
        var pages = new List<FrozenPage>();
        for (var p = 0; p < _pages.Length; p++)
            if (_pages[p] is { OverlayCount: > 0 } or { IsMarked: true, IsLoaded: false }) throw new InvalidOperationException("Bases of overlays must be loaded before the map can be frozen.");
        for (var p = 0; p < _pages.Length; p++)
        {
            if (_pages[p] is not { } page || (page.DirtyCount == 0 && !page.IsMarked)) continue;
            var first = leaves.Count;
            for (var slot = 0; slot < LeavesPerPage && page.DirtyCount > 0; slot++)
                if (page.Leaves[slot] is { IsDirty: true } leaf) FreezeLeaf(page, p, slot, leaf, leaves);
            if (leaves.Count > first || page.IsMarked) FreezePage(page, p, leaves.GetRange(first, leaves.Count - first), pages);
            else DropIfEmpty(p);
        }

        return _frozen = new FrozenMap(leaves, pages, _pagePointers, _appliedSequence);
    }

    /// <summary>The checkpoint is in force: its pointers replace the old ones, and leaves unchanged since are clean.</summary>
    /// <exception cref="InvalidOperationException">It is not the last freeze, or a piece of it has no new pointer. Nothing was changed.</exception>
    public void Publish(FrozenMap frozen)
    {
        CheckFrozen(frozen);
        if (frozen.Leaves.Any(l => l.NewPointer.IsNone != l.IsEmpty) || frozen.Pages.Any(p => p.NewPointer.IsNone != p.IsEmpty))
            throw new InvalidOperationException("A piece of the checkpoint has not got its new pointer, or an empty one has.");
        foreach (var frozenPage in frozen.Pages)
        {
            var page = _pages[frozenPage.Number]!;
            foreach (var leaf in frozenPage.Leaves) Account(page, PlaceOf(leaf.Number).Slot, -1);
            ResidentBytes -= page.ResidentBytes;
            page.SetBases(frozenPage.IsEmpty ? null : frozenPage.NewBases());
            ResidentBytes += page.ResidentBytes;
            _pagePointers[frozenPage.Number] = frozenPage.NewPointer;
            page.IsFrozen = false;
            foreach (var leaf in frozenPage.Leaves)
            {
                var slot = PlaceOf(leaf.Number).Slot;
                if (ReferenceEquals(page.Leaves[slot], leaf.Content)) leaf.Content.IsFrozen = false;
                if (page.Leaves[slot] is { Count: 0, IsFrozen: false } && leaf.IsEmpty) page.Leaves[slot] = null;
                Account(page, slot, 1);
            }

            DropIfEmpty(frozenPage.Number);
        }

        _baseSequence = frozen.Sequence;
        _frozen = null;
    }

    /// <summary>The checkpoint failed: what it took is dirty again.</summary>
    /// <exception cref="InvalidOperationException">It is not the last freeze.</exception>
    public void Abandon(FrozenMap frozen)
    {
        CheckFrozen(frozen);
        foreach (var frozenPage in frozen.Pages)
        {
            var page = _pages[frozenPage.Number]!;
            page.IsFrozen = false;
            page.IsMarked |= frozenPage.WasMarked;
            foreach (var leaf in frozenPage.Leaves)
            {
                var slot = PlaceOf(leaf.Number).Slot;
                if (!ReferenceEquals(page.Leaves[slot], leaf.Content)) continue;
                Account(page, slot, -1);
                (leaf.Content.IsFrozen, leaf.Content.IsDirty) = (false, true);
                Account(page, slot, 1);
            }
        }

        _frozen = null;
    }

    /// <summary>For compaction of map blobs: the leaf will be written again by the next checkpoint, whether it changes or not.</summary>
    public void MarkDirty(long leaf)
    {
        var (p, slot) = PlaceOf(leaf);
        if (_pages[p] is null && _pagePointers[p].IsNone) return;
        var page = GetOrAddPage(p);
        if (page.Leaves[slot] is not { } resident)
        {
            if (page.MayHaveBase(slot)) EndChange(BeginChange(leaf).Page, slot);
            return;
        }

        // Of a frozen leaf only the runs are frozen.
        Account(page, slot, -1);
        resident.IsDirty = true;
        Account(page, slot, 1);
    }

    /// <summary>For compaction of map blobs: the page will be written again by the next checkpoint.</summary>
    public void MarkPageDirty(int page)
    {
        if (_pagePointers[page].IsNone) return;
        GetOrAddPage(page).IsMarked = true;
    }

    /// <summary>The pages, and the leaves of loaded pages, that are stored in a map blob.</summary>
    public IEnumerable<MissingPiece> PiecesIn(uint blob)
    {
        for (var p = 0; p < _pages.Length; p++)
        {
            if (_pagePointers[p].Blob == blob) yield return new MissingPiece(true, p, _pagePointers[p]);
            if (_pages[p]?.Bases is not { } bases) continue;
            for (var slot = 0; slot < LeavesPerPage; slot++)
                if (bases[slot].Blob == blob) yield return new MissingPiece(false, LeafNumber(p, slot), bases[slot]);
        }
    }

    /// <summary>Stored pages from a number on that are not in memory, up to <paramref name="pagesMax"/>, in order of their numbers.</summary>
    public MissingPiece[] UnloadedPages(int first, int pagesMax)
    {
        var unloaded = new List<MissingPiece>();
        for (var p = first; p < _pages.Length && unloaded.Count < pagesMax; p++)
            if (!_pagePointers[p].IsNone && _pages[p] is not { IsLoaded: true }) unloaded.Add(new MissingPiece(true, p, _pagePointers[p]));
        return [.. unloaded];
    }

    private void FreezeLeaf(MapPage page, int p, int slot, MapLeaf leaf, List<FrozenLeaf> leaves)
    {
        Account(page, slot, -1);
        leaf.IsDirty = false;
        if (leaf.Count == 0 && page.BaseOf(slot).IsNone)
        {
            page.Leaves[slot] = null; // It came and went since the last checkpoint.
        }
        else
        {
            leaf.IsFrozen = true;
            leaves.Add(new FrozenLeaf(LeafNumber(p, slot), leaf, page.BaseOf(slot)));
        }

        Account(page, slot, 1);
    }

    private void FreezePage(MapPage page, int p, List<FrozenLeaf> leaves, List<FrozenPage> pages)
    {
        pages.Add(new FrozenPage(p, _pagePointers[p], page.Bases, leaves, page.IsMarked));
        page.IsFrozen = true;
        page.IsMarked = false;
    }

    private void DropIfEmpty(int p)
    {
        if (_pagePointers[p].IsNone) DropIfUnused(p);
    }

    private void CheckFrozen(FrozenMap frozen)
    {
        if (_frozen != frozen) throw new InvalidOperationException("Only the last freeze can be published or abandoned, and only once.");
    }
}
