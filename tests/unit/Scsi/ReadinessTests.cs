namespace Gateway.Scsi.Tests;

public sealed class ReadinessTests
{
    /// <summary>The design's table: each error, and what the initiator sees.</summary>
    public static readonly TheoryData<BlockError, SenseKey, byte, byte> Errors = new()
    {
        { BlockError.BecomingReady, SenseKey.NotReady, 0x04, 0x01 },
        { BlockError.StoreUnavailable, SenseKey.NotReady, 0x04, 0x07 },
        { BlockError.JournalFull, SenseKey.NotReady, 0x04, 0x14 },
        { BlockError.Offline, SenseKey.NotReady, 0x04, 0x03 },
        { BlockError.HandingOver, SenseKey.NotReady, 0x04, 0x0A },
        { BlockError.Standby, SenseKey.NotReady, 0x04, 0x0B },
        { BlockError.PathUnavailable, SenseKey.NotReady, 0x04, 0x0C },
        { BlockError.WriteProtected, SenseKey.DataProtect, 0x27, 0x00 },
        { BlockError.Corrupt, SenseKey.MediumError, 0x11, 0x00 },
        { BlockError.SpaceExhausted, SenseKey.DataProtect, 0x27, 0x07 },
    };

    public static readonly TheoryData<string> MediaCommands =
    [
        "00 00 00 00 00 00",
        "08 00 00 00 01 00",
        "28 00 00 00 00 00 00 00 01 00",
        "2A 00 00 00 00 00 00 00 01 00",
        "2F 00 00 00 00 00 00 00 01 00",
        "35 00 00 00 00 00 00 00 00 00",
        "41 00 00 00 00 00 00 00 01 00",
        "42 00 00 00 00 00 00 00 08 00",
        "88 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
    ];

    public static readonly TheoryData<string> AlwaysServed =
    [
        "03 00 00 00 FF 00",
        "12 00 00 00 FF 00",
        "1A 00 3F 00 FF 00",
        "5A 00 3F 00 00 00 00 00 FF 00",
        "25 00 00 00 00 00 00 00 00 00",
        "9E 10 00 00 00 00 00 00 00 00 00 00 00 FF 00 00",
        "A3 0C 00 00 00 00 00 00 FF FF 00 00",
    ];

    [Theory, MemberData(nameof(Errors))]
    public async Task DeviceError_OnAnyCommand_MapsToSense(BlockError error, SenseKey key, byte asc, byte ascq)
    {
        var expected = new SenseData(key, asc, ascq, Information: error == BlockError.Corrupt ? 77 : null);
        var world = new UnitWorld { Device = { Failure = new(error, error == BlockError.Corrupt ? 77 : null) } };

        foreach (var asynchronous in new[] { false, true })
        {
            world.Device.CompleteAsynchronously = asynchronous;
            foreach (var operationCode in new byte[] { 0x28, 0x2A, 0x2F, 0x41 })
            {
                await world.SendAsync(Cdbs.Block(operationCode, 0, 1), new byte[512]);
                world.AssertSense(expected);
            }

            await world.SendAsync(Cdbs.Block(0x35, 0, 0));
            world.AssertSense(expected);
            await world.SendAsync(Cdbs.Unmap(24), Cdbs.UnmapList((0, 1)));
            world.AssertSense(expected);
        }
    }

    /// <summary>An error added to the enumeration needs its row.</summary>
    [Fact]
    public void SenseMapping_EveryError_HasSense()
    {
        foreach (var error in Enum.GetValues<BlockError>())
        {
            var command = new ScsiCommand();
            SenseMapping.Complete(command, error);
            Assert.Equal(error == BlockError.None, command.Status == ScsiStatus.Good);
            Assert.Equal(error is BlockError.None or BlockError.Aborted, command.Sense == SenseData.None);
        }
    }

    [Theory, MemberData(nameof(Errors))]
    public async Task NotReady_TestUnitReady_ReportsIt(BlockError error, SenseKey key, byte asc, byte ascq)
    {
        var world = new UnitWorld { Device = { Readiness = error } };

        await world.SendAsync(Cdbs.Hex("00 00 00 00 00 00"));

        if (error == BlockError.WriteProtected) world.AssertGood(); // Reads are served.
        else world.AssertSense(new(key, asc, ascq));
    }

    [Theory, MemberData(nameof(MediaCommands))]
    public async Task NotReady_MediaCommand_ReportsItAndLeavesDeviceAlone(string cdb)
    {
        var world = new UnitWorld { Device = { Readiness = BlockError.BecomingReady } };

        await world.SendAsync(Cdbs.Hex(cdb), new byte[512]);

        world.AssertSense(new(SenseKey.NotReady, 0x04, 0x01));
        Assert.Equal(0, world.Device.Reads + world.Device.Writes + world.Device.Zeroes + world.Device.Flushes);
    }

    [Theory, MemberData(nameof(AlwaysServed))]
    public async Task NotReadyAndStopped_OtherCommand_IsServed(string cdb)
    {
        var world = new UnitWorld();
        await world.SendAsync(Cdbs.Hex("1B 00 00 00 00 00"));
        world.Device.Readiness = BlockError.Offline;

        await world.ReceiveGoodAsync(Cdbs.Hex(cdb));
    }

    [Fact]
    public async Task Readiness_Aborted_TaskAborted()
    {
        var world = new UnitWorld { Device = { Readiness = BlockError.Aborted } };

        await world.SendAsync(Cdbs.Hex("00 00 00 00 00 00"));
        Assert.Equal(ScsiStatus.TaskAborted, world.Command.Status);

        Assert.Equal(0, (await world.ReceiveGoodAsync(Cdbs.Hex("03 00 00 00 FF 00")))[2]);
    }

    [Theory]
    [InlineData("03 00 00 00 FF 00", "70 00 02 00000000 0A 00000000 04 03 00 000000")]
    [InlineData("03 01 00 00 FF 00", "72 02 04 03 00000000")]
    public async Task RequestSense_NotReady_SaysWhy(string cdb, string expected)
    {
        var world = new UnitWorld { Device = { Readiness = BlockError.Offline } };

        Assert.Equal(Cdbs.Hex(expected), await world.ReceiveGoodAsync(Cdbs.Hex(cdb)));
    }

    [Theory]
    [InlineData("03 00 00 00 FF 00", "70 00 00 00000000 0A 00000000 00 00 00 000000")]
    [InlineData("03 01 00 00 FF 00", "72 00 00 00 00000000")]
    public async Task RequestSense_Ready_NoSense(string cdb, string expected)
    {
        Assert.Equal(Cdbs.Hex(expected), await new UnitWorld().ReceiveGoodAsync(Cdbs.Hex(cdb)));
    }
}
