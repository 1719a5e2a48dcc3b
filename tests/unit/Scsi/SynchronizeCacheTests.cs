namespace Gateway.Scsi.Tests;

public sealed class SynchronizeCacheTests
{
    [Theory]
    [InlineData(0x35, 0, 0, 0)]
    [InlineData(0x35, 1024, 0, 0)]
    [InlineData(0x35, 1000, 24, 0x02)] // IMMED.
    [InlineData(0x91, 0, 0, 0)]
    [InlineData(0x91, 0, 1024, 0x02)]
    public async Task SynchronizeCache_RangeInside_Flushes(byte operationCode, ulong lba, uint blocks, byte flags)
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Block(operationCode, lba, blocks, flags));

        world.AssertGood();
        Assert.Equal(1, world.Device.Flushes);
    }

    [Theory]
    [InlineData(0x35, 1025, 0)]
    [InlineData(0x35, 1024, 1)]
    [InlineData(0x91, ulong.MaxValue, uint.MaxValue)]
    [InlineData(0x91, 1, uint.MaxValue)]
    public async Task SynchronizeCache_PastCapacity_LbaOutOfRange(byte operationCode, ulong lba, uint blocks)
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Block(operationCode, lba, blocks));

        world.AssertSense(SenseCodes.LbaOutOfRange);
        Assert.Equal(0, world.Device.Flushes);
    }

    [Fact]
    public async Task SynchronizeCache_LongRange_HasNoLimit()
    {
        var world = new UnitWorld();
        world.Device.Geometry = world.Device.Geometry with { CapacityBlocks = 1UL << 40 };

        await world.SendAsync(Cdbs.Block(0x91, 0, uint.MaxValue));

        world.AssertGood();
    }
}
