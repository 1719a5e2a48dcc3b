namespace Gateway.Scsi.Tests;

public sealed class UnmapTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Unmap_Ranges_ReadAsZeroesAndNothingElseDoes(bool asynchronous)
    {
        var world = new UnitWorld { Device = { CompleteAsynchronously = asynchronous } };
        world.FillMedium();
        var expected = world.Device.Bytes.ToArray();
        expected.AsSpan(3 * 512, 512).Clear();
        expected.AsSpan(1000 * 512, 24 * 512).Clear();

        await UnmapAsync(world, Cdbs.UnmapList((3, 1), (7, 0), (1000, 24), (1024, 0)));

        world.AssertGood();
        Assert.Equal(expected, world.Device.Bytes.ToArray());
        Assert.Equal((2, 0), (world.Device.Zeroes, world.Device.Forced));
    }

    [Fact]
    public async Task Unmap_CacheOff_IsForced()
    {
        var world = new UnitWorld(new() { WriteCacheEnabled = false });

        await UnmapAsync(world, Cdbs.UnmapList((0, 8)));

        Assert.Equal(1, world.Device.Forced);
    }

    [Fact]
    public async Task Unmap_EmptyLists_Good()
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Unmap(0));
        world.AssertGood();
        await UnmapAsync(world, Cdbs.UnmapList());
        world.AssertGood();

        Assert.Equal(0, world.Device.Zeroes);
    }

    [Fact]
    public async Task Unmap_IncompleteLastDescriptor_IsLeftOut()
    {
        var world = new UnitWorld();
        var list = Cdbs.UnmapList((0, 1), (1, 1));
        list[3] -= 1; // BLOCK DESCRIPTOR DATA LENGTH 31.

        await UnmapAsync(world, list);

        world.AssertGood();
        Assert.Equal(1, world.Device.Zeroes);
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(7, 7)]
    [InlineData(24, 23)] // The buffer is short.
    [InlineData(24, 0)]
    public async Task Unmap_ListTooShort_LengthError(int listLength, int bufferLength)
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Unmap(listLength), Cdbs.UnmapList((0, 1))[..bufferLength]);

        world.AssertSense(new(SenseKey.IllegalRequest, 0x1A, 0x00));
    }

    [Theory]
    [InlineData(8)]
    [InlineData(24)]
    [InlineData(39)]
    public async Task Unmap_DescriptorsPastList_LengthErrorAndNothingDone(int listLength)
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Unmap(listLength), Cdbs.UnmapList((0, 1), (1, 1)));

        world.AssertSense(SenseCodes.ParameterListLengthError);
        Assert.Equal(0, world.Device.Zeroes);
    }

    [Theory]
    [InlineData(1024, 1)]
    [InlineData(1025, 0)]
    [InlineData(1023, 2)]
    [InlineData(ulong.MaxValue, 1)]
    [InlineData(1, uint.MaxValue)]
    public async Task Unmap_SecondDescriptorPastCapacity_NothingDone(ulong lba, uint blocks)
    {
        var world = new UnitWorld();

        await UnmapAsync(world, Cdbs.UnmapList((0, 1), (lba, blocks)));

        world.AssertSense(SenseCodes.LbaOutOfRange);
        Assert.Equal(0, world.Device.Zeroes);
    }

    [Fact]
    public async Task Unmap_TooManyDescriptors_PointsAtTheirLength()
    {
        var world = new UnitWorld(new() { MaximumUnmapDescriptors = 2 });

        await UnmapAsync(world, Cdbs.UnmapList((0, 1), (1, 1), (2, 1)));
        world.AssertSense(SenseCodes.InvalidFieldInParameterList(2));
        await UnmapAsync(world, Cdbs.UnmapList((0, 1), (1, 1)));

        world.AssertGood();
    }

    [Fact]
    public async Task Unmap_SumPastLimit_PointsAtDescriptorThatPassesIt()
    {
        var world = new UnitWorld(new() { MaximumUnmapLengthBytes = 1 << 20 }, capacityBlocks: 4096);

        await UnmapAsync(world, Cdbs.UnmapList((0, 2000), (3000, 49)));
        world.AssertSense(SenseCodes.InvalidFieldInParameterList(8 + 16 + 8));
        await UnmapAsync(world, Cdbs.UnmapList((0, 2000), (3000, 48)));

        world.AssertGood();
    }

    [Fact]
    public async Task Unmap_MostDescriptors_Good()
    {
        var world = new UnitWorld(new() { MaximumUnmapDescriptors = 4095 });

        await UnmapAsync(world, Cdbs.UnmapList([.. Enumerable.Repeat((1UL, 1u), 4094)]));

        world.AssertGood();
        Assert.Equal(4094, world.Device.Zeroes);
    }

    [Fact]
    public async Task Unmap_Anchor_InvalidField()
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Unmap(24, flags: 1), Cdbs.UnmapList((0, 1)));

        world.AssertSense(SenseCodes.InvalidFieldInCdb(1, 0));
    }

    [Fact]
    public async Task Unmap_DeviceFailsHalfway_IsReported()
    {
        var world = new UnitWorld { Device = { Failure = BlockError.JournalFull, SuccessesBeforeFailure = 1 } };

        await UnmapAsync(world, Cdbs.UnmapList((0, 1), (1, 1), (2, 1)));

        world.AssertSense(new(SenseKey.NotReady, 0x04, 0x14));
        Assert.Equal(1, world.Device.Zeroes);
    }

    private static Task UnmapAsync(UnitWorld world, byte[] list) => world.SendAsync(Cdbs.Unmap(list.Length), list);
}
