using System.Diagnostics;
using Gateway.Volumes.Journal;

namespace Gateway.Volumes.Log;

/// <summary>A stretch of the journal in memory, moved forward in large steps.</summary>
internal sealed class JournalWindow
{
    /// <summary>Most that is held; more than the longest record.</summary>
    public const int LengthBytes = 512 << 10;

    private readonly byte[] _bytes = GC.AllocateUninitializedArray<byte>(LengthBytes);
    private JournalFile? _journal;
    private long _limit;
    private long _position;
    private int _length;

    /// <summary>Starts reading a journal, up to position <paramref name="limit"/>.</summary>
    public void Attach(JournalFile journal, long limit)
    {
        _journal = journal;
        _limit = limit;
        _length = 0;
    }

    public bool Holds(long position, int lengthBytes) => position >= _position && position + lengthBytes <= _position + _length;

    /// <summary>What <see cref="Holds"/>; good until the next fill.</summary>
    public ReadOnlySpan<byte> Get(long position, int lengthBytes) => _bytes.AsSpan((int)(position - _position), lengthBytes);

    /// <summary>Reads up to so many bytes from a position on: less at the limit and at the end of the ring, which nothing crosses.</summary>
    public async ValueTask FillAsync(long position, int lengthBytes)
    {
        var journal = _journal ?? throw new UnreachableException("No journal is attached.");
        _length = 0;
        var length = (int)Math.Min(Math.Min(lengthBytes, _limit - position), journal.CapacityBytes - (position % journal.CapacityBytes));
        await journal.ReadAsync(_bytes.AsMemory(0, length), position);
        _position = position;
        _length = length;
    }
}
