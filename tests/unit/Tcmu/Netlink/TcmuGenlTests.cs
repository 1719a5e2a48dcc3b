using System.Runtime.InteropServices;
using Xunit;
using Codec = Gateway.Tcmu.Netlink;

namespace Gateway.Tcmu.Tests.Netlink;

public sealed class TcmuGenlTests
{
    private const string Device = "tcm-user/1/disk/gateway/store/vol";

    [Fact]
    public void Done_Written_HasTheKernelsLayout()
    {
        var message = TcmuGenl.WriteDone(stackalloc byte[TcmuGenl.MessageLengthMaxBytes], 0x1B, 7, TcmuGenlCommand.AddedDone, 3, -16);

        // nlmsghdr: length 36, type, flags REQUEST, sequence, port. genlmsghdr: command, version 2. Attributes 7 (status) and 8 (device id).
        Assert.Equal(
            "24000000" + "1B00" + "0100" + "07000000" + "00000000" + "04020000" + "08000700" + "F0FFFFFF" + "08000800" + "03000000",
            Convert.ToHexString(message));
    }

    [Fact]
    public void SetFeatures_Written_HasAPaddedByte()
    {
        var message = TcmuGenl.WriteSetFeatures(stackalloc byte[TcmuGenl.MessageLengthMaxBytes], 0x1B, 1, supportsReply: true);

        Assert.Equal("1C000000" + "1B00" + "0500" + "01000000" + "00000000" + "07020000" + "0500" + "0900" + "01000000", Convert.ToHexString(message));
    }

    [Fact]
    public void GetFamily_Written_NameEndsInNul()
    {
        var message = TcmuGenl.WriteGetFamily(stackalloc byte[TcmuGenl.MessageLengthMaxBytes], 1);

        Assert.Equal("0D000200" + "54434D2D5553455200" + "000000", Convert.ToHexString(message[20..]));
    }

    [Fact]
    public void Family_Reply_GivesIdAndGroup()
    {
        Assert.True(TcmuGenl.TryReadFamily(Take(SimulatedNetlink.FamilyReply(1)), out var family));

        Assert.Equal(new TcmuFamily(SimulatedNetlink.Family, SimulatedNetlink.Group), family);
    }

    [Fact]
    public void Event_Added_IsDecoded()
    {
        var added = Assert.IsType<DeviceAdded>(Read(SimulatedNetlink.Event(TcmuGenlCommand.Added, Device, 4, 17)));

        Assert.Equal((TcmuDeviceName.Parse(Device), 17u, 4u), (added.Name, added.DeviceId, added.Minor));
    }

    [Fact]
    public void Event_Removed_IsDecoded() => Assert.IsType<DeviceRemoved>(Read(SimulatedNetlink.Event(TcmuGenlCommand.Removed, Device, 4, 17)));

    [Fact]
    public void Event_Reconfig_HoldsWhatChanges()
    {
        var resized = Assert.IsType<DeviceReconfigured>(Read(SimulatedNetlink.Event(TcmuGenlCommand.Reconfig, Device, 4, 17, size: 1UL << 41)));
        var renamed = Assert.IsType<DeviceReconfigured>(Read(SimulatedNetlink.Event(TcmuGenlCommand.Reconfig, Device, 4, 17, config: "gateway/s/w")));
        var cached = Assert.IsType<DeviceReconfigured>(Read(SimulatedNetlink.Event(TcmuGenlCommand.Reconfig, Device, 4, 17, writeCache: 1)));

        Assert.Equal((null, 1L << 41, null), (resized.Config, resized.CapacityBytes, resized.WriteCache));
        Assert.Equal(("gateway/s/w", null, null), (renamed.Config, renamed.CapacityBytes, renamed.WriteCache));
        Assert.Equal((null, null, true), (cached.Config, cached.CapacityBytes, cached.WriteCache));
    }

    [Fact]
    public void Event_LackingWhatItNeeds_IsNone()
    {
        Assert.Null(Read(SimulatedNetlink.Event(TcmuGenlCommand.Added, Device, null, 17)));
        Assert.Null(Read(SimulatedNetlink.Event(TcmuGenlCommand.Added, "tcm-user/../x", 1, 17)));
        Assert.Null(Read(SimulatedNetlink.Event(TcmuGenlCommand.SetFeatures, Device, 1, 17)));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Datagram_RandomDamage_IsDecodedOrNotButNeverThrows(int seed)
    {
        var random = new Random(seed);
        byte[][] originals =
        [
            SimulatedNetlink.Event(TcmuGenlCommand.Reconfig, Device, 4, 17, "gateway/a/b", 77, 1), SimulatedNetlink.FamilyReply(1), new byte[64],
        ];
        for (var i = 0; i < 100_000; i++)
        {
            var bytes = originals[random.Next(originals.Length)].ToArray();
            for (var damage = random.Next(8); damage > 0; damage--) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            ReadOnlySpan<byte> datagram = bytes.AsSpan(0, random.Next(bytes.Length + 1));
            var messages = 0;
            while (Codec.TryTake(ref datagram, out var message))
            {
                _ = message.Error;
                TcmuGenl.TryReadFamily(message, out _);
                TcmuGenl.ReadEvent(message, null);
                messages++;
            }

            Assert.InRange(messages, 0, bytes.Length / 16);
        }
    }

    private static DeviceEvent? Read(byte[] datagram) => TcmuGenl.ReadEvent(Take(datagram), null);

    private static NetlinkMessage Take(byte[] bytes)
    {
        ReadOnlySpan<byte> datagram = bytes;
        Assert.True(Codec.TryTake(ref datagram, out var message));
        Assert.True(datagram.IsEmpty);
        return message;
    }
}
