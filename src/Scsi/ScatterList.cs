using Gateway.Scsi.Interop;

namespace Gateway.Scsi;

/// <summary>An ordered list of memory pieces that together hold one command's data. Reusable: it allocates only to grow.</summary>
/// <remarks>
/// It owns no memory: whoever fills it keeps the pieces alive and unchanged in place until the command is complete.
/// Not thread safe; one command, one owner at a time. Offsets count bytes from the start of the first piece.
/// </remarks>
public sealed class ScatterList
{
    private Iovec[] _segments = new Iovec[8];
    private int _count;

    /// <summary>Sum of the pieces' lengths in bytes.</summary>
    public int LengthBytes { get; private set; }

    /// <summary>The pieces, in order. Valid until the next <see cref="Reset"/> or <see cref="Add(Iovec)"/>.</summary>
    public ReadOnlySpan<Iovec> Segments => _segments.AsSpan(0, _count);

    /// <summary>Forgets all pieces.</summary>
    public void Reset()
    {
        _count = 0;
        LengthBytes = 0;
    }

    /// <summary>Appends a piece; one of length 0 is dropped.</summary>
    /// <exception cref="OverflowException">The sum passes 2 GiB.</exception>
    public void Add(Iovec segment)
    {
        if (segment.LengthBytes == 0) return;
        LengthBytes = checked(LengthBytes + (int)segment.LengthBytes);
        if (_count == _segments.Length) Array.Resize(ref _segments, _count * 2);
        _segments[_count++] = segment;
    }

    /// <summary>Appends a whole native buffer, or its first <paramref name="lengthBytes"/> bytes.</summary>
    public void Add(NativeBuffer buffer, int? lengthBytes = null) => Add(new Iovec(buffer.Address, lengthBytes ?? buffer.LengthBytes));

    /// <summary>Appends the pieces of <paramref name="source"/> between two offsets, without copying data.</summary>
    public void AddSlice(ScatterList source, int offsetBytes, int lengthBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offsetBytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(lengthBytes, source.LengthBytes - offsetBytes);
        foreach (var segment in source.Segments)
        {
            if (lengthBytes == 0) return;
            if (offsetBytes >= segment.LengthBytes)
            {
                offsetBytes -= (int)segment.LengthBytes;
                continue;
            }

            var take = Math.Min(lengthBytes, (int)segment.LengthBytes - offsetBytes);
            Add(new Iovec(segment.Address + offsetBytes, take));
            offsetBytes = 0;
            lengthBytes -= take;
        }
    }

    /// <summary>Copies bytes out of the list. Offset and length must lie inside it.</summary>
    public void CopyTo(int offsetBytes, Span<byte> destination)
    {
        var walker = new Walker(this, offsetBytes, destination.Length);
        while (walker.MoveNext(out var piece))
        {
            piece.CopyTo(destination);
            destination = destination[piece.Length..];
        }
    }

    /// <summary>Copies bytes into the list. Offset and length must lie inside it.</summary>
    public void CopyFrom(int offsetBytes, ReadOnlySpan<byte> source)
    {
        var walker = new Walker(this, offsetBytes, source.Length);
        while (walker.MoveNext(out var piece))
        {
            source[..piece.Length].CopyTo(piece);
            source = source[piece.Length..];
        }
    }

    /// <summary>Writes zeroes into the list. Offset and length must lie inside it.</summary>
    public void Clear(int offsetBytes, int lengthBytes)
    {
        var walker = new Walker(this, offsetBytes, lengthBytes);
        while (walker.MoveNext(out var piece)) piece.Clear();
    }

    /// <summary>Walks the pieces that cover a range, cut to it.</summary>
    public ref struct Walker
    {
        private readonly ReadOnlySpan<Iovec> _segments;
        private int _index;
        private int _skip;
        private int _left;

        public Walker(ScatterList list, int offsetBytes, int lengthBytes)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(offsetBytes);
            ArgumentOutOfRangeException.ThrowIfNegative(lengthBytes);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(lengthBytes, list.LengthBytes - offsetBytes);
            _segments = list.Segments;
            _skip = offsetBytes;
            _left = lengthBytes;
        }

        /// <summary>The next piece of the range, never empty; false when the range is done.</summary>
        public bool MoveNext(out Span<byte> piece)
        {
            piece = default;
            if (_left == 0) return false;
            while (_skip >= _segments[_index].LengthBytes) _skip -= (int)_segments[_index++].LengthBytes;
            piece = _segments[_index].AsSpan()[_skip..];
            if (piece.Length > _left) piece = piece[.._left];
            _left -= piece.Length;
            _skip += piece.Length;
            return true;
        }
    }
}
