namespace Gateway.Volumes.Cache;

/// <summary>Names the blocks of one frame (segment sequence and offset) or of one journal record (-1 and position).</summary>
internal readonly record struct FrameKey(long Segment, long Offset)
{
    public static FrameKey OfJournal(long position) => new(-1, position);
}

/// <summary>Blocks of recently read frames, proved and in plain form. Bounded by bytes; SIEVE decides what goes.</summary>
/// <remarks>
/// SIEVE (Zhang et al., NSDI 2024): entries stand in order of arrival; a hit only marks; the hand moves from old to new, unmarks the marked
/// and evicts the first unmarked one. A scan therefore passes through without pushing out what is read again. Thread safe.
/// An entry's bytes never change, so readers copy from them without a lock, and an evicted array lives as long as somebody reads it.
/// </remarks>
internal sealed class FrameCache(long capacityBytes)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<FrameKey, LinkedListNode<Entry>> _entries = [];
    private readonly LinkedList<Entry> _order = []; // Newest first.
    private LinkedListNode<Entry>? _hand;
    private long _usedBytes;

    public long UsedBytes => Volatile.Read(ref _usedBytes);

    public bool TryGet(FrameKey key, out ReadOnlyMemory<byte> blocks)
    {
        lock (_gate)
        {
            if (_entries.TryGetValue(key, out var node))
            {
                node.ValueRef.Visited = true;
                blocks = node.ValueRef.Blocks;
                return true;
            }
        }

        blocks = default;
        return false;
    }

    public void Add(FrameKey key, ReadOnlyMemory<byte> blocks)
    {
        if (blocks.Length > capacityBytes) return;
        lock (_gate)
        {
            if (_entries.ContainsKey(key)) return;
            while (_usedBytes + blocks.Length > capacityBytes) Evict();
            _entries.Add(key, _order.AddFirst(new Entry(key, blocks)));
            _usedBytes += blocks.Length;
        }
    }

    private void Evict()
    {
        var node = _hand ?? _order.Last!;
        while (node.ValueRef.Visited)
        {
            node.ValueRef.Visited = false;
            node = node.Previous ?? _order.Last!;
        }

        _hand = node.Previous;
        _usedBytes -= node.ValueRef.Blocks.Length;
        _entries.Remove(node.ValueRef.Key);
        _order.Remove(node);
    }

    private record struct Entry(FrameKey Key, ReadOnlyMemory<byte> Blocks, bool Visited = false);
}
