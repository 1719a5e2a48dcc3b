namespace Gateway.Scsi.Tests;

public sealed class VerifyTests
{
    private const byte EachBlock = 0x02;
    private const byte SameBlock = 0x06;

    public static readonly TheoryData<byte> Codes = [0x2F, 0xAF, 0x8F];

    [Theory, MemberData(nameof(Codes))]
    public async Task Verify_MediumOnly_ReadsItAndIgnoresData(byte operationCode)
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Block(operationCode, 0, 1024), new byte[77]);

        world.AssertGood();
        Assert.Equal(2, world.Device.Reads); // 256 KiB at a time.
    }

    [Theory, MemberData(nameof(Codes))]
    public async Task Verify_Unreadable_MediumError(byte operationCode)
    {
        var world = new UnitWorld { Device = { Failure = new(BlockError.Corrupt, 600), SuccessesBeforeFailure = 1 } };

        await world.SendAsync(Cdbs.Block(operationCode, 0, 1024));

        world.AssertSense(new(SenseKey.MediumError, 0x11, 0x00, Information: 600));
    }

    [Theory, MemberData(nameof(Codes))]
    public async Task Verify_EachBlock_FindsTheByteThatDiffers(byte operationCode)
    {
        foreach (var asynchronous in new[] { false, true })
        {
            var world = new UnitWorld { Device = { CompleteAsynchronously = asynchronous } };
            world.FillMedium();
            var data = world.Device.Bytes[(100 * 512)..(900 * 512)].ToArray();

            await world.SendAsync(Cdbs.Block(operationCode, 100, 800, EachBlock), data);
            world.AssertGood();
            foreach (var offset in new[] { data.Length - 1, 300_001, 262_144, 262_143, 512, 0 })
            {
                data[offset] ^= 1;
                await world.SendAsync(Cdbs.Block(operationCode, 100, 800, EachBlock), data);
                world.AssertSense(new(SenseKey.Miscompare, 0x1D, 0x00, Information: (ulong)offset));
            }
        }
    }

    [Theory, MemberData(nameof(Codes))]
    public async Task Verify_SameBlock_ComparesEveryBlockWithIt(byte operationCode)
    {
        var world = new UnitWorld();
        var pattern = new byte[512];
        new Random(5).NextBytes(pattern);
        await world.SendAsync(Cdbs.Block(0x93, 0, 1024), pattern);

        await world.SendAsync(Cdbs.Block(operationCode, 0, 1024, SameBlock), pattern);
        world.AssertGood();
        world.Device.Bytes[1000 * 512 + 33] ^= 1;
        await world.SendAsync(Cdbs.Block(operationCode, 0, 1024, SameBlock), pattern);

        world.AssertSense(SenseCodes.Miscompare(33));
    }

    [Theory]
    [InlineData(0x2F, 0x04, 1, 1, 2)] // BYTCHK 10b is reserved.
    [InlineData(0x8F, 0x20, 1, 1, 7)] // VRPROTECT.
    [InlineData(0x8F, 0x00, 16385, 10, null)]
    [InlineData(0xAF, 0x02, 16385, 6, null)]
    [InlineData(0x2F, 0x00, 16385, 7, null)]
    public async Task Verify_BadField_PointsAtIt(byte operationCode, byte flags, uint blocks, int fieldByte, int? fieldBit)
    {
        var world = new UnitWorld(capacityBlocks: 20_000);

        await world.SendAsync(Cdbs.Block(operationCode, 0, blocks, flags));

        world.AssertSense(SenseCodes.InvalidFieldInCdb(fieldByte, (byte?)fieldBit));
    }

    [Theory]
    [InlineData(0x2F, 1024, 1)]
    [InlineData(0x8F, ulong.MaxValue, 2)]
    [InlineData(0xAF, 1025, 0)]
    public async Task Verify_PastCapacity_LbaOutOfRange(byte operationCode, ulong lba, uint blocks)
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Block(operationCode, lba, blocks));

        world.AssertSense(SenseCodes.LbaOutOfRange);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(EachBlock)]
    [InlineData(SameBlock)]
    public async Task Verify_NoBlocks_Good(byte flags)
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Block(0x2F, 0, 0, flags));

        world.AssertGood();
        Assert.Equal(0, world.Device.Reads);
    }
}
