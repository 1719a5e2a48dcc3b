using System.Runtime.InteropServices;
using System.Threading.Channels;

namespace Gateway.Tcmu.Tests.Netlink;

/// <summary>The kernel's side of generic netlink: knows family TCM-USER, acknowledges, and keeps what it is told.</summary>
internal sealed class SimulatedNetlink : INetlinkTransport
{
    public const ushort Family = 0x1B;
    public const uint Group = 9;

    private static readonly byte[] OverrunMark = [1];
    private static readonly byte[] StopMark = [];

    private readonly Channel<byte[]> _toDaemon = Channel.CreateUnbounded<byte[]>();
    private readonly Channel<(byte Command, uint DeviceId, int Status, byte? SupportsReply)> _fromDaemon =
        Channel.CreateUnbounded<(byte, uint, int, byte?)>();

    /// <summary>Whether target_core_user is loaded.</summary>
    public bool HasFamily { get; init; } = true;

    /// <summary>What SET_FEATURES is answered with: 0 or a negative errno.</summary>
    public int FeaturesError { get; init; }

    /// <summary>An event that comes between SET_FEATURES and its acknowledgement.</summary>
    public byte[]? EventBeforeAck { get; init; }

    public uint JoinedGroup { get; private set; }

    public bool IsDisposed { get; private set; }

    public static byte[] Event(TcmuGenlCommand command, string device, uint? minor, uint deviceId, string? config = null, ulong? size = null, byte? writeCache = null)
    {
        var writer = new NetlinkWriter(new byte[1024], Family, 0, 0, (byte)command, TcmuGenl.Version);
        writer.Add((ushort)TcmuGenlAttribute.Device, device);
        if (minor is { } number) writer.Add((ushort)TcmuGenlAttribute.Minor, number);
        writer.Add((ushort)TcmuGenlAttribute.DeviceId, deviceId);
        if (config is not null) writer.Add((ushort)TcmuGenlAttribute.Config, config);
        if (size is { } bytes) writer.Add((ushort)TcmuGenlAttribute.Size, bytes);
        if (writeCache is { } cache) writer.Add((ushort)TcmuGenlAttribute.WriteCache, cache);
        return writer.Finish().ToArray();
    }

    public static byte[] FamilyReply(uint sequence)
    {
        Span<byte> group = stackalloc byte[20 + 64];
        var inner = new NetlinkWriter(group, 0, 0, 0, 0, 0);
        inner.Add(Gateway.Tcmu.Netlink.ControlGroupId, Group);
        inner.Add(Gateway.Tcmu.Netlink.ControlGroupName, TcmuGenl.GroupName);
        var groupBytes = inner.Finish()[20..].ToArray();
        var nest = new NetlinkWriter(stackalloc byte[20 + 128], 0, 0, 0, 0, 0);
        nest.Add(0x8000 | 1, groupBytes);
        var nestBytes = nest.Finish()[20..].ToArray();

        var writer = new NetlinkWriter(new byte[512], Gateway.Tcmu.Netlink.ControlFamily, 0, sequence, Gateway.Tcmu.Netlink.ControlNewFamily, 2);
        writer.Add(Gateway.Tcmu.Netlink.ControlFamilyName, TcmuGenl.FamilyName);
        writer.Add(Gateway.Tcmu.Netlink.ControlFamilyId, Family);
        writer.Add(Gateway.Tcmu.Netlink.ControlGroups | 0x8000, nestBytes);
        return writer.Finish().ToArray();
    }

    public void Raise(byte[] datagram) => _toDaemon.Writer.TryWrite(datagram);

    public void RaiseOverrun() => _toDaemon.Writer.TryWrite(OverrunMark);

    /// <summary>The next message that the daemon sent, after the handshake's own.</summary>
    public async Task<(byte Command, uint DeviceId, int Status, byte? SupportsReply)> NextReplyAsync() =>
        await _fromDaemon.Reader.ReadAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(10));

    public void JoinGroup(uint group) => JoinedGroup = group;

    public void Send(ReadOnlySpan<byte> message)
    {
        if (!Gateway.Tcmu.Netlink.TryTake(ref message, out var request) || !request.TryGetGeneric(out var command, out var attributes)) throw new InvalidDataException();
        if (request.Type == Gateway.Tcmu.Netlink.ControlFamily)
        {
            Raise(HasFamily ? FamilyReply(request.Sequence) : Error(request.Sequence, -2));
            return;
        }

        uint id = 0;
        var status = 0;
        byte? supports = null;
        while (attributes.MoveNext())
        {
            if (attributes.Type == (ushort)TcmuGenlAttribute.DeviceId) id = attributes.AsUInt32!.Value;
            if (attributes.Type == (ushort)TcmuGenlAttribute.Status) status = (int)attributes.AsUInt32!.Value;
            if (attributes.Type == (ushort)TcmuGenlAttribute.SupportsReply) supports = attributes.AsByte;
        }

        _fromDaemon.Writer.TryWrite((command, id, status, supports));
        if (command != (byte)TcmuGenlCommand.SetFeatures) return;
        if (EventBeforeAck is { } early) Raise(early);
        Raise(Error(request.Sequence, FeaturesError));
    }

    public int Receive(Span<byte> buffer)
    {
        var next = _toDaemon.Reader.ReadAsync().AsTask().GetAwaiter().GetResult();
        if (ReferenceEquals(next, OverrunMark)) return INetlinkTransport.Overrun;
        next.CopyTo(buffer);
        return next.Length;
    }

    public void Stop() => Raise(StopMark);

    public void Dispose() => IsDisposed = true;

    private static byte[] Error(uint sequence, int error)
    {
        var bytes = new byte[16 + 4 + 16];
        MemoryMarshal.Write(bytes.AsSpan(0), bytes.Length);
        MemoryMarshal.Write(bytes.AsSpan(4), Gateway.Tcmu.Netlink.TypeError);
        MemoryMarshal.Write(bytes.AsSpan(8), sequence);
        MemoryMarshal.Write(bytes.AsSpan(16), error);
        return bytes;
    }
}
