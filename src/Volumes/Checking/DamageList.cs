namespace Gateway.Volumes.Checking;

/// <summary>Collects blocks that cannot be read, and joins neighbours.</summary>
internal sealed class DamageList
{
    private readonly List<DamagedRange> _ranges = [];

    /// <summary>True: a part of the map is unknown, so counts cannot be compared.</summary>
    public bool Unknown { get; set; }

    public void Add(ulong lba, ulong blocks, string reason) => _ranges.Add(new DamagedRange(lba, blocks, reason));

    public IReadOnlyList<DamagedRange> ToRanges()
    {
        var joined = new List<DamagedRange>();
        foreach (var range in _ranges.OrderBy(r => r.Lba))
        {
            if (joined.Count > 0 && joined[^1] is var last && last.Lba + last.Blocks == range.Lba && last.Reason == range.Reason) joined[^1] = last with { Blocks = last.Blocks + range.Blocks };
            else joined.Add(range);
        }

        return joined;
    }
}
