using System.Numerics;
using System.Runtime.CompilerServices;

namespace Gateway.Volumes.Map;

/// <summary>Where the first block of a run is; the blocks after it follow by a rule of the location's own.</summary>
internal interface IExtentLocation<TSelf>
    where TSelf : struct, IExtentLocation<TSelf>
{
    /// <summary>The location of the block <paramref name="blocks"/> further on in the same run.</summary>
    TSelf Advance(uint blocks);

    /// <summary>True if <paramref name="next"/> is where the block <paramref name="blocks"/> further on is: the two runs can be one.</summary>
    bool IsContinuedBy(in TSelf next, uint blocks);
}

/// <summary>A run of blocks that are together at one place.</summary>
internal readonly record struct ExtentRun<TLocation>(ulong Lba, uint Blocks, TLocation Location);

/// <summary>Says for every block of a volume where it is, or that it is nowhere. Not thread safe.</summary>
/// <remarks>
/// A two-level directory of leaves, one for each span of 2 MiB: a span never written costs nothing, look-up finds its leaf in two steps
/// and its run by binary search, and nothing is ever rebalanced. A leaf is a sorted array of runs that do not overlap;
/// neighbours that continue each other are merged.
/// </remarks>
internal sealed class ExtentMap<TLocation>
    where TLocation : struct, IExtentLocation<TLocation>
{
    private const int SpanBytes = 2 << 20;
    private const int LeavesPerPage = 1024;

    private readonly uint _spanBlocks;
    private ulong _capacityBlocks;
    private Leaf?[]?[] _pages;

    public ExtentMap(ulong capacityBlocks, int blockLengthBytes)
    {
        _spanBlocks = (uint)(SpanBytes / blockLengthBytes);
        _capacityBlocks = capacityBlocks;
        _pages = new Leaf?[]?[PagesOf(capacityBlocks)];
    }

    /// <summary>Makes room for more blocks, all of them holes.</summary>
    public void Grow(ulong capacityBlocks)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacityBlocks, _capacityBlocks);
        Array.Resize(ref _pages, PagesOf(capacityBlocks));
        _capacityBlocks = capacityBlocks;
    }

    /// <summary>Number of runs held.</summary>
    public long RunCount { get; private set; }

    /// <summary>
    /// Looks at the blocks from <paramref name="lba"/> on: true and where they are, or false for a hole. Either way
    /// <paramref name="blocks"/> is how many of them share that answer, 1 to <paramref name="blocksMax"/>.
    /// </summary>
    public bool TryFind(ulong lba, uint blocksMax, out uint blocks, out TLocation location)
    {
        var start = (uint)(lba % _spanBlocks);
        blocks = Math.Min(blocksMax, _spanBlocks - start);
        location = default;
        var leaf = GetLeaf(lba);
        if (leaf is null) return false;

        var index = leaf.FirstEndingAfter(start);
        if (index == leaf.Count) return false;
        ref var run = ref leaf.Runs[index];
        if (run.Start > start)
        {
            blocks = Math.Min(blocks, run.Start - start);
            return false;
        }

        blocks = Math.Min(blocks, run.End - start);
        location = run.Location.Advance(start - run.Start);
        return true;
    }

    /// <summary>Puts a run in place of whatever was there.</summary>
    public void Set(ulong lba, uint blocks, TLocation location)
    {
        CheckRange(lba, blocks);
        for (uint done = 0; done < blocks;)
        {
            var start = (uint)((lba + done) % _spanBlocks);
            var length = Math.Min(blocks - done, _spanBlocks - start);
            Replace(GetOrAddLeaf(lba + done), start, start + length, location.Advance(done), present: true);
            done += length;
        }
    }

    /// <summary>Makes a hole of a range.</summary>
    public void Remove(ulong lba, uint blocks)
    {
        CheckRange(lba, blocks);
        for (uint done = 0; done < blocks;)
        {
            var start = (uint)((lba + done) % _spanBlocks);
            var length = Math.Min(blocks - done, _spanBlocks - start);
            if (GetLeaf(lba + done) is { } leaf)
            {
                Replace(leaf, start, start + length, default, present: false);
                if (leaf.Count == 0) DropLeaf(lba + done);
            }

            done += length;
        }
    }

    /// <summary>All runs in order of their blocks. The map must not change meanwhile.</summary>
    public IEnumerable<ExtentRun<TLocation>> Runs()
    {
        for (var p = 0; p < _pages.Length; p++)
        {
            if (_pages[p] is not { } page) continue;
            for (var l = 0; l < page.Length; l++)
            {
                if (page[l] is not { } leaf) continue;
                var lba = (((ulong)p * LeavesPerPage) + (ulong)l) * _spanBlocks;
                for (var i = 0; i < leaf.Count; i++)
                    yield return new ExtentRun<TLocation>(lba + leaf.Runs[i].Start, leaf.Runs[i].End - (uint)leaf.Runs[i].Start, leaf.Runs[i].Location);
            }
        }
    }

    private int PagesOf(ulong capacityBlocks)
    {
        var spans = (capacityBlocks + _spanBlocks - 1) / _spanBlocks;
        return (int)((spans + LeavesPerPage - 1) / LeavesPerPage);
    }

    private void CheckRange(ulong lba, uint blocks)
    {
        if (lba > _capacityBlocks || blocks > _capacityBlocks - lba) throw new ArgumentOutOfRangeException(nameof(lba), $"LBA {lba}+{blocks} is past the capacity of {_capacityBlocks} blocks.");
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Leaf? GetLeaf(ulong lba)
    {
        var span = lba / _spanBlocks;
        return _pages[span / LeavesPerPage]?[span % LeavesPerPage];
    }

    private Leaf GetOrAddLeaf(ulong lba)
    {
        var span = lba / _spanBlocks;
        var page = _pages[span / LeavesPerPage] ??= new Leaf?[LeavesPerPage];
        return page[span % LeavesPerPage] ??= new Leaf();
    }

    private void DropLeaf(ulong lba)
    {
        var span = lba / _spanBlocks;
        _pages[span / LeavesPerPage]![span % LeavesPerPage] = null;
    }

    /// <summary>Cuts [start, end) out of the leaf and, if <paramref name="present"/>, puts a run there, merged with its neighbours.</summary>
    private void Replace(Leaf leaf, uint start, uint end, TLocation location, bool present)
    {
        RunCount -= leaf.Count;
        var first = leaf.FirstEndingAfter(start);
        var last = first; // One past the last run that overlaps.
        while (last < leaf.Count && leaf.Runs[last].Start < end) last++;

        Run left = default, right = default;
        bool hasLeft = false, hasRight = false;
        if (last > first)
        {
            left = leaf.Runs[first];
            hasLeft = left.Start < start;
            right = leaf.Runs[last - 1];
            hasRight = right.End > end;
            if (hasRight) right = new Run(end, right.End, right.Location.Advance(end - right.Start));
            if (hasLeft) left = new Run(left.Start, start, left.Location);
        }

        if (present)
        {
            // A remainder of what was cut, or an untouched neighbour, may turn out to be continued by the new run.
            if (!hasLeft && first > 0 && leaf.Runs[first - 1].End == start)
            {
                first--;
                (left, hasLeft) = (leaf.Runs[first], true);
            }

            if (!hasRight && last < leaf.Count && leaf.Runs[last].Start == end)
            {
                (right, hasRight) = (leaf.Runs[last], true);
                last++;
            }

            if (hasLeft && left.Location.IsContinuedBy(location, start - left.Start))
            {
                (start, location, hasLeft) = (left.Start, left.Location, false);
            }

            if (hasRight && location.IsContinuedBy(right.Location, end - start))
            {
                (end, hasRight) = (right.End, false);
            }
        }

        var added = (hasLeft ? 1 : 0) + (present ? 1 : 0) + (hasRight ? 1 : 0);
        leaf.Resize(first, last - first, added);
        if (hasLeft) leaf.Runs[first++] = left;
        if (present) leaf.Runs[first++] = new Run(start, end, location);
        if (hasRight) leaf.Runs[first] = right;
        RunCount += leaf.Count;
    }

    /// <summary>Blocks [Start, End) of a span.</summary>
    private readonly struct Run(uint start, uint end, TLocation location)
    {
        public readonly TLocation Location = location;
        private readonly ushort _start = (ushort)start;
        private readonly ushort _last = (ushort)(end - 1);

        public uint Start => _start;

        public uint End => _last + 1u;
    }

    private sealed class Leaf
    {
        private const int CapacityMin = 2;

        public Run[] Runs { get; private set; } = new Run[CapacityMin];

        public int Count { get; private set; }

        /// <summary>Index of the first run whose end lies after <paramref name="block"/>; the count if there is none.</summary>
        public int FirstEndingAfter(uint block)
        {
            int low = 0, high = Count;
            while (low < high)
            {
                var middle = (low + high) >>> 1;
                if (Runs[middle].End > block) high = middle;
                else low = middle + 1;
            }

            return low;
        }

        /// <summary>Makes room for <paramref name="added"/> runs in place of <paramref name="removed"/> ones at <paramref name="index"/>.</summary>
        public void Resize(int index, int removed, int added)
        {
            var count = Count - removed + added;
            if (count > Runs.Length)
            {
                var grown = new Run[(int)BitOperations.RoundUpToPowerOf2((uint)count)];
                Array.Copy(Runs, grown, index);
                Array.Copy(Runs, index + removed, grown, index + added, Count - index - removed);
                Runs = grown;
            }
            else if (removed != added)
            {
                Array.Copy(Runs, index + removed, Runs, index + added, Count - index - removed);
            }

            Count = count;
        }
    }
}
