namespace Gateway.Scsi.Tests;

public sealed class ModeSenseTests
{
    private const string Block = "00000400 00 000200";
    private const string Caching = "08 12 04 00 00000000 00000000 00000000 00000000";
    private const string CachingOff = "08 12 00 00 00000000 00000000 00000000 00000000";
    private const string Control = "0A 0A 02 10 00 40 00 00 FFFF 0000";
    private const string CachingMask = "08 12 04 00 00000000 00000000 00000000 00000000";
    private const string ControlMask = "0A 0A 00 00 08 00 00 00 0000 0000";

    [Theory]
    [InlineData("1A 00 3F 00 FF 00", "2B 00 10 08" + Block + Caching + Control)]
    [InlineData("1A 00 3F FF FF 00", "2B 00 10 08" + Block + Caching + Control)]
    [InlineData("1A 08 3F 00 FF 00", "23 00 10 00" + Caching + Control)]
    [InlineData("1A 08 08 00 FF 00", "17 00 10 00" + Caching)]
    [InlineData("1A 08 08 FF FF 00", "17 00 10 00" + Caching)]
    [InlineData("1A 08 0A 00 FF 00", "0F 00 10 00" + Control)]
    [InlineData("1A 08 7F 00 FF 00", "23 00 10 00" + CachingMask + ControlMask)]
    [InlineData("1A 08 BF 00 FF 00", "23 00 10 00" + Caching + Control)]
    [InlineData("1A 08 3F 00 04 00", "23 00 10 00")]
    [InlineData("5A 00 3F 00 00 00 00 00 FF 00", "002E 00 10 00 00 0008" + Block + Caching + Control)]
    [InlineData("5A 08 0A 00 00 00 00 00 FF 00", "0012 00 10 00 00 0000" + Control)]
    [InlineData("5A 10 0A 00 00 00 00 00 FF 00", "0022 00 10 01 00 0010 0000000000000400 00000000 00000200" + Control)]
    public async Task ModeSense_Page_ExactBytes(string cdb, string expected)
    {
        Assert.Equal(Cdbs.Hex(expected), await new UnitWorld().ReceiveGoodAsync(Cdbs.Hex(cdb)));
    }

    [Theory]
    [InlineData("1A 08 08 00 FF 00", CachingOff)]
    [InlineData("1A 08 88 00 FF 00", Caching)]
    public async Task ModeSense_CacheSwitchedOff_CurrentAndDefaultDiffer(string cdb, string expected)
    {
        var world = new UnitWorld();
        world.Unit.WriteCacheEnabled = false;

        var data = await world.ReceiveGoodAsync(Cdbs.Hex(cdb));

        Assert.Equal(Cdbs.Hex(expected), data[4..]);
    }

    [Fact]
    public async Task ModeSense_NoCacheAtFirst_DefaultIsWriteThrough()
    {
        var data = await new UnitWorld(new() { WriteCacheEnabled = false }).ReceiveGoodAsync(Cdbs.Hex("1A 08 88 00 FF 00"));

        Assert.Equal(Cdbs.Hex(CachingOff), data[4..]);
    }

    [Fact]
    public async Task ModeSense_LargeCapacity_ShortDescriptorSaturates()
    {
        var world = new UnitWorld();
        world.Device.Geometry = world.Device.Geometry with { CapacityBlocks = 1UL << 40 };

        var data = await world.ReceiveGoodAsync(Cdbs.Hex("1A 00 0A 00 FF 00"));

        Assert.Equal(Cdbs.Hex("FFFFFFFF 00 000200"), data[4..12]);
    }

    [Theory]
    [InlineData("1A 08 08 00 FF 00", 2)]
    [InlineData("5A 08 08 00 00 00 00 00 FF 00", 3)]
    public async Task ModeSense_ReadOnlyUnit_WriteProtectBit(string cdb, int deviceSpecificByte)
    {
        var data = await new UnitWorld(new() { ReadOnly = true }).ReceiveGoodAsync(Cdbs.Hex(cdb));

        Assert.Equal(0x90, data[deviceSpecificByte]);
    }

    [Fact]
    public async Task ModeSense_DeviceWriteProtected_WriteProtectBit()
    {
        var world = new UnitWorld();
        world.Device.Readiness = BlockError.WriteProtected;

        Assert.Equal(0x90, (await world.ReceiveGoodAsync(Cdbs.Hex("1A 08 08 00 FF 00")))[2]);
    }

    [Theory]
    [InlineData("1A 08 1C 00 FF 00", 2, 5)]
    [InlineData("1A 08 00 00 FF 00", 2, 5)]
    [InlineData("1A 08 08 01 FF 00", 3, null)]
    [InlineData("5A 08 3F 01 00 00 00 00 FF 00", 3, null)]
    [InlineData("1A 08 08 00 FF 04", 5, 2)]
    [InlineData("5A 08 08 00 00 00 00 00 FF 04", 9, 2)]
    public async Task ModeSense_BadField_PointsAtIt(string cdb, int fieldByte, int? fieldBit)
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Hex(cdb));

        world.AssertSense(SenseCodes.InvalidFieldInCdb(fieldByte, (byte?)fieldBit));
    }

    [Theory]
    [InlineData("1A 08 FF 00 FF 00")]
    [InlineData("5A 08 C8 00 00 00 00 00 FF 00")]
    public async Task ModeSense_SavedValues_NotSupported(string cdb)
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Hex(cdb));

        world.AssertSense(new(SenseKey.IllegalRequest, 0x39, 0x00));
    }
}
