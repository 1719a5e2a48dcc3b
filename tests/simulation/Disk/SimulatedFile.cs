namespace Gateway.Simulation.Disk;

/// <summary>
/// A file as the page cache has it and as the platter has it. Between them stands every write since the last flush: after a power cut each of
/// its sectors has reached the platter or not, whatever the order.
/// </summary>
internal sealed class SimulatedFile(long lengthBytes)
{
    public const int SectorBytes = 512;

    private readonly List<(long Offset, byte[] Content)> _unsynced = [];

    /// <summary>What reads see.</summary>
    public byte[] Current { get; private set; } = new byte[lengthBytes];

    /// <summary>What a power cut leaves for sure.</summary>
    public byte[] Durable { get; } = new byte[lengthBytes];

    /// <summary>True once a power cut cannot take the name away.</summary>
    public bool HasDurableName { get; set; }

    /// <summary>Some process has it open and locked.</summary>
    public bool IsLocked { get; set; }

    /// <summary>Writes so far, from the first on: what a flush that starts now covers.</summary>
    public long WritesTotal { get; private set; }

    private long FlushedTotal => WritesTotal - _unsynced.Count;

    public void Write(long offset, byte[] content)
    {
        content.CopyTo(Current, offset);
        _unsynced.Add((offset, content));
        WritesTotal++;
    }

    /// <summary>Makes the first <paramref name="writes"/> ever made durable.</summary>
    public void Sync(long writes)
    {
        var count = Covered(writes);
        foreach (var (offset, content) in _unsynced.Take(count)) content.CopyTo(Durable, offset);
        _unsynced.RemoveRange(0, count);
    }

    /// <summary>A flush that failed: of what it covered any sector may be durable, and no later flush covers the others.</summary>
    public void LoseSome(long writes, Random random)
    {
        var count = Covered(writes);
        SyncSome(count, random);
        _unsynced.RemoveRange(0, count);
    }

    /// <summary>After a failed flush the page cache holds sectors that are clean and not durable; here it forgets them.</summary>
    public void Evict()
    {
        Durable.CopyTo(Current, 0);
        foreach (var (offset, content) in _unsynced) content.CopyTo(Current, offset);
    }

    public void CutPower(Random random)
    {
        SyncSome(_unsynced.Count, random);
        _unsynced.Clear();
        Durable.CopyTo(Current, 0);
    }

    /// <summary>Flips a bit for good.</summary>
    public void Rot(long offset, int bit)
    {
        Current[offset] ^= (byte)(1 << bit);
        Durable[offset] = Current[offset];
    }

    private int Covered(long writes) => (int)Math.Max(0, writes - FlushedTotal);

    private void SyncSome(int count, Random random)
    {
        var share = random.Next(4) switch { 0 => 0, 1 => 1, _ => random.NextDouble() };
        foreach (var (offset, content) in _unsynced.Take(count))
        {
            for (var at = 0; at < content.Length; at += SectorBytes)
                if (random.NextDouble() < share) content.AsSpan(at, Math.Min(SectorBytes, content.Length - at)).CopyTo(Durable.AsSpan((int)offset + at));
        }
    }
}
