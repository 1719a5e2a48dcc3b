using System.Runtime.InteropServices;

namespace Gateway.Volumes.Log;

/// <summary>A run of blocks whose content is that of one write.</summary>
/// <param name="Lba">First block.</param>
/// <param name="Blocks">Number of blocks.</param>
/// <param name="Write">The write's handle, or <see cref="NetEffect.Zero"/>.</param>
/// <param name="WriteOffset">Which of the write's blocks the first one is.</param>
internal readonly record struct NetRun(ulong Lba, uint Blocks, int Write, uint WriteOffset);

/// <summary>
/// What is left of a sequence of writes: for every block the last one that touched it. Takes writes in order, gives runs sorted by LBA
/// that do not overlap. Reused from one segment to the next; allocates nothing once it has grown.
/// </summary>
/// <remarks>
/// A sweep over the writes sorted by first block. Those that reach over the current block stand in a heap, latest on top, and are
/// taken out only when they come up after their end. So the time is n log n, however they overlap.
/// </remarks>
internal sealed class NetEffect
{
    /// <summary>Handle of a write of zeroes.</summary>
    public const int Zero = -1;

    private static readonly Comparison<Entry> ByLba = static (a, b) => a.Lba != b.Lba ? a.Lba.CompareTo(b.Lba) : a.Order.CompareTo(b.Order);

    private readonly List<Entry> _writes = [];
    private readonly List<NetRun> _runs = [];
    private readonly PriorityQueue<int, int> _reaching = new();

    /// <summary>The outcome of <see cref="Compute"/>.</summary>
    public ReadOnlySpan<NetRun> Runs => CollectionsMarshal.AsSpan(_runs);

    public void Clear()
    {
        _writes.Clear();
        _runs.Clear();
    }

    /// <summary>Adds the next write of 1 or more blocks.</summary>
    /// <param name="write">The caller's handle for it, or <see cref="Zero"/>.</param>
    public void Add(ulong lba, uint blocks, int write) => _writes.Add(new Entry(lba, blocks, _writes.Count, write));

    /// <summary>Fills <see cref="Runs"/>. Neighbours are joined where they are of one write, or zeroes.</summary>
    public void Compute()
    {
        var writes = CollectionsMarshal.AsSpan(_writes);
        writes.Sort(ByLba);
        _reaching.Clear();
        ulong at = 0;
        for (var next = 0; next < writes.Length || _reaching.Count > 0;)
        {
            if (_reaching.Count == 0) at = writes[next].Lba;
            for (; next < writes.Length && writes[next].Lba == at; next++) _reaching.Enqueue(next, -writes[next].Order);
            while (_reaching.TryPeek(out var done, out _) && writes[done].End <= at) _reaching.Dequeue();
            if (!_reaching.TryPeek(out var latest, out _)) continue;
            ref readonly var write = ref writes[latest];
            var end = next < writes.Length ? Math.Min(write.End, writes[next].Lba) : write.End;
            Append(at, (uint)(end - at), write);
            at = end;
        }
    }

    private void Append(ulong lba, uint blocks, in Entry write)
    {
        var offset = write.Write == Zero ? 0 : (uint)(lba - write.Lba);
        if (_runs.Count > 0)
        {
            ref var last = ref CollectionsMarshal.AsSpan(_runs)[^1];
            var continues = last.Write == write.Write && last.Lba + last.Blocks == lba && last.Blocks <= uint.MaxValue - blocks
                && (write.Write == Zero || last.WriteOffset + last.Blocks == offset);
            if (continues)
            {
                last = last with { Blocks = last.Blocks + blocks };
                return;
            }
        }

        _runs.Add(new NetRun(lba, blocks, write.Write, offset));
    }

    private readonly record struct Entry(ulong Lba, uint Blocks, int Order, int Write)
    {
        public ulong End => Lba + Blocks;
    }
}
