using Gateway.Volumes.Map;

namespace Gateway.Volumes.Cleaning;

/// <summary>Chooses which segments to clean, and says when cleaning is worth it at all.</summary>
internal static class VictimChoice
{
    /// <summary>
    /// Space that cleaning could win: the share of all blocks that nothing refers to any more. Segments without any live block do not count: they go by themselves.
    /// </summary>
    /// <param name="table">All segments.</param>
    /// <param name="excluded">Sequences of those that cannot be cleaned, however much garbage is in them.</param>
    public static double Garbage(SegmentTable table, IReadOnlyCollection<uint> excluded)
    {
        var total = table.TotalBlocks - table.DeadBlocks;
        var live = table.LiveBlocks;
        foreach (var sequence in excluded)
        {
            if (!table.TryGet(sequence, out var segment) || segment.LiveBlocks == 0) continue;
            total -= segment.TotalBlocks;
            live -= segment.LiveBlocks;
        }

        return total == 0 ? 0 : 1 - ((double)live / total);
    }

    /// <summary>
    /// The segments with the best ratio of benefit to cost, up to <paramref name="liveBlocksMax"/> live blocks together: space won, weighed with its age since
    /// what was not overwritten for long will stay, against what must be read and written for it (Rosenblum and Ousterhout, "The design and
    /// implementation of a log-structured file system", SOSP 1991, section 3.6). One at least, if there is any with garbage.
    /// </summary>
    /// <param name="table">All segments.</param>
    /// <param name="lastSequence">Segments up to this one may be chosen.</param>
    /// <param name="liveBlocksMax">How many live blocks one round may move.</param>
    /// <param name="isExcluded">Those that must not be chosen.</param>
    public static List<SegmentUse> Choose(SegmentTable table, uint lastSequence, long liveBlocksMax, Func<uint, bool> isExcluded)
    {
        var candidates = new List<(double Score, SegmentUse Segment)>();
        foreach (var segment in table.Segments())
        {
            if (segment.LiveBlocks == 0 || segment.LiveBlocks == segment.TotalBlocks || segment.Sequence > lastSequence || isExcluded(segment.Sequence)) continue;
            var use = (double)segment.LiveBlocks / segment.TotalBlocks;
            candidates.Add(((1 - use) * Math.Sqrt(lastSequence - segment.Sequence + 1.0) / (1 + use), segment));
        }

        candidates.Sort(static (a, b) => b.Score != a.Score ? b.Score.CompareTo(a.Score) : a.Segment.Sequence.CompareTo(b.Segment.Sequence));
        var chosen = new List<SegmentUse>();
        long blocks = 0;
        foreach (var (_, segment) in candidates)
        {
            if (chosen.Count > 0 && blocks + segment.LiveBlocks > liveBlocksMax) break;
            chosen.Add(segment);
            blocks += segment.LiveBlocks;
        }

        return chosen;
    }
}
