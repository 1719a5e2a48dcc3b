namespace Gateway.Volumes.Cache;

/// <summary>Remembers roughly the last so many keys that were let go: a key that comes back soon is worth more. Not thread safe.</summary>
/// <remarks>
/// Sets of four entries, each a 32-bit fingerprint and the time it was added, counted in additions. A set that is full forgets its oldest;
/// a fingerprint may be taken for another's (2^-30), which costs a place in a cache and nothing else.
/// </remarks>
internal sealed class GhostTable
{
    private const int Ways = 4;

    private readonly ulong[] _entries;
    private readonly uint _setMask;
    private readonly uint _capacity;
    private uint _now = 1;

    public GhostTable(int capacity)
    {
        _capacity = (uint)Math.Max(capacity, 1);
        var sets = System.Numerics.BitOperations.RoundUpToPowerOf2((_capacity + Ways - 1) / Ways);
        _setMask = sets - 1;
        _entries = new ulong[sets * Ways];
    }

    public void Add(ulong key)
    {
        var set = SetOf(key, out var fingerprint);
        var oldest = 0;
        uint oldestAge = 0;
        for (var i = 0; i < Ways; i++)
        {
            var age = set[i] == 0 ? uint.MaxValue : _now - (uint)set[i];
            if ((uint)(set[i] >> 32) == fingerprint) age = uint.MaxValue;
            if (age < oldestAge) continue;
            (oldest, oldestAge) = (i, age);
        }

        set[oldest] = ((ulong)fingerprint << 32) | _now;
        if (++_now == 0) _now = 1;
    }

    /// <summary>True if the key is remembered; it is forgotten then.</summary>
    public bool Remove(ulong key)
    {
        var set = SetOf(key, out var fingerprint);
        for (var i = 0; i < Ways; i++)
        {
            if ((uint)(set[i] >> 32) != fingerprint || _now - (uint)set[i] > _capacity) continue;
            set[i] = 0;
            return true;
        }

        return false;
    }

    private Span<ulong> SetOf(ulong key, out uint fingerprint)
    {
        var hash = FrameKey.Mix(key);
        fingerprint = (uint)(hash >> 32) | 1; // Never 0, which marks an empty entry.
        return _entries.AsSpan((int)((uint)hash & _setMask) * Ways, Ways);
    }
}
