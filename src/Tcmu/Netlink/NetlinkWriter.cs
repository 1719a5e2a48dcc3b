using System.Runtime.InteropServices;
using System.Text;

namespace Gateway.Tcmu;

/// <summary>Writes one generic netlink message into a buffer, in host byte order. The buffer has to be large enough.</summary>
internal ref struct NetlinkWriter
{
    private readonly Span<byte> _buffer;
    private int _length;

    public NetlinkWriter(Span<byte> buffer, ushort type, ushort flags, uint sequence, byte command, byte version)
    {
        _buffer = buffer;
        _length = Netlink.HeaderLengthBytes + Netlink.GenericHeaderLengthBytes;
        buffer[.._length].Clear();
        MemoryMarshal.Write(buffer[4..], type);
        MemoryMarshal.Write(buffer[6..], flags);
        MemoryMarshal.Write(buffer[8..], sequence);
        (buffer[16], buffer[17]) = (command, version);
    }

    public void Add(ushort type, byte value) => Add<byte>(type, value);

    public void Add<T>(ushort type, T value)
        where T : unmanaged => Add(type, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(ref value)));

    /// <summary>Adds text with the NUL that the kernel expects.</summary>
    public void Add(ushort type, string value) => Add(type, Encoding.UTF8.GetBytes(value + '\0'));

    /// <summary>Adds raw bytes, or the attributes of a nest.</summary>
    public void Add(ushort type, scoped ReadOnlySpan<byte> value)
    {
        var length = Netlink.AttributeHeaderLengthBytes + value.Length;
        var attribute = _buffer.Slice(_length, Netlink.Align(length));
        attribute[^Math.Min(4, attribute.Length)..].Clear(); // The padding.
        MemoryMarshal.Write(attribute, checked((ushort)length));
        MemoryMarshal.Write(attribute[sizeof(ushort)..], type);
        value.CopyTo(attribute[Netlink.AttributeHeaderLengthBytes..]);
        _length += attribute.Length;
    }

    /// <summary>The finished message.</summary>
    public readonly ReadOnlySpan<byte> Finish()
    {
        MemoryMarshal.Write(_buffer, (uint)_length);
        return _buffer[.._length];
    }
}
