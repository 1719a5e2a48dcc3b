namespace Gateway.Scsi.Tests;

public sealed class WriteSameTests
{
    [Theory]
    [InlineData(0x41, 0x00)]
    [InlineData(0x93, 0x00)]
    [InlineData(0x41, 0x08)] // UNMAP: the block is not of zeroes, so it is written.
    [InlineData(0x93, 0x08)]
    public async Task WriteSame_Pattern_IsInEveryBlock(byte operationCode, byte flags)
    {
        foreach (var asynchronous in new[] { false, true })
        {
            var world = new UnitWorld(capacityBlocks: 2048) { Device = { CompleteAsynchronously = asynchronous } };
            world.FillMedium();
            var expected = world.Device.Bytes.ToArray();
            var pattern = new byte[512];
            new Random(4).NextBytes(pattern);
            for (var block = 10; block < 1310; block++) pattern.CopyTo(expected, block * 512);

            await world.SendAsync(Cdbs.Block(operationCode, 10, 1300, flags), pattern);

            world.AssertGood();
            Assert.Equal(expected, world.Device.Bytes.ToArray());
            Assert.Equal((3, 0), (world.Device.Writes, world.Device.Zeroes)); // 512 blocks at a time.
        }
    }

    [Theory]
    [InlineData(0x41, 0x00, 512)]
    [InlineData(0x41, 0x08, 512)]
    [InlineData(0x93, 0x00, 512)]
    [InlineData(0x93, 0x08, 512)]
    [InlineData(0x93, 0x01, 0)] // NDOB.
    [InlineData(0x93, 0x09, 0)]
    public async Task WriteSame_Zeroes_ZeroTheRange(byte operationCode, byte flags, int dataLength)
    {
        var world = new UnitWorld();
        world.FillMedium();
        var expected = world.Device.Bytes.ToArray();
        expected.AsSpan(1000 * 512).Clear();

        await world.SendAsync(Cdbs.Block(operationCode, 1000, 24, flags), new byte[dataLength]);

        world.AssertGood();
        Assert.Equal(expected, world.Device.Bytes.ToArray());
        Assert.Equal((0, 1), (world.Device.Writes, world.Device.Zeroes));
    }

    [Theory]
    [InlineData(0x41, 0x10, 1, 4)] // ANCHOR.
    [InlineData(0x93, 0x18, 1, 4)]
    [InlineData(0x41, 0x02, 1, 2)] // LBDATA.
    [InlineData(0x41, 0x04, 1, 2)] // PBDATA.
    [InlineData(0x41, 0x20, 1, 7)] // WRPROTECT.
    [InlineData(0x93, 0xE0, 1, 7)]
    public async Task WriteSame_BadFlags_PointsAtThem(byte operationCode, byte flags, int fieldByte, byte fieldBit)
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Block(operationCode, 0, 1, flags), new byte[512]);

        world.AssertSense(SenseCodes.InvalidFieldInCdb(fieldByte, fieldBit));
    }

    [Theory]
    [InlineData(0x41, 0, 7)] // WSNZ.
    [InlineData(0x93, 0, 10)]
    [InlineData(0x41, 2049, 7)]
    [InlineData(0x93, 2049, 10)]
    public async Task WriteSame_NoBlocksOrTooMany_PointsAtTheirNumber(byte operationCode, uint blocks, int fieldByte)
    {
        var world = new UnitWorld(new() { MaximumWriteSameLengthBytes = 1 << 20 }, capacityBlocks: 4096);

        await world.SendAsync(Cdbs.Block(operationCode, 0, blocks), new byte[512]);

        world.AssertSense(SenseCodes.InvalidFieldInCdb(fieldByte));
    }

    [Theory]
    [InlineData(0x41, 1023, 2)]
    [InlineData(0x93, ulong.MaxValue, uint.MaxValue)]
    public async Task WriteSame_PastCapacity_LbaOutOfRange(byte operationCode, ulong lba, uint blocks)
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Block(operationCode, lba, blocks), new byte[512]);

        world.AssertSense(SenseCodes.LbaOutOfRange);
    }

    [Fact]
    public async Task WriteSame_CacheOff_EveryWriteIsForced()
    {
        var world = new UnitWorld(new() { WriteCacheEnabled = false });

        await world.SendAsync(Cdbs.Block(0x93, 0, 1024), [1, .. new byte[511]]);
        await world.SendAsync(Cdbs.Block(0x93, 0, 1024, 1));

        Assert.Equal((2, 1, 3), (world.Device.Writes, world.Device.Zeroes, world.Device.Forced));
    }

    [Fact]
    public async Task WriteSame_DeviceFailsHalfway_IsReported()
    {
        var world = new UnitWorld { Device = { Failure = BlockError.SpaceExhausted, SuccessesBeforeFailure = 1 } };

        await world.SendAsync(Cdbs.Block(0x93, 0, 1024), [1, .. new byte[511]]);

        world.AssertSense(new(SenseKey.DataProtect, 0x27, 0x07));
    }
}
