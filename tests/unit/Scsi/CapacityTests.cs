namespace Gateway.Scsi.Tests;

public sealed class CapacityTests
{
    private const string ReadCapacity10 = "25 00 00 00 00 00 00 00 00 00";
    private const string ReadCapacity16 = "9E 10 00 00 00 00 00 00 00 00 00 00 00 FF 00 00";

    [Theory]
    [InlineData(512, 4096, 1024, "000003FF 00000200")]
    [InlineData(4096, 4096, 16, "0000000F 00001000")]
    public async Task ReadCapacity10_SmallUnit_LastLbaAndBlockLength(int block, int physical, ulong blocks, string expected)
    {
        var world = new UnitWorld(capacityBlocks: blocks, blockLengthBytes: block, physicalBlockLengthBytes: physical);

        Assert.Equal(Cdbs.Hex(expected), await world.ReceiveGoodAsync(Cdbs.Hex(ReadCapacity10)));
    }

    [Theory]
    [InlineData(0x1_0000_0000, "FFFFFFFF 00000200")] // The last LBA itself is FFFFFFFFh.
    [InlineData(0x1_0000_0001, "FFFFFFFF 00000200")]
    [InlineData(0xFFFF_FFFF, "FFFFFFFE 00000200")]
    [InlineData(0, "00000000 00000200")]
    public async Task ReadCapacity10_LargeUnit_Saturates(ulong blocks, string expected)
    {
        var world = new UnitWorld();
        world.Device.Geometry = world.Device.Geometry with { CapacityBlocks = blocks };

        Assert.Equal(Cdbs.Hex(expected), await world.ReceiveGoodAsync(Cdbs.Hex(ReadCapacity10)));
    }

    [Theory]
    [InlineData(512, 4096, "00000001 00000000 00000200 00 03 C000")]
    [InlineData(512, 512, "00000001 00000000 00000200 00 00 C000")]
    [InlineData(4096, 4096, "00000001 00000000 00001000 00 00 C000")]
    public async Task ReadCapacity16_AnyGeometry_ExactBytes(int block, int physical, string expected)
    {
        var world = new UnitWorld(blockLengthBytes: block, physicalBlockLengthBytes: physical);
        world.Device.Geometry = world.Device.Geometry with { CapacityBlocks = 0x1_0000_0001 };

        var data = await world.ReceiveGoodAsync(Cdbs.Hex(ReadCapacity16));

        Assert.Equal(Cdbs.Hex(expected + "00000000 00000000 00000000 00000000"), data);
    }

    [Fact]
    public async Task ReadCapacity16_AllocationLength12_Truncates()
    {
        var data = await new UnitWorld().ReceiveGoodAsync(Cdbs.Hex("9E 10 00 00 00 00 00 00 00 00 00 00 00 0C 00 00"));

        Assert.Equal(Cdbs.Hex("00000000 000003FF 00000200"), data);
    }

    [Theory]
    [InlineData("9E 11 00 00 00 00 00 00 00 00 00 00 00 FF 00 00", 1, 4)]
    [InlineData("9E 12 00 00 00 00 00 00 00 00 00 00 00 FF 00 00", 1, 4)]
    [InlineData("9E 10 00 00 00 00 00 00 00 00 00 00 00 FF 00 04", 15, 2)]
    [InlineData("A3 0A 00 00 00 00 00 00 00 00 00 00", 1, 4)]
    public async Task ServiceAction_UnknownOrNaca_InvalidField(string cdb, int fieldByte, byte fieldBit)
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Hex(cdb));

        world.AssertSense(SenseCodes.InvalidFieldInCdb(fieldByte, fieldBit));
    }
}
