using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Volumes.Formats;

/// <summary>Writes numbers of 0 to 32 bits one after the other, lowest bit first.</summary>
internal ref struct BitPacker(Span<byte> destination)
{
    private readonly Span<byte> _destination = destination;
    private ulong _pending;
    private int _pendingBits;
    private int _length;

    public void Write(uint value, int bits)
    {
        _pending |= (ulong)value << _pendingBits;
        _pendingBits += bits;
        if (_pendingBits < 32) return;
        WriteUInt32LittleEndian(_destination[_length..], (uint)_pending);
        _pending >>= 32;
        _pendingBits -= 32;
        _length += sizeof(uint);
    }

    /// <summary>Fills the last byte with zeroes; returns the number of bytes.</summary>
    public int Finish()
    {
        for (; _pendingBits > 0; _pendingBits -= 8, _pending >>= 8) _destination[_length++] = (byte)_pending;
        return _length;
    }
}

/// <summary>Reads what <see cref="BitPacker"/> wrote. The caller has checked that there are enough bytes.</summary>
internal ref struct BitUnpacker(ReadOnlySpan<byte> source)
{
    private ReadOnlySpan<byte> _source = source;
    private ulong _pending;
    private int _pendingBits;

    public uint Read(int bits)
    {
        while (_pendingBits < bits)
        {
            if (_source.Length >= sizeof(uint))
            {
                _pending |= (ulong)ReadUInt32LittleEndian(_source) << _pendingBits;
                _source = _source[sizeof(uint)..];
                _pendingBits += 32;
            }
            else
            {
                _pending |= (ulong)_source[0] << _pendingBits;
                _source = _source[1..];
                _pendingBits += 8;
            }
        }

        var value = (uint)(_pending & ((1UL << bits) - 1));
        _pending >>= bits;
        _pendingBits -= bits;
        return value;
    }

    /// <summary>True if nothing but zero bits of the last byte is left.</summary>
    public readonly bool IsAtEnd => _source.IsEmpty && _pending == 0 && _pendingBits < 8;
}
