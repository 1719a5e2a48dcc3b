namespace Gateway.Tcmu;

/// <summary><c>enum tcmu_genl_cmd</c> of target_core_user.h.</summary>
internal enum TcmuGenlCommand : byte
{
    Added = 1,
    Removed = 2,
    Reconfig = 3,
    AddedDone = 4,
    RemovedDone = 5,
    ReconfigDone = 6,
    SetFeatures = 7,
}

/// <summary><c>enum tcmu_genl_attr</c> of target_core_user.h.</summary>
internal enum TcmuGenlAttribute : ushort
{
    Device = 1,
    Minor = 2,
    Config = 4,
    Size = 5,
    WriteCache = 6,
    Status = 7,
    DeviceId = 8,
    SupportsReply = 9,
}

/// <summary>What the kernel calls the family on this boot.</summary>
/// <param name="Id">Message type of the family.</param>
/// <param name="Group">Multicast group "config"; null if it has none.</param>
internal readonly record struct TcmuFamily(ushort Id, uint? Group);

/// <summary>Messages of generic netlink family TCM-USER. Pure: over spans, without a socket.</summary>
internal static class TcmuGenl
{
    public const string FamilyName = "TCM-USER";
    public const string GroupName = "config";
    public const byte Version = 2;

    /// <summary>No message written here is longer.</summary>
    public const int MessageLengthMaxBytes = 128;

    public static ReadOnlySpan<byte> WriteGetFamily(Span<byte> buffer, uint sequence)
    {
        var writer = new NetlinkWriter(buffer, Netlink.ControlFamily, Netlink.FlagRequest, sequence, Netlink.ControlGetFamily, version: 1);
        writer.Add(Netlink.ControlFamilyName, FamilyName);
        return writer.Finish();
    }

    public static ReadOnlySpan<byte> WriteSetFeatures(Span<byte> buffer, ushort family, uint sequence, bool supportsReply)
    {
        var writer = new NetlinkWriter(buffer, family, Netlink.FlagRequest | Netlink.FlagAck, sequence, (byte)TcmuGenlCommand.SetFeatures, Version);
        writer.Add((ushort)TcmuGenlAttribute.SupportsReply, supportsReply ? (byte)1 : (byte)0);
        return writer.Finish();
    }

    /// <summary>The reply to an event. No acknowledgement is asked for; the kernel reports a failure all the same.</summary>
    public static ReadOnlySpan<byte> WriteDone(Span<byte> buffer, ushort family, uint sequence, TcmuGenlCommand command, uint deviceId, int status)
    {
        var writer = new NetlinkWriter(buffer, family, Netlink.FlagRequest, sequence, (byte)command, Version);
        writer.Add((ushort)TcmuGenlAttribute.Status, status);
        writer.Add((ushort)TcmuGenlAttribute.DeviceId, deviceId);
        return writer.Finish();
    }

    /// <summary>Decodes the answer to <see cref="WriteGetFamily"/>; false if the message is something else.</summary>
    public static bool TryReadFamily(in NetlinkMessage message, out TcmuFamily family)
    {
        family = default;
        if (message.Type != Netlink.ControlFamily || !message.TryGetGeneric(out var command, out var attributes) || command != Netlink.ControlNewFamily) return false;
        ushort? id = null;
        uint? group = null;
        while (attributes.MoveNext())
        {
            if (attributes.Type == Netlink.ControlFamilyId) id = attributes.AsUInt16;
            if (attributes.Type == Netlink.ControlGroups) group = FindGroup(new NetlinkAttributes(attributes.Value));
        }

        family = new TcmuFamily(id ?? 0, group);
        return id is not null;
    }

    /// <summary>Decodes an event. Null if the message is none, lacks what an event must have, or tells of a name that is not TCMU's.</summary>
    public static DeviceEvent? ReadEvent(in NetlinkMessage message, Action<DeviceEvent, int>? sender)
    {
        if (!message.TryGetGeneric(out var command, out var attributes)) return null;
        string? device = null, config = null;
        uint? minor = null, id = null;
        long? size = null;
        bool? writeCache = null;
        while (attributes.MoveNext())
        {
            switch ((TcmuGenlAttribute)attributes.Type)
            {
                case TcmuGenlAttribute.Device: device = attributes.AsText; break;
                case TcmuGenlAttribute.Config: config = attributes.AsText; break;
                case TcmuGenlAttribute.Minor: minor = attributes.AsUInt32; break;
                case TcmuGenlAttribute.DeviceId: id = attributes.AsUInt32; break;
                case TcmuGenlAttribute.Size: size = attributes.AsUInt64 is { } bytes and <= long.MaxValue ? (long)bytes : null; break;
                case TcmuGenlAttribute.WriteCache: writeCache = attributes.AsByte is { } cache ? cache != 0 : null; break;
            }
        }

        if (device is null || id is not { } deviceId || !TcmuDeviceName.TryParse(device, out var name)) return null;
        return (TcmuGenlCommand)command switch
        {
            TcmuGenlCommand.Added when minor is { } number => new DeviceAdded(name, deviceId, number) { Sender = sender },
            TcmuGenlCommand.Removed when minor is { } number => new DeviceRemoved(name, deviceId, number) { Sender = sender },
            TcmuGenlCommand.Reconfig => new DeviceReconfigured(name, deviceId, config, size, writeCache) { Sender = sender },
            _ => null,
        };
    }

    private static uint? FindGroup(NetlinkAttributes groups)
    {
        while (groups.MoveNext())
        {
            string? name = null;
            uint? id = null;
            var group = new NetlinkAttributes(groups.Value);
            while (group.MoveNext())
            {
                if (group.Type == Netlink.ControlGroupName) name = group.AsText;
                if (group.Type == Netlink.ControlGroupId) id = group.AsUInt32;
            }

            if (name == GroupName) return id;
        }

        return null;
    }
}
