using System.Diagnostics;
using System.Runtime.CompilerServices;
using Gateway.Volumes.Formats;

namespace Gateway.Volumes.Map;

/// <summary>What the bucket's map says of a block.</summary>
internal enum MapAnswer
{
    /// <summary>Never written, or trimmed: it reads as zeroes.</summary>
    Hole,

    /// <summary>In a frame of a segment.</summary>
    Data,

    /// <summary>A piece of the map must be loaded first.</summary>
    Unloaded,
}

/// <summary>Where in the bucket each block of a volume is. Not thread safe: the volume's gate guards it.</summary>
/// <remarks>
/// Leaves for 2 MiB each, 1,024 of them in a page, pages in an array: a span never written costs nothing. Each leaf and page knows where the last
/// checkpoint stored it (its base), so that what did not change since can be dropped and loaded again. What changes is put into the leaf in
/// memory; if the base is not in memory, into an overlay, which is merged with the base when that is loaded. So neither a commit nor the replay of
/// the log ever waits for a leaf. A checkpoint freezes the dirty leaves; whoever changes a frozen leaf changes a copy.
/// </remarks>
internal sealed partial class BucketMap
{
    /// <summary>Bytes of a volume that one leaf maps.</summary>
    public const int LeafSpanBytes = 2 << 20;

    /// <summary>Leaves that one page points to.</summary>
    public const int LeavesPerPage = 1024;

    private ulong _capacityBlocks;
    private readonly uint _spanBlocks;
    private readonly uint _frameBlocks;
    private long _leafCount;
    private readonly SegmentTable _segments;
    private MapPage?[] _pages = [];
    private PiecePointer[] _pagePointers = [];

    // Stands for every span that one command trimmed as a whole and whose base is not in memory: a discard of terabytes allocates no leaves.
    private readonly MapLeaf _trimmedLeaf;

    // The last sequence that was applied, and the last that may be in a base.
    private uint _appliedSequence;
    private uint _baseSequence;
    private FrozenMap? _frozen;

    /// <param name="capacityBlocks">Size of the volume.</param>
    /// <param name="blockLengthBytes">512 or 4096.</param>
    /// <param name="segments">Keeps the live blocks of each segment, and says which segments exist.</param>
    public BucketMap(ulong capacityBlocks, int blockLengthBytes, SegmentTable segments)
    {
        _spanBlocks = (uint)(LeafSpanBytes / blockLengthBytes);
        _frameBlocks = (uint)(FrameHeader.PayloadMaxBytes / blockLengthBytes);
        _segments = segments;
        Grow(capacityBlocks);
        _trimmedLeaf = new MapLeaf(_spanBlocks, isOverlay: true) { IsDirty = true, IsFrozen = true };
        _trimmedLeaf.Replace(0, _spanBlocks, default, _frameBlocks);
    }

    /// <summary>Leaves changed since the last freeze.</summary>
    public long DirtyLeaves { get; private set; }

    /// <summary>Memory held, in bytes (an estimate). What a running checkpoint keeps of leaves changed since is not in it.</summary>
    public long ResidentBytes { get; private set; }

    /// <summary>The part of <see cref="ResidentBytes"/> in leaves changed since the last freeze: it cannot be evicted.</summary>
    public long DirtyBytes { get; private set; }

    /// <summary>About what a checkpoint would write for the dirty leaves, in bytes.</summary>
    public long EncodedDirtyBytes { get; private set; }

    /// <summary>The top level as of the last <see cref="Publish"/>: one pointer for each page, by number.</summary>
    public ReadOnlySpan<PiecePointer> Pages => _pagePointers;

    /// <summary>Makes room for more blocks, all of them holes.</summary>
    /// <remarks>A running checkpoint keeps the top level as it was: no page behind it is in that checkpoint.</remarks>
    public void Grow(ulong capacityBlocks)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacityBlocks, _capacityBlocks);
        _capacityBlocks = capacityBlocks;
        _leafCount = (long)((capacityBlocks + _spanBlocks - 1) / _spanBlocks);
        var pages = (int)((_leafCount + LeavesPerPage - 1) / LeavesPerPage);
        Array.Resize(ref _pages, pages);
        Array.Resize(ref _pagePointers, pages);
    }

    /// <summary>
    /// Looks at the blocks from <paramref name="lba"/> on. <paramref name="blocks"/> is how many of them share the answer, 1 to
    /// <paramref name="blocksMax"/>; of data, they are in one frame, from <paramref name="location"/> on.
    /// </summary>
    public MapAnswer Find(ulong lba, uint blocksMax, out uint blocks, out SegmentLocation location)
    {
        CheckRange(lba, 1);
        var (number, start) = LeafAt(lba);
        blocks = Math.Min(blocksMax, _spanBlocks - start);
        location = default;
        var (p, slot) = PlaceOf(number);
        if (_pages[p] is not { } page) return _pagePointers[p].IsNone ? MapAnswer.Hole : MapAnswer.Unloaded;
        page.WasUsed = true;
        if (page.Leaves[slot] is not { } leaf) return page.MayHaveBase(slot) ? MapAnswer.Unloaded : MapAnswer.Hole;

        leaf.WasUsed = true;
        var index = leaf.FirstEndingAfter(start);
        if (index == leaf.Count || leaf.Runs[index].Start > start)
        {
            if (index < leaf.Count) blocks = Math.Min(blocks, leaf.Runs[index].Start - start);
            return leaf.IsOverlay ? MapAnswer.Unloaded : MapAnswer.Hole;
        }

        ref readonly var run = ref leaf.Runs[index];
        blocks = Math.Min(blocks, run.End - start);
        if (run.Location.IsTrimmed) return MapAnswer.Hole;
        location = run.Location.AdvanceThroughFrames(start - run.Start, _frameBlocks);
        blocks = Math.Min(blocks, _frameBlocks - (uint)location.BlockOffset);
        return MapAnswer.Data;
    }

    /// <summary>Takes a committed log segment's data entry. Its segment is in the table.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is past the end of the volume or of its frame.</exception>
    public void Set(ulong lba, uint blocks, SegmentLocation location)
    {
        CheckRange(lba, blocks);
        CheckFrame(blocks, location);
        _appliedSequence = Math.Max(_appliedSequence, (uint)location.Sequence);
        _segments.AddLive((uint)location.Sequence, blocks);
        for (uint done = 0; done < blocks;)
        {
            var (number, start) = LeafAt(lba + done);
            var length = Math.Min(blocks - done, _spanBlocks - start);
            var (page, slot) = BeginChange(number);
            Put(page.Leaves[slot]!, start, start + length, location.Advance(done));
            EndChange(page, slot);
            done += length;
        }
    }

    /// <summary>Takes a committed log segment's zero entry.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is past the end of the volume.</exception>
    public void Trim(ulong lba, uint blocks, uint sequence)
    {
        CheckRange(lba, blocks);
        _appliedSequence = Math.Max(_appliedSequence, sequence);
        for (var end = lba + blocks; lba < end;)
        {
            var (number, start) = LeafAt(lba);
            var (p, slot) = PlaceOf(number);
            if (_pages[p] is null && _pagePointers[p].IsNone)
            {
                lba = (ulong)(p + 1) * LeavesPerPage * _spanBlocks; // Nothing in the whole page.
                continue;
            }

            var length = (uint)Math.Min(end - lba, _spanBlocks - start);
            TrimSpan(number, start, start + length);
            lba += length;
        }
    }

    /// <summary>
    /// False if a leaf there must be loaded (<see cref="TryGetMissingForMoved"/>) before <see cref="SetMoved"/> can tell what is unchanged
    /// since <paramref name="coveredSequence"/>: the base of an overlay may hold later changes.
    /// </summary>
    public bool CanApplyMoved(ulong lba, uint blocks, uint coveredSequence) => !TryGetMissingForMoved(lba, blocks, coveredSequence, out _);

    /// <summary>What to fetch next so that <see cref="CanApplyMoved"/> will hold; false when it does.</summary>
    public bool TryGetMissingForMoved(ulong lba, uint blocks, uint coveredSequence, out MissingPiece missing)
    {
        CheckRange(lba, blocks);
        missing = default;
        if (_baseSequence <= coveredSequence) return false;
        for (uint done = 0; done < blocks;)
        {
            var (number, start) = LeafAt(lba + done);
            var length = Math.Min(blocks - done, _spanBlocks - start);
            if (TryGetMissing(number, start, start + length, out missing)) return true;
            done += length;
        }

        return false;
    }

    /// <summary>
    /// Takes an entry of a moved segment for those blocks that were neither written nor trimmed since <paramref name="coveredSequence"/>, up to
    /// which the cleaner had seen the map; returns how many those are. Its segment is in the table.
    /// </summary>
    /// <exception cref="InvalidOperationException">A leaf must be loaded first.</exception>
    public uint SetMoved(ulong lba, uint blocks, SegmentLocation location, uint coveredSequence)
    {
        CheckFrame(blocks, location);
        if (!CanApplyMoved(lba, blocks, coveredSequence)) throw new InvalidOperationException("The leaf below a moved extent must be loaded first.");
        _appliedSequence = Math.Max(_appliedSequence, (uint)location.Sequence);
        uint taken = 0;
        for (uint done = 0; done < blocks;)
        {
            var (number, start) = LeafAt(lba + done);
            var length = Math.Min(blocks - done, _spanBlocks - start);
            taken += MoveSpan(number, start, start + length, location.Advance(done), coveredSequence);
            done += length;
        }

        _segments.AddLive((uint)location.Sequence, taken);
        return taken;
    }

    private void TrimSpan(long number, uint start, uint end)
    {
        var (p, slot) = PlaceOf(number);
        var page = GetOrAddPage(p);
        if (page.Leaves[slot] is not { } leaf)
        {
            if (!page.MayHaveBase(slot) || Mutation.TombstoneLost) return;
            if (end - start == _spanBlocks)
            {
                page.Leaves[slot] = _trimmedLeaf;
                Account(page, slot, 1);
                return;
            }
        }
        else if (leaf == _trimmedLeaf || !(leaf.IsOverlay || Overlaps(leaf, start, end)))
        {
            return; // Nothing changes, so nothing needs to be written.
        }

        BeginChange(number);
        Put(page.Leaves[slot]!, start, end, default);
        EndChange(page, slot);
    }

    private uint MoveSpan(long number, uint start, uint end, SegmentLocation location, uint coveredSequence)
    {
        var (p, slot) = PlaceOf(number);
        var absent = _pages[p] is not { } known ? _pagePointers[p].IsNone : known.Leaves[slot] is null && !known.MayHaveBase(slot);
        if (absent) return 0; // All of it was trimmed.
        uint taken = 0;
        for (var at = start; at < end;)
        {
            var unchanged = IsUnchangedSince(_pages[p]?.Leaves[slot], at, end, coveredSequence, out var to);
            if (unchanged)
            {
                var (page, _) = BeginChange(number);
                Put(page.Leaves[slot]!, at, to, location.Advance(at - start));
                EndChange(page, slot);
                taken += to - at;
            }

            at = to;
        }

        return taken;
    }

    /// <summary>True if the blocks [<paramref name="at"/>, <paramref name="to"/>) are as they were at a sequence.</summary>
    private static bool IsUnchangedSince(MapLeaf? leaf, uint at, uint end, uint coveredSequence, out uint to)
    {
        to = end;
        if (leaf is null || Mutation.MovedOverNewer) return true; // In the base, which is older.
        var index = leaf.FirstEndingAfter(at);
        if (index < leaf.Count && leaf.Runs[index].Start <= at)
        {
            ref readonly var run = ref leaf.Runs[index];
            to = Math.Min(end, run.End);
            return !run.Location.IsTrimmed && run.Location.Sequence <= coveredSequence;
        }

        if (index < leaf.Count) to = Math.Min(end, leaf.Runs[index].Start);
        return leaf.IsOverlay;
    }

    /// <summary>Puts a run into a leaf that may change, and takes what it hides from the live blocks of their segments.</summary>
    private void Put(MapLeaf leaf, uint start, uint end, SegmentLocation location)
    {
        Debug.Assert(!leaf.IsFrozen && leaf.IsDirty, "Only a leaf between BeginChange and EndChange changes.");
        for (var i = leaf.FirstEndingAfter(start); i < leaf.Count && leaf.Runs[i].Start < end; i++)
        {
            ref readonly var run = ref leaf.Runs[i];
            if (!run.Location.IsTrimmed) _segments.SubtractLive((uint)run.Location.Sequence, Math.Min(end, run.End) - Math.Max(start, run.Start));
        }

        leaf.Replace(start, end, location, _frameBlocks);
    }

    private static bool Overlaps(MapLeaf leaf, uint start, uint end)
    {
        var index = leaf.FirstEndingAfter(start);
        return index < leaf.Count && leaf.Runs[index].Start < end;
    }

    /// <summary>Gives a leaf that may change, marked dirty: the one that is there, or its copy if it is frozen, or a new one.</summary>
    private (MapPage Page, int Slot) BeginChange(long number)
    {
        var (p, slot) = PlaceOf(number);
        var page = GetOrAddPage(p);
        Account(page, slot, -1);
        var leaf = page.Leaves[slot];
        if (leaf is null) leaf = new MapLeaf(_spanBlocks, isOverlay: page.MayHaveBase(slot));
        else if (leaf.IsFrozen) leaf = leaf.Copy();
        leaf.IsDirty = true;
        leaf.WasUsed = true;
        page.WasUsed = true;
        page.Leaves[slot] = leaf;
        return (page, slot);
    }

    private void EndChange(MapPage page, int slot)
    {
        // A running checkpoint may be about to store an older state of it: then only a leaf in memory can say that it is empty now.
        if (page.Leaves[slot] is { Count: 0, IsOverlay: false } && !page.MayHaveBase(slot) && _frozen is null) page.Leaves[slot] = null;
        Account(page, slot, 1);
    }

    private MapPage GetOrAddPage(int p)
    {
        if (_pages[p] is { } page) return page;
        page = new MapPage(isLoaded: _pagePointers[p].IsNone);
        _pages[p] = page;
        ResidentBytes += page.ResidentBytes;
        return page;
    }

    /// <summary>Adds a leaf to the totals before (-1) and after (1) it or its base changes.</summary>
    private void Account(MapPage page, int slot, int sign)
    {
        if (page.Leaves[slot] is not { } leaf) return;
        var bytes = leaf == _trimmedLeaf ? 0 : sign * leaf.ResidentBytes;
        page.LeafCount += sign;
        ResidentBytes += bytes;
        if (leaf.IsOverlay) page.OverlayCount += sign;
        if (!leaf.IsDirty) return;
        page.DirtyCount += sign;
        DirtyLeaves += sign;
        DirtyBytes += bytes;
        EncodedDirtyBytes += sign * (MapLeafFormat.EstimateLengthBytes(leaf.Count) + (leaf.IsOverlay ? page.BaseOf(slot).LengthBytes : 0));
    }

    private void CheckRange(ulong lba, uint blocks)
    {
        if (lba > _capacityBlocks || blocks > _capacityBlocks - lba) throw new ArgumentOutOfRangeException(nameof(lba), $"LBA {lba}+{blocks} is past the capacity of {_capacityBlocks} blocks.");
    }

    private void CheckFrame(uint blocks, in SegmentLocation location)
    {
        if (location.IsTrimmed || blocks > _frameBlocks - Math.Min(_frameBlocks, (uint)location.BlockOffset)) throw new ArgumentOutOfRangeException(nameof(blocks), $"{blocks} blocks from {location} on are not in one frame.");
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private (long Number, uint Start) LeafAt(ulong lba) => ((long)(lba / _spanBlocks), (uint)(lba % _spanBlocks));

    private static (int Page, int Slot) PlaceOf(long leaf) => ((int)(leaf / LeavesPerPage), (int)(leaf % LeavesPerPage));

    private static long LeafNumber(int page, int slot) => ((long)page * LeavesPerPage) + slot;

    /// <summary>Blocks of a leaf's span: fewer in the last one, if the volume ends in it.</summary>
    private uint BlocksOf(long leaf) => (uint)Math.Min(_spanBlocks, _capacityBlocks - ((ulong)leaf * _spanBlocks));
}
