namespace Gateway.Scsi.Tests;

public sealed class UnitAttentionTests
{
    private static readonly byte[] TestUnitReady = new byte[6];

    [Theory]
    [InlineData(UnitAttention.Reset, 0x29, 0x00)]
    [InlineData(UnitAttention.ModeParametersChanged, 0x2A, 0x01)]
    [InlineData(UnitAttention.CapacityDataChanged, 0x2A, 0x09)]
    [InlineData(UnitAttention.InquiryDataChanged, 0x3F, 0x03)]
    public async Task UnitAttention_Raised_NextCommandEndsWithItOnce(UnitAttention attention, byte asc, byte ascq)
    {
        var world = new UnitWorld();
        world.Unit.RaiseUnitAttention(attention);
        world.Unit.RaiseUnitAttention(attention);

        await world.SendAsync(Cdbs.Block(0x2A, 0, 1), new byte[512]);
        world.AssertSense(new(SenseKey.UnitAttention, asc, ascq));
        Assert.Equal(0, world.Device.Writes);
        await world.SendAsync(TestUnitReady);

        world.AssertGood();
    }

    [Fact]
    public async Task UnitAttention_Several_InOrder()
    {
        var world = new UnitWorld();
        world.Unit.RaiseUnitAttention(UnitAttention.CapacityDataChanged);
        world.Unit.RaiseUnitAttention(UnitAttention.Reset);

        await world.SendAsync(TestUnitReady);
        world.AssertSense(new(SenseKey.UnitAttention, 0x29, 0x00));
        await world.SendAsync([0xFF, 0, 0, 0, 0, 0]);
        world.AssertSense(new(SenseKey.UnitAttention, 0x2A, 0x09));
    }

    [Fact]
    public async Task UnitAttention_InquiryAndRequestSense_AreServed()
    {
        var world = new UnitWorld();
        world.Unit.RaiseUnitAttention(UnitAttention.CapacityDataChanged);

        await world.ReceiveGoodAsync(Cdbs.Inquiry());
        Assert.Equal(Cdbs.Hex("72 06 2A 09 00000000"), await world.ReceiveGoodAsync(Cdbs.Hex("03 01 00 00 FF 00")));
        await world.SendAsync(TestUnitReady);

        world.AssertGood();
    }
}
