using Gateway.Volumes.Formats;

namespace Gateway.Volumes.Map;

/// <content>Loading of what is stored, and dropping it again.</content>
internal sealed partial class BucketMap
{
    private int _handPage;
    private int _handSlot;

    /// <summary>What to fetch next so that <see cref="Find"/> at <paramref name="lba"/> will not say Unloaded: its page, then its leaf. False when nothing is missing.</summary>
    public bool TryGetMissing(ulong lba, out MissingPiece missing)
    {
        CheckRange(lba, 1);
        var (number, start) = LeafAt(lba);
        return TryGetMissing(number, start, start + 1, out missing);
    }

    /// <summary>
    /// Stored leaves after a missing one that are not in memory either and can come with the same request: of the same page and map blob,
    /// in order of their place. The missing piece is the first in the list; alone in it if it is a page.
    /// </summary>
    /// <param name="missing">What must be loaded.</param>
    /// <param name="gapBytesMax">Unwanted bytes between two of them at most.</param>
    /// <param name="lengthBytesMax">From the start of the first to the end of the last at most, if there is more than one.</param>
    public IReadOnlyList<MissingPiece> WithNeighbours(in MissingPiece missing, int gapBytesMax, int lengthBytesMax)
    {
        var pieces = new List<MissingPiece> { missing };
        if (missing.IsPage) return pieces;
        var (p, first) = PlaceOf(missing.Number);
        if (_pages[p] is not { Bases: { } bases } page) return pieces;
        var from = missing.Pointer.OffsetBytes;
        ulong end = from + (ulong)missing.Pointer.LengthBytes;
        for (var slot = first + 1; slot < LeavesPerPage; slot++)
        {
            var next = bases[slot];
            if (next.Blob != missing.Pointer.Blob || next.OffsetBytes < end || page.Leaves[slot] is { IsOverlay: false }) continue;
            if (next.OffsetBytes - end > (ulong)gapBytesMax || next.OffsetBytes + (ulong)next.LengthBytes - from > (ulong)lengthBytesMax) break;
            pieces.Add(new MissingPiece(false, LeafNumber(p, slot), next));
            end = next.OffsetBytes + (ulong)next.LengthBytes;
        }

        return pieces;
    }

    /// <summary>Loads a piece whose checksum held. No effect if it is loaded already, or another has taken its place since it was asked for.</summary>
    /// <exception cref="VolumeException">Its content makes no sense; the map is unchanged.</exception>
    public void Load(in MissingPiece piece, ReadOnlySpan<byte> bytes)
    {
        if (piece.IsPage) LoadPage((int)piece.Number, piece.Pointer, bytes);
        else LoadLeaf(piece.Number, piece.Pointer, bytes);
    }

    /// <inheritdoc cref="Load"/>
    public void LoadPage(int page, PiecePointer from, ReadOnlySpan<byte> bytes)
    {
        if (from.IsNone || _pagePointers[page] != from || _pages[page] is { IsLoaded: true }) return;
        var bases = MapPageFormat.Decode(bytes, page, (int)Math.Min(LeavesPerPage, _leafCount - LeafNumber(page, 0)), from);
        var loaded = GetOrAddPage(page);
        for (var slot = 0; slot < LeavesPerPage; slot++) Account(loaded, slot, -1);
        ResidentBytes -= loaded.ResidentBytes;
        loaded.SetBases(bases);
        loaded.WasUsed = true;
        ResidentBytes += loaded.ResidentBytes;
        for (var slot = 0; slot < LeavesPerPage; slot++)
        {
            if (bases[slot].IsNone && loaded.Leaves[slot] is { } leaf) loaded.Leaves[slot] = Merge(leaf, []);
            EndChange(loaded, slot);
        }
    }

    /// <inheritdoc cref="Load"/>
    public void LoadLeaf(long leaf, PiecePointer from, ReadOnlySpan<byte> bytes)
    {
        var (p, slot) = PlaceOf(leaf);
        if (from.IsNone || _pages[p] is not { IsLoaded: true } page || page.BaseOf(slot) != from || page.Leaves[slot] is { IsOverlay: false }) return;
        var runs = MapLeafFormat.Decode(bytes, leaf, BlocksOf(leaf), _frameBlocks, from);
        foreach (ref readonly var run in runs.AsSpan()) CheckSegment(run, leaf, from);

        Account(page, slot, -1);
        page.Leaves[slot] = page.Leaves[slot] is { } overlay ? Merge(overlay, runs) : new MapLeaf(_spanBlocks, runs, runs.Length);
        Account(page, slot, 1);
    }

    /// <summary>
    /// Drops clean leaves not used lately, and pages without leaves, until at most <paramref name="residentBytesMax"/> are held or nothing
    /// more can go; returns the bytes freed. Ask for some less than the bound, since it looks through much of the map.
    /// </summary>
    public long Evict(long residentBytesMax)
    {
        // A clock: the hand goes round once to clear the marks of use, and once more to take what was not used since.
        var before = ResidentBytes;
        for (var turns = 0; turns <= 2 && ResidentBytes > residentBytesMax;)
        {
            if (_handPage >= _pages.Length)
            {
                (_handPage, turns) = (0, turns + 1);
                continue;
            }

            if (_pages[_handPage] is not { } page || !SweepPage(page, residentBytesMax)) (_handPage, _handSlot) = (_handPage + 1, 0);
        }

        return before - ResidentBytes;
    }

    /// <summary>Moves the hand through a page; true if it stopped in it, since enough was freed.</summary>
    private bool SweepPage(MapPage page, long residentBytesMax)
    {
        for (; _handSlot < LeavesPerPage && page.LeafCount > 0; _handSlot++)
        {
            if (page.Leaves[_handSlot] is not { IsOverlay: false, IsFrozen: false } leaf || (leaf.IsDirty && !Mutation.DirtyLeafEvicted)) continue;
            if (leaf.WasUsed)
            {
                leaf.WasUsed = false;
                continue;
            }

            Account(page, _handSlot, -1);
            page.Leaves[_handSlot] = null;
            if (ResidentBytes > residentBytesMax) continue;
            _handSlot++;
            return true;
        }

        if (page.WasUsed) page.WasUsed = false;
        else DropIfUnused(_handPage);
        return false;
    }

    private void DropIfUnused(int p)
    {
        if (_pages[p] is not { LeafCount: 0, IsMarked: false, IsFrozen: false } page) return;
        ResidentBytes -= page.ResidentBytes;
        _pages[p] = null;
    }

    private bool TryGetMissing(long number, uint start, uint end, out MissingPiece missing)
    {
        missing = default;
        var (p, slot) = PlaceOf(number);
        if (_pages[p] is not { } page)
        {
            if (_pagePointers[p].IsNone) return false;
            missing = new MissingPiece(true, p, _pagePointers[p]);
            return true;
        }

        var covered = page.Leaves[slot] is { } leaf ? !leaf.IsOverlay || leaf.Covers(start, end) : !page.MayHaveBase(slot);
        if (!covered) missing = MissingOf(page, p, slot);
        return !covered;
    }

    private MissingPiece MissingOf(MapPage page, int p, int slot) =>
        page.IsLoaded ? new MissingPiece(false, LeafNumber(p, slot), page.BaseOf(slot)) : new MissingPiece(true, p, _pagePointers[p]);

    private void CheckSegment(in LeafRun run, long leaf, PiecePointer from)
    {
        var sequence = (uint)run.Location.Sequence;
        if (!_segments.TryGet(sequence, out var segment)) throw MapDamage.Of($"leaf {leaf}", from, $"refers to segment {sequence}, which does not exist");
        var last = run.Location.AdvanceThroughFrames(run.Blocks - 1, _frameBlocks);
        if (last.FrameOffsetBytes > segment.LengthBytes - last.FrameLengthBytes) throw MapDamage.Of($"leaf {leaf}", from, $"refers to a place past the end of segment {sequence}");
    }

    /// <summary>What an overlay and its base make together; the base's blocks that the overlay hides are no longer live.</summary>
    private MapLeaf Merge(MapLeaf overlay, ReadOnlySpan<LeafRun> below)
    {
        var merged = new MapLeaf(_spanBlocks, new LeafRun[MergedCountMax(overlay, below)], 0) { IsDirty = true, WasUsed = overlay.WasUsed };
        var above = overlay.Runs;
        var a = 0;
        foreach (ref readonly var run in below)
        {
            for (var at = run.Start; at < run.End;)
            {
                while (a < above.Length && above[a].End <= at) merged.Append(above[a++], _frameBlocks);
                var hidden = a < above.Length && above[a].Start <= at;
                var to = a == above.Length ? run.End : Math.Min(run.End, hidden ? above[a].End : above[a].Start);
                if (hidden) _segments.SubtractLive((uint)run.Location.Sequence, to - at);
                else merged.Append(new LeafRun(at, to, run.Location.AdvanceThroughFrames(at - run.Start, _frameBlocks)), _frameBlocks);
                at = to;
            }
        }

        while (a < above.Length) merged.Append(above[a++], _frameBlocks);
        merged.ShrinkToFit();
        return merged;
    }

    private int MergedCountMax(MapLeaf overlay, ReadOnlySpan<LeafRun> below) => (int)Math.Min(_spanBlocks, (2 * overlay.Count) + below.Length);
}
