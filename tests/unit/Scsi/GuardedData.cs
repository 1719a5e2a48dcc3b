using Gateway.Scsi.Interop;

namespace Gateway.Scsi.Tests;

/// <summary>An initiator's buffer in pieces of odd sizes, with guard bytes around each that nobody may touch.</summary>
internal sealed class GuardedData : IDisposable
{
    public const byte Guard = 0xA5;

    /// <summary>What the buffer holds before a command: what is not overwritten can be told.</summary>
    public const byte Fill = 0xEE;

    private const int GapBytes = 16;

    private readonly NativeBuffer _memory;
    private readonly List<(int Offset, int Length)> _pieces = [];

    /// <summary>Cuts <paramref name="lengthBytes"/> into pieces of the given sizes, over and over.</summary>
    public GuardedData(int lengthBytes, params int[] pieceLengths)
    {
        LengthBytes = lengthBytes;
        var offset = GapBytes;
        for (var (left, i) = (lengthBytes, 0); left > 0; i++)
        {
            var length = pieceLengths.Length == 0 ? left : Math.Min(left, pieceLengths[i % pieceLengths.Length]);
            _pieces.Add((offset, length));
            offset += length + GapBytes;
            left -= length;
        }

        _memory = new NativeBuffer(offset + GapBytes);
        _memory.Span.Fill(Guard);
        foreach (var (start, length) in _pieces) _memory.Span.Slice(start, length).Fill(Fill);
    }

    public int LengthBytes { get; }

    public void AddTo(ScatterList list)
    {
        foreach (var (offset, length) in _pieces) list.Add(new Iovec(_memory.Address + offset, length));
    }

    public byte[] ToArray()
    {
        var bytes = new List<byte>(LengthBytes);
        foreach (var (offset, length) in _pieces) bytes.AddRange(_memory.Span.Slice(offset, length));
        return [.. bytes];
    }

    public void Set(ReadOnlySpan<byte> bytes)
    {
        foreach (var (offset, length) in _pieces)
        {
            var take = Math.Min(length, bytes.Length);
            bytes[..take].CopyTo(_memory.Span[offset..]);
            bytes = bytes[take..];
        }
    }

    /// <summary>Every byte outside the pieces is as it was.</summary>
    public bool GuardsIntact()
    {
        var next = 0;
        foreach (var (offset, length) in _pieces)
        {
            if (_memory.Span[next..offset].ContainsAnyExcept(Guard)) return false;
            next = offset + length;
        }

        return !_memory.Span[next..].ContainsAnyExcept(Guard);
    }

    public void Dispose() => _memory.Dispose();
}
