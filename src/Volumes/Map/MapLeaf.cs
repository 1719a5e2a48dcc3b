using System.Numerics;

namespace Gateway.Volumes.Map;

/// <summary>What is in memory of one span of 2 MiB: sorted runs that do not overlap.</summary>
/// <remarks>
/// Either complete, the whole truth of its span, or an overlay: only what happened since its base was stored, trimmed runs included, and what
/// no run covers must be looked up in the base.
/// </remarks>
internal sealed class MapLeaf
{
    /// <summary>Both objects, the leaf and its array, without the runs.</summary>
    private const int OverheadBytes = 56;
    private const int RunBytes = 14;

    private readonly byte _spanShift; // Of the blocks of a whole span.
    private LeafRun[] _runs;

    public MapLeaf(uint spanBlocks, bool isOverlay)
        : this(spanBlocks, [], 0)
    {
        IsOverlay = isOverlay;
    }

    /// <param name="spanBlocks">Blocks of a whole span, a power of 2.</param>
    /// <param name="runs">Its runs; the leaf owns the array from now on.</param>
    /// <param name="count">How many of the array's runs count.</param>
    public MapLeaf(uint spanBlocks, LeafRun[] runs, int count)
    {
        _spanShift = (byte)BitOperations.Log2(spanBlocks);
        _runs = runs;
        Count = count;
    }

    private MapLeaf(MapLeaf original)
    {
        _spanShift = original._spanShift;
        _runs = original.Runs.ToArray();
        Count = original.Count;
        IsOverlay = original.IsOverlay;
        IsDirty = original.IsDirty;
        WasUsed = original.WasUsed;
    }

    public int Count { get; private set; }

    public ReadOnlySpan<LeafRun> Runs => _runs.AsSpan(0, Count);

    public bool IsOverlay { get; }

    /// <summary>Changed since the last freeze.</summary>
    public bool IsDirty { get; set; }

    /// <summary>Taken by a running checkpoint (or shared between spans): its runs must not change; whoever changes them changes a copy.</summary>
    public bool IsFrozen { get; set; }

    /// <summary>Looked at since the clock's hand last passed.</summary>
    public bool WasUsed { get; set; }

    public int ResidentBytes => OverheadBytes + (_runs.Length * RunBytes);

    public MapLeaf Copy() => new(this);

    /// <summary>Index of the first run whose end lies after <paramref name="block"/>; the count if there is none.</summary>
    public int FirstEndingAfter(uint block)
    {
        if (Count == 0) return 0;
        // In a leaf that is shredded evenly it is about there: one cache line to look at instead of five.
        var guess = (int)Math.Min((ulong)block * (uint)Count >> _spanShift, (uint)Count - 1);
        int low, high;
        if (_runs[guess].End > block)
        {
            (low, high) = (guess - 1, guess);
            for (var step = 1; low >= 0 && _runs[low].End > block; step *= 2) (low, high) = (low - step, low);
            low = Math.Max(low, -1) + 1;
        }
        else
        {
            (low, high) = (guess + 1, guess + 1);
            for (var step = 1; high < Count && _runs[high].End <= block; step *= 2) (low, high) = (high + 1, high + step);
            high = Math.Min(high, Count);
        }

        while (low < high)
        {
            var middle = (low + high) >>> 1;
            if (_runs[middle].End > block) high = middle;
            else low = middle + 1;
        }

        return low;
    }

    /// <summary>True if runs cover all of [start, end).</summary>
    public bool Covers(uint start, uint end)
    {
        for (var i = FirstEndingAfter(start); i < Count && _runs[i].Start <= start; i++)
        {
            start = _runs[i].End;
            if (start >= end) return true;
        }

        return start >= end;
    }

    /// <summary>Puts a run in place of whatever was there, merged with its neighbours. A trimmed location in a complete leaf leaves a hole.</summary>
    /// <param name="start">First block.</param>
    /// <param name="end">One past the last block.</param>
    /// <param name="location">Where the first block is.</param>
    /// <param name="frameBlocks">Blocks of a full frame.</param>
    public void Replace(uint start, uint end, SegmentLocation location, uint frameBlocks)
    {
        var present = IsOverlay || !location.IsTrimmed;
        var first = FirstEndingAfter(start);
        var last = first; // One past the last run that overlaps.
        while (last < Count && _runs[last].Start < end) last++;

        LeafRun left = default, right = default;
        bool hasLeft = false, hasRight = false;
        if (last > first)
        {
            left = _runs[first];
            hasLeft = left.Start < start;
            right = _runs[last - 1];
            hasRight = right.End > end;
            if (hasRight) right = new LeafRun(end, right.End, right.Location.AdvanceThroughFrames(end - right.Start, frameBlocks));
            if (hasLeft) left = new LeafRun(left.Start, start, left.Location);
        }

        if (present)
        {
            // A remainder of what was cut, or an untouched neighbour, may turn out to be continued by the new run.
            if (!hasLeft && first > 0 && _runs[first - 1].End == start)
            {
                first--;
                (left, hasLeft) = (_runs[first], true);
            }

            if (!hasRight && last < Count && _runs[last].Start == end)
            {
                (right, hasRight) = (_runs[last], true);
                last++;
            }

            if (hasLeft && left.Location.AdvanceThroughFrames(start - left.Start, frameBlocks) == location)
            {
                (start, location, hasLeft) = (left.Start, left.Location, false);
            }

            if (hasRight && location.AdvanceThroughFrames(end - start, frameBlocks) == right.Location)
            {
                (end, hasRight) = (right.End, false);
            }
        }

        Resize(first, last - first, (hasLeft ? 1 : 0) + (present ? 1 : 0) + (hasRight ? 1 : 0));
        if (hasLeft) _runs[first++] = left;
        if (present) _runs[first++] = new LeafRun(start, end, location);
        if (hasRight) _runs[first] = right;
    }

    /// <summary>Adds a run behind all others, one with the last if it continues it; nothing for a trimmed one. The array has room. For merging.</summary>
    public void Append(in LeafRun run, uint frameBlocks)
    {
        if (run.Location.IsTrimmed) return;
        if (Count > 0 && _runs[Count - 1] is var last && last.End == run.Start && last.Location.AdvanceThroughFrames(last.Blocks, frameBlocks) == run.Location)
            _runs[Count - 1] = new LeafRun(last.Start, run.End, last.Location);
        else
            _runs[Count++] = run;
    }

    /// <summary>Gives back the room that <see cref="Append"/> did not need.</summary>
    public void ShrinkToFit() => Array.Resize(ref _runs, Count);

    /// <summary>Makes room for <paramref name="added"/> runs in place of <paramref name="removed"/> ones at <paramref name="index"/>.</summary>
    private void Resize(int index, int removed, int added)
    {
        var count = Count - removed + added;
        // Little slack, since most leaves of a shredded volume are full, and no large array for the few runs that are left.
        var capacity = count <= 2 ? count : count + 2 + (count / 16);
        if (count > _runs.Length || capacity * 2 < _runs.Length)
        {
            var resized = new LeafRun[capacity];
            Array.Copy(_runs, resized, index);
            Array.Copy(_runs, index + removed, resized, index + added, Count - index - removed);
            _runs = resized;
        }
        else if (removed != added)
        {
            Array.Copy(_runs, index + removed, _runs, index + added, Count - index - removed);
        }

        Count = count;
    }
}
