using System.Text;

namespace Gateway.Scsi.Tests;

public sealed class InquiryTests
{
    [Fact]
    public async Task Inquiry_Standard_DescribesDisk()
    {
        var data = await new UnitWorld().ReceiveGoodAsync(Cdbs.Inquiry());

        Assert.Equal(74, data.Length);
        Assert.Equal(Cdbs.Hex("00 00 06 12 45 00 00 02"), data[..8]);
        Assert.Equal("LIO-ORG tcmu-gateway    0001", Encoding.ASCII.GetString(data[8..36]));
        Assert.Equal(Cdbs.Hex("00A0 0460 04C0 0960 0000 0000 0000 0000"), data[58..]);
    }

    [Fact]
    public async Task Inquiry_LongNames_AreCut()
    {
        var world = new UnitWorld(new() { Vendor = "VENDORVENDOR", Product = "A product with a long name", Revision = "12345" });

        var data = await world.ReceiveGoodAsync(Cdbs.Inquiry());

        Assert.Equal("VENDORVEA product with a1234", Encoding.ASCII.GetString(data[8..36]));
    }

    [Theory]
    [InlineData(0x00, "00 00 00 07 00 80 83 86 B0 B1 B2")]
    [InlineData(0x86, "00 86 00 3C 00 01 01 00 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000")]
    [InlineData(0xB0, "00 B0 00 3C 01 00 0008 00004000 00000800 00000000 00100000 00000100 00000008 80000000 0000000000004000 0000000000000000000000000000000000000000")]
    [InlineData(0xB1, "00 B1 00 3C 0001 0000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000")]
    [InlineData(0xB2, "00 B2 00 04 00 E4 02 00")]
    public async Task Inquiry_VpdPage_ExactBytes(byte page, string expected)
    {
        Assert.Equal(Cdbs.Hex(expected), await new UnitWorld().ReceiveGoodAsync(Cdbs.Inquiry(page)));
    }

    [Fact]
    public async Task Inquiry_EveryListedPage_NamesItself()
    {
        var world = new UnitWorld();

        foreach (var page in (await world.ReceiveGoodAsync(Cdbs.Inquiry(0)))[4..])
        {
            var data = await world.ReceiveGoodAsync(Cdbs.Inquiry(page));
            Assert.Equal((page, data.Length - 4), (data[1], data[2] << 8 | data[3]));
        }
    }

    [Fact]
    public async Task Inquiry_SerialByDefault_IsDeviceId()
    {
        var data = await new UnitWorld().ReceiveGoodAsync(Cdbs.Inquiry(0x80));

        Assert.Equal(Cdbs.Hex("00 80 00 20"), data[..4]);
        Assert.Equal("0f1e2d3c4b5a69788796a5b4c3d2e1f0", Encoding.ASCII.GetString(data[4..]));
    }

    [Fact]
    public async Task Inquiry_DeviceIdentification_NaaThenT10()
    {
        var data = await new UnitWorld().ReceiveGoodAsync(Cdbs.Inquiry(0x83));

        Assert.Equal(Cdbs.Hex("00 83 00 50 01 03 00 10 60014050f1e2d3c4b5a69788796a5b4c 02 01 00 38"), data[..28]);
        Assert.Equal("LIO-ORG tcmu-gateway    0f1e2d3c4b5a69788796a5b4c3d2e1f0", Encoding.ASCII.GetString(data[28..]));
    }

    [Theory]
    [InlineData("1A2b-3c4d", "60014051a2b3c4d")]
    [InlineData("aaaaaaaaaaaaaaaaaaaaaaaaabbbb", "6001405aaaaaaaaaaaaaaaaaaaaaaaaa")]
    public async Task Naa_SerialWithHexDigits_StartsWithThem(string serial, string expected)
    {
        var world = new UnitWorld(new() { UnitSerial = serial });

        var data = await world.ReceiveGoodAsync(Cdbs.Inquiry(0x83));

        Assert.StartsWith(expected, Convert.ToHexStringLower(data[8..24]), StringComparison.Ordinal);
        Assert.Equal("naa." + Convert.ToHexStringLower(data[8..24]), world.Unit.NaaName);
    }

    [Fact]
    public async Task Naa_SerialsWithoutHexDigits_DifferAndAreStable()
    {
        var (x, y, again) = (await NaaAsync("vol-x"), await NaaAsync("vol-y"), await NaaAsync("vol-x"));

        Assert.NotEqual(x, y);
        Assert.Equal(x, again);

        static async Task<string> NaaAsync(string serial)
        {
            var data = await new UnitWorld(new() { UnitSerial = serial }).ReceiveGoodAsync(Cdbs.Inquiry(0x83));
            return Convert.ToHexString(data[8..24]);
        }
    }

    [Theory]
    [InlineData("12 00 01 00 FF 00", 2, null)] // A page code without EVPD.
    [InlineData("12 01 81 00 FF 00", 2, null)]
    [InlineData("12 02 00 00 FF 00", 1, 1)] // CMDDT.
    [InlineData("12 00 00 00 FF 04", 5, 2)] // NACA.
    public async Task Inquiry_BadField_PointsAtIt(string cdb, int fieldByte, int? fieldBit)
    {
        var world = new UnitWorld();

        await world.SendAsync(Cdbs.Hex(cdb));

        world.AssertSense(SenseCodes.InvalidFieldInCdb(fieldByte, (byte?)fieldBit));
    }

    [Theory]
    [InlineData(0, 100, 0)]
    [InlineData(5, 100, 5)]
    [InlineData(512, 100, 74)]
    [InlineData(512, 36, 36)]
    [InlineData(255, 0, 0)]
    public async Task Inquiry_AllocationAndBufferLength_Truncate(ushort allocationLength, int bufferLength, int filled)
    {
        var world = new UnitWorld();

        var data = await world.ReceiveAsync(Cdbs.Inquiry(allocationLength: allocationLength), bufferLength, 3, 1, 50);

        world.AssertGood();
        Assert.Equal(filled, world.Command.DataInLengthBytes);
        Assert.All(data[filled..], b => Assert.Equal(GuardedData.Fill, b));
    }

    [Fact]
    public void Options_AllFaults_ReportedTogether()
    {
        var options = new LogicalUnitOptions
        {
            UnitSerial = "",
            Vendor = "",
            Product = "ü",
            Revision = "\n",
            MaximumTransferLengthBytes = 1,
            MaximumUnmapDescriptors = 5000,
            MaximumUnmapLengthBytes = 0,
            MaximumWriteSameLengthBytes = 0,
            OptimalTransferLengthBytes = -1,
        };

        Assert.Equal(9, options.Validate().Count);
        Assert.Throws<ArgumentException>(() => new UnitWorld(options));
    }

    [Fact]
    public async Task BlockLimits_OptimalLongerThanMaximum_Clamped()
    {
        var world = new UnitWorld(new() { MaximumTransferLengthBytes = 64 << 10 }, blockLengthBytes: 4096);

        Assert.Equal(Cdbs.Hex("0001 00000010 00000010"), (await world.ReceiveGoodAsync(Cdbs.Inquiry(0xB0)))[6..16]);
    }

    [Fact]
    public async Task Inquiry_LongestSerial_FitsItsPages()
    {
        var world = new UnitWorld(new() { UnitSerial = new string('z', LogicalUnitOptions.UnitSerialLengthMax) });

        Assert.Equal(204, (await world.ReceiveGoodAsync(Cdbs.Inquiry(0x80))).Length);
        Assert.Equal(4 + 20 + 4 + 224, (await world.ReceiveGoodAsync(Cdbs.Inquiry(0x83))).Length);
    }
}
