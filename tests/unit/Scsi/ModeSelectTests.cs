namespace Gateway.Scsi.Tests;

public sealed class ModeSelectTests
{
    private const string Header6 = "00 00 00 00";
    private const string Header10 = "0000 00 00 00 00 0000";
    private const string CachingOn = "08 12 04 00 00000000 00000000 00000000 00000000";
    private const string CachingOff = "08 12 00 00 00000000 00000000 00000000 00000000";
    private const string Control = "0A 0A 02 10 00 40 00 00 FFFF 0000";
    private const string Protect = "0A 0A 02 10 08 40 00 00 FFFF 0000";

    [Theory]
    [InlineData(Header6 + CachingOff, false, false)]
    [InlineData(Header6 + CachingOn, true, false)]
    [InlineData(Header6 + Protect, true, true)]
    [InlineData(Header6 + CachingOff + Protect, false, true)]
    [InlineData(Header6 + Protect + Control + CachingOff, false, false)]
    [InlineData("00 00 90 08 00000400 00 000200" + CachingOff, false, false)] // As MODE SENSE gave it.
    [InlineData("00 00 00 08 00000000 00 000200" + CachingOff, false, false)] // 0 blocks: unchanged.
    [InlineData("00 00 00 08 FFFFFFFF 00 000200" + CachingOff, false, false)]
    public async Task ModeSelect6_ValidList_Applied(string list, bool writeCache, bool protect)
    {
        var world = new UnitWorld();

        await Select6Async(world, list);

        world.AssertGood();
        Assert.Equal(writeCache, world.Unit.WriteCacheEnabled);
        Assert.Equal(protect, (await world.ReceiveGoodAsync(Cdbs.Hex("1A 08 0A 00 FF 00")))[8] == 0x08);
    }

    [Theory]
    [InlineData(Header10 + CachingOff)]
    [InlineData("0000 00 00 00 00 0008 00000400 00 000200" + CachingOff)]
    [InlineData("0000 00 00 01 00 0010 0000000000000400 00000000 00000200" + CachingOff)]
    [InlineData("0000 00 00 01 00 0010 FFFFFFFFFFFFFFFF 00000000 00000200" + CachingOff)]
    public async Task ModeSelect10_ValidList_Applied(string list)
    {
        var world = new UnitWorld();

        await Select10Async(world, list);

        world.AssertGood();
        Assert.False(world.Unit.WriteCacheEnabled);
    }

    [Theory]
    [InlineData("00", 0)]
    [InlineData("00 00 00", 0)]
    [InlineData("00 00 00 08 00000400", 0)] // In the middle of the block descriptor.
    [InlineData(Header6 + "08", 0)] // In the middle of a page header.
    [InlineData(Header6 + "08 12 00 00", 0)]
    [InlineData(Header6 + CachingOff + "0A 0A 02", 0)] // Nothing of the list is applied, the first page neither.
    [InlineData(Header6 + CachingOff, 1)] // The buffer is a byte short of what the CDB says.
    public async Task ModeSelect6_TruncatedList_LengthError(string list, int missing)
    {
        var world = new UnitWorld();
        var bytes = Cdbs.Hex(list);

        await world.SendAsync([0x15, 0x10, 0, 0, (byte)bytes.Length, 0], bytes[..^missing]);

        world.AssertSense(new(SenseKey.IllegalRequest, 0x1A, 0x00));
        Assert.True(world.Unit.WriteCacheEnabled);
    }

    [Theory]
    [InlineData("00 01 00 00", 1, null)] // Medium type.
    [InlineData("00 00 00 07 00000400 00 0002", 3, null)] // Length of the block descriptor.
    [InlineData("00 00 00 08 00000401 00 000200", 4, null)]
    [InlineData("00 00 00 08 00000400 00 001000", 9, null)]
    [InlineData(Header6 + "1C 0A 00 00 00 00 00 00 0000 0000", 4, 5)] // No such page.
    [InlineData(Header6 + "48 01 00 00", 4, 6)] // Subpage format.
    [InlineData(Header6 + "08 11 00 00 00000000 00000000 00000000 000000", 5, null)] // Page length.
    [InlineData(Header6 + "08 12 01 00 00000000 00000000 00000000 00000000", 6, null)] // RCD cannot be set.
    [InlineData(Header6 + CachingOff + "0A 0A 06 10 00 40 00 00 FFFF 0000", 26, null)] // D_SENSE neither; nothing is applied.
    [InlineData(Header6 + "0A 0A 02 10 08 40 00 00 0000 0000", 12, null)]
    public async Task ModeSelect6_BadField_PointsAtItAndChangesNothing(string list, int fieldByte, int? fieldBit)
    {
        var world = new UnitWorld();

        await Select6Async(world, list);

        world.AssertSense(SenseCodes.InvalidFieldInParameterList(fieldByte, (byte?)fieldBit));
        Assert.True(world.Unit.WriteCacheEnabled);
        Assert.Equal(0x10, (await world.ReceiveGoodAsync(Cdbs.Hex("1A 08 08 00 FF 00")))[2]);
    }

    [Theory]
    [InlineData("0000 01 00 00 00 0000", 2)]
    [InlineData("0000 00 00 00 00 0010 0000000000000400 00000000 00000200", 6)] // A long descriptor without LONGLBA.
    [InlineData("0000 00 00 01 00 0010 0000000000000401 00000000 00000200", 8)]
    [InlineData("0000 00 00 01 00 0010 0000000000000400 00000000 00001000", 20)]
    public async Task ModeSelect10_BadField_PointsAtIt(string list, int fieldByte)
    {
        var world = new UnitWorld();

        await Select10Async(world, list);

        world.AssertSense(SenseCodes.InvalidFieldInParameterList(fieldByte));
    }

    [Theory]
    [InlineData("15 00 00 00 18 00", 1, 4)] // PF.
    [InlineData("15 11 00 00 18 00", 1, 0)] // SP.
    [InlineData("55 11 00 00 00 00 00 00 18 00", 1, 0)]
    [InlineData("15 10 00 00 18 04", 5, 2)]
    public async Task ModeSelect_BadCdbField_PointsAtIt(string cdb, int fieldByte, byte fieldBit)
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Hex(cdb), new byte[24]);

        world.AssertSense(SenseCodes.InvalidFieldInCdb(fieldByte, fieldBit));
    }

    [Fact]
    public async Task ModeSelect_EmptyList_Good()
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Hex("15 10 00 00 00 00"));

        world.AssertGood();
    }

    [Fact]
    public async Task ModeSelect_ListLongerThanAnyValidOne_LengthError()
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Hex("55 10 00 00 00 00 00 FF FF 00"), new byte[0xFFFF]);

        world.AssertSense(SenseCodes.ParameterListLengthError);
    }

    [Fact]
    public async Task ModeSelect_BufferLongerThanList_RestIsIgnored()
    {
        var world = new UnitWorld();

        await world.SendAsync([0x15, 0x10, 0, 0, 24, 0], [.. Cdbs.Hex(Header6 + CachingOff), 0xFF, 0xFF]);

        world.AssertGood();
    }

    [Fact]
    public async Task ModeSelect_CacheSwitchedOff_FlushesAndForcesLaterWrites()
    {
        var world = new UnitWorld();

        await Select6Async(world, Header6 + CachingOff);
        Assert.Equal(1, world.Device.Flushes);
        await world.SendAsync(Cdbs.Block(0x2A, 0, 1), new byte[512]);

        world.AssertGood();
        Assert.Equal(1, world.Device.Forced);
    }

    [Fact]
    public async Task ModeSelect_FlushFails_IsReportedAndRepeatedOnRetry()
    {
        var world = new UnitWorld { Device = { Failure = BlockError.StoreUnavailable } };

        await Select6Async(world, Header6 + CachingOff);
        world.AssertSense(new(SenseKey.NotReady, 0x04, 0x07));
        world.Device.Failure = BlockResult.Success;
        await Select6Async(world, Header6 + CachingOff);

        world.AssertGood();
        Assert.Equal(1, world.Device.Flushes);
    }

    [Fact]
    public async Task SoftwareWriteProtect_Set_RefusesWritesOnly()
    {
        var world = new UnitWorld();
        await Select6Async(world, Header6 + Protect);

        await world.SendAsync(Cdbs.Block(0x2A, 0, 1), new byte[512]);
        world.AssertSense(new(SenseKey.DataProtect, 0x27, 0x02));
        Assert.Equal(0x90, (await world.ReceiveGoodAsync(Cdbs.Hex("1A 08 0A 00 FF 00")))[2]); // WP, DPOFUA.
        await world.ReceiveGoodAsync(Cdbs.Block(0x28, 0, 1));
        await Select6Async(world, Header6 + Control);
        await world.SendAsync(Cdbs.Block(0x2A, 0, 1), new byte[512]);

        world.AssertGood();
    }

    private static Task Select6Async(UnitWorld world, string list)
    {
        var bytes = Cdbs.Hex(list);
        return world.SendAsync([0x15, 0x10, 0, 0, (byte)bytes.Length, 0], bytes);
    }

    private static Task Select10Async(UnitWorld world, string list)
    {
        var bytes = Cdbs.Hex(list);
        return world.SendAsync([0x55, 0x10, 0, 0, 0, 0, 0, 0, (byte)bytes.Length, 0], bytes);
    }
}
