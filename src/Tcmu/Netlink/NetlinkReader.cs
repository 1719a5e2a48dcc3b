using System.Runtime.InteropServices;
using System.Text;

namespace Gateway.Tcmu;

/// <summary>One message of a datagram: <c>struct nlmsghdr</c> of linux/netlink.h, in host byte order, and what follows it.</summary>
internal readonly ref struct NetlinkMessage(ushort type, uint sequence, ReadOnlySpan<byte> payload)
{
    public ushort Type { get; } = type;

    public uint Sequence { get; } = sequence;

    public ReadOnlySpan<byte> Payload { get; } = payload;

    /// <summary>For NLMSG_ERROR: 0 (acknowledged) or a negative errno. Null if the message holds none.</summary>
    public int? Error => Payload.Length >= sizeof(int) ? MemoryMarshal.Read<int>(Payload) : null;

    /// <summary>Decodes the generic netlink header (<c>struct genlmsghdr</c>); false if there is none.</summary>
    public bool TryGetGeneric(out byte command, out NetlinkAttributes attributes)
    {
        command = 0;
        attributes = default;
        if (Payload.Length < Netlink.GenericHeaderLengthBytes) return false;
        command = Payload[0];
        attributes = new NetlinkAttributes(Payload[Netlink.GenericHeaderLengthBytes..]);
        return true;
    }
}

/// <summary>Walks a run of attributes (<c>struct nlattr</c>). Stops before one that passes the end.</summary>
internal ref struct NetlinkAttributes(ReadOnlySpan<byte> bytes)
{
    // NLA_F_NESTED and NLA_F_NET_BYTEORDER share the type field.
    private const ushort TypeMask = 0x3FFF;

    private ReadOnlySpan<byte> _rest = bytes;

    public ushort Type { get; private set; }

    public ReadOnlySpan<byte> Value { get; private set; }

    public readonly byte? AsByte => Value.Length == sizeof(byte) ? Value[0] : null;

    public readonly ushort? AsUInt16 => Value.Length == sizeof(ushort) ? MemoryMarshal.Read<ushort>(Value) : null;

    public readonly uint? AsUInt32 => Value.Length == sizeof(uint) ? MemoryMarshal.Read<uint>(Value) : null;

    public readonly ulong? AsUInt64 => Value.Length == sizeof(ulong) ? MemoryMarshal.Read<ulong>(Value) : null;

    /// <summary>The text up to the first NUL.</summary>
    public readonly string AsText => Encoding.UTF8.GetString(Value.IndexOf((byte)0) is >= 0 and var end ? Value[..end] : Value);

    public bool MoveNext()
    {
        if (_rest.Length < Netlink.AttributeHeaderLengthBytes) return false;
        var length = MemoryMarshal.Read<ushort>(_rest);
        if (length < Netlink.AttributeHeaderLengthBytes || length > _rest.Length) return false;
        Type = (ushort)(MemoryMarshal.Read<ushort>(_rest[sizeof(ushort)..]) & TypeMask);
        Value = _rest[Netlink.AttributeHeaderLengthBytes..length];
        _rest = _rest[Math.Min(Netlink.Align(length), _rest.Length)..];
        return true;
    }
}

/// <summary>Constants of linux/netlink.h and linux/genetlink.h, and decoding of datagrams. Pure; survives any bytes.</summary>
internal static class Netlink
{
    public const int HeaderLengthBytes = 16;
    public const int GenericHeaderLengthBytes = 4;
    public const int AttributeHeaderLengthBytes = 4;

    public const ushort TypeError = 2; // NLMSG_ERROR.
    public const ushort FlagRequest = 0x1;
    public const ushort FlagAck = 0x4;

    public const ushort ControlFamily = 0x10; // GENL_ID_CTRL.
    public const byte ControlNewFamily = 1;
    public const byte ControlGetFamily = 3;
    public const ushort ControlFamilyId = 1;
    public const ushort ControlFamilyName = 2;
    public const ushort ControlGroups = 7;
    public const ushort ControlGroupName = 1;
    public const ushort ControlGroupId = 2;

    /// <summary>Takes the next message off a datagram; false at its end, or if what follows is no whole message.</summary>
    public static bool TryTake(scoped ref ReadOnlySpan<byte> datagram, out NetlinkMessage message)
    {
        message = default;
        if (datagram.Length < HeaderLengthBytes) return false;
        var length = MemoryMarshal.Read<uint>(datagram);
        if (length < HeaderLengthBytes || length > (uint)datagram.Length) return false;
        message = new NetlinkMessage(
            MemoryMarshal.Read<ushort>(datagram[4..]), MemoryMarshal.Read<uint>(datagram[8..]), datagram[HeaderLengthBytes..(int)length]);
        datagram = datagram[Math.Min(Align((int)length), datagram.Length)..];
        return true;
    }

    public static int Align(int lengthBytes) => (lengthBytes + 3) & ~3;
}
