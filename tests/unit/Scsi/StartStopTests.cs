namespace Gateway.Scsi.Tests;

public sealed class StartStopTests
{
    private static readonly byte[] TestUnitReady = new byte[6];

    [Theory]
    [InlineData("1B 00 00 00 00 00")]
    [InlineData("1B 01 00 00 00 00")] // IMMED.
    [InlineData("1B 00 00 00 04 00")] // NO_FLUSH.
    public async Task Stop_ThenStart_NotReadyInBetween(string stop)
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Hex(stop));
        world.AssertGood();
        Assert.Equal((1, true), (world.Device.Flushes, world.Unit.IsStopped));
        await world.SendAsync(TestUnitReady);
        world.AssertSense(new(SenseKey.NotReady, 0x04, 0x02));
        await world.SendAsync(Cdbs.Block(0x2A, 0, 1), new byte[512]);
        world.AssertSense(new(SenseKey.NotReady, 0x04, 0x02));
        Assert.Equal(Cdbs.Hex("72 02 04 02 00000000"), await world.ReceiveGoodAsync(Cdbs.Hex("03 01 00 00 FF 00")));
        await world.SendAsync(Cdbs.Hex("1B 00 00 00 01 00"));
        world.AssertGood();
        await world.SendAsync(TestUnitReady);

        world.AssertGood();
    }

    [Fact]
    public async Task Stop_FlushFails_StaysStarted()
    {
        var world = new UnitWorld { Device = { Failure = BlockError.StoreUnavailable } };

        await world.SendAsync(Cdbs.Hex("1B 00 00 00 00 00"));

        world.AssertSense(new(SenseKey.NotReady, 0x04, 0x07));
        Assert.False(world.Unit.IsStopped);
    }

    [Theory]
    [InlineData("1B 00 00 00 02 00", 4, 1)] // LOEJ.
    [InlineData("1B 00 00 00 03 00", 4, 1)]
    [InlineData("1B 00 00 00 10 00", 4, 7)] // POWER CONDITION.
    [InlineData("1B 00 00 00 F1 00", 4, 7)]
    [InlineData("1B 00 00 00 01 04", 5, 2)]
    public async Task StartStop_BadField_PointsAtIt(string cdb, int fieldByte, byte fieldBit)
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Hex(cdb));

        world.AssertSense(SenseCodes.InvalidFieldInCdb(fieldByte, fieldBit));
        Assert.False(world.Unit.IsStopped);
    }
}
