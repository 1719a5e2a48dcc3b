namespace Gateway.Scsi.Tests;

public sealed class ReadWriteTests
{
    public static readonly TheoryData<byte, byte> Pairs = new() { { 0x08, 0x0A }, { 0x28, 0x2A }, { 0xA8, 0xAA }, { 0x88, 0x8A } };

    public static readonly TheoryData<byte> LongCodes = [0x28, 0x2A, 0xA8, 0xAA, 0x88, 0x8A];

    [Theory, MemberData(nameof(Pairs))]
    public async Task Write_ThenRead_SameBytes(byte read, byte write)
    {
        var world = new UnitWorld();
        var bytes = new byte[3 * 512];
        new Random(1).NextBytes(bytes);

        await world.SendAsync(Cdbs.Block(write, 1021, 3), bytes);
        world.AssertGood();

        Assert.Equal(bytes, await world.ReceiveGoodAsync(Cdbs.Block(read, 1021, 3), bytes.Length));
        Assert.Equal(bytes, world.Device.Bytes[^bytes.Length..].ToArray());
    }

    [Theory, MemberData(nameof(Pairs))]
    public async Task ReadWrite_AsyncDevice_SameBytes(byte read, byte write)
    {
        var world = new UnitWorld { Device = { CompleteAsynchronously = true } };
        var bytes = new byte[2 * 512];
        new Random(2).NextBytes(bytes);

        await world.SendAsync(Cdbs.Block(write, 5, 2), bytes);
        world.AssertGood();

        Assert.Equal(bytes, await world.ReceiveGoodAsync(Cdbs.Block(read, 5, 2), bytes.Length));
    }

    [Fact]
    public async Task ReadWrite_BlocksOf4096_SameBytes()
    {
        var world = new UnitWorld(blockLengthBytes: 4096, capacityBlocks: 64);
        var bytes = new byte[2 * 4096];
        new Random(3).NextBytes(bytes);

        await world.SendAsync(Cdbs.Block(0x2A, 62, 2), bytes);

        Assert.Equal(bytes, await world.ReceiveGoodAsync(Cdbs.Block(0x28, 62, 2), bytes.Length));
    }

    [Fact]
    public async Task Read6_LengthZero_Is256Blocks()
    {
        var world = new UnitWorld();
        world.FillMedium();

        var data = await world.ReceiveGoodAsync(Cdbs.Block(0x08, 700, 0), 256 * 512);

        Assert.Equal(world.Device.Bytes.Slice(700 * 512, 256 * 512).ToArray(), data);
    }

    [Fact]
    public async Task Write6_LengthZero_Is256Blocks()
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Block(0x0A, 700, 0), new byte[256 * 512]);

        world.AssertGood();
        Assert.Equal(1, world.Device.Writes);
    }

    [Fact]
    public async Task Read6_ReservedBitsAboveLba_AreNotPartOfIt()
    {
        var world = new UnitWorld();
        world.FillMedium();

        var data = await world.ReceiveGoodAsync([0x08, 0xE0, 0, 3, 1, 0], 512);

        Assert.Equal(world.Device.Bytes.Slice(3 * 512, 512).ToArray(), data);
    }

    [Theory, MemberData(nameof(LongCodes))]
    public async Task Transfer_LengthZero_NoDataGood(byte operationCode)
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Block(operationCode, 1024, 0));

        world.AssertGood();
        Assert.Equal((0, 0), (world.Device.Reads, world.Device.Writes));
    }

    [Theory]
    [InlineData(0x08, 1024, 1)]
    [InlineData(0x08, 1023, 2)]
    [InlineData(0x0A, 0x1F_FFFF, 1)]
    [InlineData(0x28, 1024, 1)]
    [InlineData(0x28, 1025, 0)]
    [InlineData(0x2A, 1023, 2)]
    [InlineData(0x28, 0xFFFF_FFFF, 0xFFFF)]
    [InlineData(0xA8, 0xFFFF_FFFF, 0xFFFF_FFFF)]
    [InlineData(0xAA, 0x8000_0000, 0)]
    [InlineData(0x88, ulong.MaxValue, 1)]
    [InlineData(0x8A, ulong.MaxValue, uint.MaxValue)]
    [InlineData(0x88, ulong.MaxValue, 0)]
    [InlineData(0x8A, 1, uint.MaxValue)]
    public async Task Transfer_PastCapacity_LbaOutOfRange(byte operationCode, ulong lba, uint blocks)
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Block(operationCode, lba, blocks), new byte[1024]);

        world.AssertSense(new(SenseKey.IllegalRequest, 0x21, 0x00));
    }

    [Theory]
    [InlineData(0x28, 7)]
    [InlineData(0x2A, 7)]
    [InlineData(0xA8, 6)]
    [InlineData(0xAA, 6)]
    [InlineData(0x88, 10)]
    [InlineData(0x8A, 10)]
    public async Task Transfer_LongerThanLimit_PointsAtTransferLength(byte operationCode, int fieldByte)
    {
        var world = new UnitWorld(new() { MaximumTransferLengthBytes = 1 << 20, OptimalTransferLengthBytes = 0 }, capacityBlocks: 4096);

        await world.SendAsync(Cdbs.Block(operationCode, 0, 2049), []);
        world.AssertSense(SenseCodes.InvalidFieldInCdb(fieldByte));
        await world.SendAsync(Cdbs.Block(operationCode, 0, 2048), new byte[1 << 20]);

        world.AssertGood();
    }

    [Theory, MemberData(nameof(LongCodes))]
    public async Task Transfer_ProtectionAsked_InvalidField(byte operationCode)
    {
        var world = new UnitWorld();

        for (var protect = 1; protect < 8; protect++)
        {
            await world.SendAsync(Cdbs.Block(operationCode, 0, 1, (byte)(protect << 5)), new byte[512]);
            world.AssertSense(SenseCodes.InvalidFieldInCdb(1, 7));
        }
    }

    [Theory, MemberData(nameof(LongCodes))]
    public async Task Transfer_Dpo_Good(byte operationCode)
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Block(operationCode, 0, 1, 0x10), new byte[512]);

        Assert.Equal(ScsiStatus.Good, world.Command.Status);
        Assert.Equal((0, 0), (world.Device.Forced, world.Device.Flushes));
    }

    [Theory]
    [InlineData(0x2A)]
    [InlineData(0xAA)]
    [InlineData(0x8A)]
    public async Task Write_Fua_IsForced(byte operationCode)
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Block(operationCode, 0, 1, 0x08), new byte[512]);

        world.AssertGood();
        Assert.Equal(1, world.Device.Forced);
    }

    [Fact]
    public async Task Write_CacheOff_IsForced()
    {
        var world = new UnitWorld();
        world.Unit.WriteCacheEnabled = false;

        await world.SendAsync(Cdbs.Block(0x0A, 0, 1), new byte[512]);

        Assert.Equal(1, world.Device.Forced);
    }

    [Fact]
    public async Task Read_Fua_FlushesFirst()
    {
        var world = new UnitWorld();

        await world.ReceiveGoodAsync(Cdbs.Block(0x28, 0, 1, 0x08), 512);
        Assert.Equal((1, 1), (world.Device.Flushes, world.Device.Reads));
        world.Device.Failure = BlockError.StoreUnavailable;
        await world.ReceiveAsync(Cdbs.Block(0x28, 0, 1, 0x08), 512);

        world.AssertSense(new(SenseKey.NotReady, 0x04, 0x07));
    }

    [Theory]
    [InlineData(0x0A, false)]
    [InlineData(0x2A, false)]
    [InlineData(0x41, false)]
    [InlineData(0x93, false)]
    [InlineData(0x42, false)]
    [InlineData(0x28, true)]
    [InlineData(0x2F, true)]
    [InlineData(0x35, true)]
    public async Task ReadOnlyUnit_AnyCommand_WritesAreRefused(byte operationCode, bool good)
    {
        var world = new UnitWorld(new() { ReadOnly = true });

        await world.SendAsync(Cdbs.Block(operationCode, 0, 1), new byte[512]);

        if (good) Assert.Equal(ScsiStatus.Good, world.Command.Status);
        else world.AssertSense(new(SenseKey.DataProtect, 0x27, 0x00));
        Assert.Equal((0, 0), (world.Device.Writes, world.Device.Zeroes));
    }

    [Fact]
    public async Task Read_Cancelled_TaskAborted()
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Block(0x28, 0, 1), new byte[512], new CancellationToken(canceled: true));

        Assert.Equal(ScsiStatus.TaskAborted, world.Command.Status);
    }

    [Fact]
    public async Task Resize_LargerCapacity_IsSeenAtOnce()
    {
        var world = new UnitWorld();
        var geometry = world.Device.Geometry;
        world.Device.Geometry = geometry with { CapacityBlocks = 10 };

        await world.SendAsync(Cdbs.Block(0x28, 10, 1));
        world.AssertSense(SenseCodes.LbaOutOfRange);
        world.Device.Geometry = geometry;
        await world.ReceiveGoodAsync(Cdbs.Block(0x28, 10, 1), 512);

        world.AssertGood();
    }
}
