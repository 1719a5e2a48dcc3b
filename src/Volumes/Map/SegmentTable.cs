using Gateway.Volumes.Formats;

namespace Gateway.Volumes.Map;

/// <summary>All segments that exist, and how much of each is live. Not thread safe: the volume's gate guards it.</summary>
/// <remarks>
/// Pages of 4,096 sequences; a page without segments costs nothing. Live blocks are exact when no leaf of the map is an overlay; until then,
/// what an overlay hides in its base still counts as live.
/// </remarks>
internal sealed class SegmentTable
{
    /// <summary>Sequences of one page of the table.</summary>
    public const int SegmentsPerPage = 4096;

    // The pages from number _firstPage on.
    private SegmentPage?[] _pages = [];
    private uint _firstPage;
    private FrozenSegmentTable? _frozen;

    /// <summary>Number of segments.</summary>
    public long Count { get; private set; }

    /// <summary>Bytes of all segments.</summary>
    public long LengthBytes { get; private set; }

    /// <summary>Blocks of data in all segments.</summary>
    public long TotalBlocks { get; private set; }

    /// <summary>How many of them the map refers to.</summary>
    public long LiveBlocks { get; private set; }

    /// <summary>Bytes of the segments without a live block.</summary>
    public long DeadLengthBytes { get; private set; }

    /// <summary>Blocks of data in the segments without a live block.</summary>
    public long DeadBlocks { get; private set; }

    /// <summary>Blocks that were to be subtracted from segments that had no live ones left. Other than 0: a bug, or a forged map.</summary>
    public long UnderflowBlocks { get; private set; }

    /// <summary>What a checkpoint would write of the table, in bytes.</summary>
    public long EncodedDirtyBytes => _pages.Sum(p => p is { IsDirty: true } ? (long)SegmentPageFormat.LengthOf(p.Count) : 0);

    /// <summary>The stored pages as of the last <see cref="Publish"/>, by number.</summary>
    public IReadOnlyList<NumberedPointer> Pages => [.. from page in _pages where page is { Pointer.IsNone: false } select new NumberedPointer(page.Number, page.Pointer)];

    /// <summary>Adds a segment without live blocks.</summary>
    /// <exception cref="ArgumentException">It is there already, or cannot be.</exception>
    public void Add(uint sequence, int lengthBytes, uint totalBlocks, SegmentKind kind)
    {
        ArgumentOutOfRangeException.ThrowIfZero(sequence);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(lengthBytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(lengthBytes, SegmentLocation.SegmentLengthMaxBytes);
        var page = GetOrAddPage(sequence / SegmentsPerPage);
        ref var entry = ref page.Entries[sequence % SegmentsPerPage];
        if (entry.Exists) throw new ArgumentException($"Segment {sequence} is in the table already.", nameof(sequence));
        entry = new SegmentEntry(lengthBytes, kind, totalBlocks, 0);
        page.IsDirty = true;
        page.Count++;
        Account(entry, 1);
    }

    /// <summary>More of its blocks are referred to.</summary>
    /// <exception cref="InvalidOperationException">There is no such segment, or it has not so many blocks.</exception>
    public void AddLive(uint sequence, uint blocks)
    {
        if (blocks == 0) return;
        if (FindPage(sequence) is not { } page || !page.Entries[sequence % SegmentsPerPage].Exists) throw new InvalidOperationException($"Segment {sequence} is not in the table.");
        ref var entry = ref page.Entries[sequence % SegmentsPerPage];
        if (blocks > entry.TotalBlocks - entry.LiveBlocks) throw new InvalidOperationException($"Segment {sequence} has {entry.TotalBlocks} blocks, {entry.LiveBlocks} of them live: {blocks} more cannot be.");
        Account(entry, -1);
        entry.LiveBlocks += blocks;
        Account(entry, 1);
        page.IsDirty = true;
    }

    /// <summary>Fewer of its blocks are referred to. Never below 0: what is too much is counted in <see cref="UnderflowBlocks"/>, since these numbers only guide cleaning.</summary>
    public void SubtractLive(uint sequence, uint blocks)
    {
        var page = FindPage(sequence);
        var live = page is null ? 0 : page.Entries[sequence % SegmentsPerPage].LiveBlocks;
        var subtracted = Math.Min(blocks, live);
        UnderflowBlocks += blocks - subtracted;
        if (subtracted == 0) return;
        ref var entry = ref page!.Entries[sequence % SegmentsPerPage];
        Account(entry, -1);
        entry.LiveBlocks -= subtracted;
        Account(entry, 1);
        page.IsDirty = true;
    }

    /// <summary>The segment is deleted. No effect if it is not there.</summary>
    public void Remove(uint sequence)
    {
        if (FindPage(sequence) is not { } page || !page.Entries[sequence % SegmentsPerPage].Exists) return;
        ref var entry = ref page.Entries[sequence % SegmentsPerPage];
        Account(entry, -1);
        entry = default;
        page.IsDirty = true;
        page.Count--;
        DropIfEmpty(page);
    }

    public bool TryGet(uint sequence, out SegmentUse segment)
    {
        var entry = FindPage(sequence) is { } page ? page.Entries[sequence % SegmentsPerPage] : default;
        segment = entry.ToUse(sequence);
        return entry.Exists;
    }

    /// <summary>All segments in order of sequence. The table must not change meanwhile.</summary>
    public IEnumerable<SegmentUse> Segments()
    {
        foreach (var page in _pages)
        {
            if (page is null) continue;
            for (uint i = 0; i < SegmentsPerPage; i++)
                if (page.Entries[i].Exists) yield return page.Entries[i].ToUse((page.Number * SegmentsPerPage) + i);
        }
    }

    /// <summary>Takes a copy of the changed pages for a checkpoint, in the same breath as <see cref="BucketMap.Freeze"/>. One at a time.</summary>
    /// <exception cref="InvalidOperationException">Another freeze is neither published nor abandoned.</exception>
    public FrozenSegmentTable Freeze()
    {
        if (_frozen is not null) throw new InvalidOperationException("A checkpoint is running already.");
        var changed = new List<FrozenSegmentPage>();
        foreach (var page in _pages)
        {
            if (page is not { IsDirty: true }) continue;
            page.IsDirty = false;
            changed.Add(new FrozenSegmentPage(page.Number, page.Pointer, [.. page.Entries], page.Count));
        }

        return _frozen = new FrozenSegmentTable(changed, Pages);
    }

    /// <summary>The checkpoint is in force: its pointers replace the old ones.</summary>
    /// <exception cref="InvalidOperationException">It is not the last freeze, or a page of it has no new pointer. Nothing was changed.</exception>
    public void Publish(FrozenSegmentTable frozen)
    {
        CheckFrozen(frozen);
        if (frozen.Pages.Any(p => p.NewPointer.IsNone != p.IsEmpty)) throw new InvalidOperationException("A page of the checkpoint has not got its new pointer, or an empty one has.");
        _frozen = null;
        foreach (var changed in frozen.Pages)
        {
            var page = FindPage(changed.Number * SegmentsPerPage)!;
            page.Pointer = changed.NewPointer;
            DropIfEmpty(page);
        }
    }

    /// <summary>The checkpoint failed: what it took is changed again.</summary>
    /// <exception cref="InvalidOperationException">It is not the last freeze.</exception>
    public void Abandon(FrozenSegmentTable frozen)
    {
        CheckFrozen(frozen);
        _frozen = null;
        foreach (var changed in frozen.Pages)
        {
            var page = FindPage(changed.Number * SegmentsPerPage)!;
            page.IsDirty = true;
            DropIfEmpty(page);
        }
    }

    /// <summary>For compaction of map blobs: the page will be written again by the next checkpoint.</summary>
    public void MarkPageDirty(uint page)
    {
        if (FindPage(page * SegmentsPerPage) is { } found) found.IsDirty = true;
    }

    /// <summary>Loads a page when the volume is opened. The table is new, but for pages loaded before.</summary>
    /// <param name="page">Number and place, as the checkpoint root says.</param>
    /// <param name="bytes">The page; its checksum held.</param>
    /// <param name="lastSequence">The last sequence that the checkpoint covers.</param>
    /// <exception cref="VolumeException">Its content makes no sense; the table is unchanged.</exception>
    public void LoadPage(in NumberedPointer page, ReadOnlySpan<byte> bytes, uint lastSequence)
    {
        var entries = SegmentPageFormat.Decode(bytes, page, lastSequence);
        var loaded = GetOrAddPage(page.Number);
        if (loaded.Count > 0) throw new InvalidOperationException($"Page {page.Number} of the segment table is loaded already.");
        loaded.Pointer = page.Pointer;
        for (var i = 0; i < entries.Length; i++)
        {
            if (!entries[i].Exists) continue;
            loaded.Entries[i] = entries[i];
            loaded.Count++;
            Account(entries[i], 1);
        }
    }

    private SegmentPage? FindPage(uint sequence)
    {
        var index = sequence / SegmentsPerPage - (long)_firstPage;
        return index >= 0 && index < _pages.Length ? _pages[index] : null;
    }

    private SegmentPage GetOrAddPage(uint number)
    {
        if (FindPage(number * SegmentsPerPage) is { } page) return page;
        var first = _pages.Length == 0 ? number : Math.Min(_firstPage, number);
        var end = Math.Max(_firstPage + _pages.Length, number + 1L);
        if (_pages.Length == 0) end = number + 1L;
        var pages = new SegmentPage?[end - first];
        _pages.CopyTo(pages, _pages.Length == 0 ? 0 : _firstPage - first);
        (_pages, _firstPage) = (pages, first);
        return _pages[number - first] = new SegmentPage(number);
    }

    /// <summary>Forgets a page without segments that no checkpoint refers to, and the room of such pages at the start.</summary>
    private void DropIfEmpty(SegmentPage page)
    {
        if (page.Count > 0 || !page.Pointer.IsNone || _frozen is not null) return;
        _pages[page.Number - _firstPage] = null;
        var empty = 0;
        while (empty < _pages.Length && _pages[empty] is null) empty++;
        if (empty == 0) return;
        _pages = _pages[empty..];
        _firstPage += (uint)empty;
    }

    private void Account(in SegmentEntry entry, int sign)
    {
        Count += sign;
        LengthBytes += sign * (long)entry.LengthBytes;
        TotalBlocks += sign * (long)entry.TotalBlocks;
        LiveBlocks += sign * (long)entry.LiveBlocks;
        if (entry.LiveBlocks > 0) return;
        DeadLengthBytes += sign * (long)entry.LengthBytes;
        DeadBlocks += sign * (long)entry.TotalBlocks;
    }

    private void CheckFrozen(FrozenSegmentTable frozen)
    {
        if (_frozen != frozen) throw new InvalidOperationException("Only the last freeze can be published or abandoned, and only once.");
    }
}
