using Gateway.Volumes.Formats;

namespace Gateway.Volumes.Log;

/// <summary>A sealed segment, ready to be put. Its content is in a pooled buffer.</summary>
internal sealed class BuiltSegment
{
    private readonly SegmentBufferPool _pool;
    private readonly int _start;
    private byte[]? _buffer;

    public BuiltSegment(SegmentHeader header, SegmentIndexEntry[] index, byte[] buffer, int start, SegmentBufferPool pool)
    {
        Header = header;
        Index = index;
        _buffer = buffer;
        _start = start;
        _pool = pool;
    }

    public SegmentHeader Header { get; }

    public SegmentIndexEntry[] Index { get; }

    /// <summary>The whole blob; gone once <see cref="Recycle"/> was called.</summary>
    public ReadOnlyMemory<byte> Content =>
        (_buffer ?? throw new InvalidOperationException("The segment's content was given back.")).AsMemory(_start, (int)Header.LengthBytes);

    /// <summary>
    /// Gives the content's memory to the next segment. Only where it is certain that nobody reads it any more: every put of it has
    /// completed, none by an exception that left it open whether the store still works on it. Without this call the memory is the garbage
    /// collector's.
    /// </summary>
    public void Recycle()
    {
        if (Interlocked.Exchange(ref _buffer, null) is { } buffer) _pool.Return(buffer);
    }
}
