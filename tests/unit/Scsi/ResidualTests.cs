namespace Gateway.Scsi.Tests;

/// <summary>Buffers that are shorter or longer than the CDB says, whole or cut into odd pieces.</summary>
public sealed class ResidualTests
{
    private static readonly int[] Lengths = [0, 1, 200, 511, 512, 513, 1000, 1024, 1025, 1535, 1536, 1537, 2048, 10_000];

    private static readonly int[][] Cuts = [[], [1], [512], [511], [513], [3, 700, 1, 64], [4096]];

    public static IEnumerable<object[]> Reads() => Matrix([0x08, 0x28, 0xA8, 0x88]);

    public static IEnumerable<object[]> Writes() => Matrix([0x0A, 0x2A, 0xAA, 0x8A]);

    [Theory, MemberData(nameof(Reads))]
    public async Task Read_AnyBufferLength_FillsWhatBothAllow(byte operationCode, int bufferLength, bool asynchronous)
    {
        var world = new UnitWorld { Device = { CompleteAsynchronously = asynchronous } };
        world.FillMedium();
        var expected = world.Device.Bytes.Slice(9 * 512, Math.Min(3 * 512, bufferLength)).ToArray();

        foreach (var cut in Cuts)
        {
            var data = await world.ReceiveAsync(Cdbs.Block(operationCode, 9, 3), bufferLength, cut);

            world.AssertGood();
            Assert.Equal(expected.Length, world.Command.DataInLengthBytes);
            Assert.Equal(expected, data[..expected.Length]);
            Assert.All(data[expected.Length..], b => Assert.Equal(GuardedData.Fill, b));
        }
    }

    [Theory, MemberData(nameof(Writes))]
    public async Task Write_OtherBufferLength_RefusedAndNothingWritten(byte operationCode, int bufferLength, bool asynchronous)
    {
        var world = new UnitWorld { Device = { CompleteAsynchronously = asynchronous } };
        world.FillMedium();
        var before = world.Device.Bytes.ToArray();
        var bytes = new byte[bufferLength];

        await world.SendAsync(Cdbs.Block(operationCode, 9, 3), bytes);

        if (bufferLength == 3 * 512)
        {
            world.AssertGood();
            bytes.CopyTo(before, 9 * 512);
        }
        else
        {
            world.AssertSense(new(SenseKey.IllegalRequest, 0x0E, 0x03));
        }

        Assert.Equal(before, world.Device.Bytes.ToArray());
    }

    [Theory]
    [InlineData(0x2A, 0, 0, 512)] // WRITE of no blocks, with data.
    [InlineData(0x41, 0, 4, 0)]
    [InlineData(0x41, 0, 4, 256)]
    [InlineData(0x41, 8, 4, 1024)] // UNMAP.
    [InlineData(0x41, 0, 4, 4 * 512)]
    [InlineData(0x93, 0, 4, 511)]
    [InlineData(0x93, 1, 4, 512)] // NDOB, and yet data.
    [InlineData(0x2F, 2, 2, 512)] // BYTCHK 01b: two blocks.
    [InlineData(0x2F, 2, 2, 1025)]
    [InlineData(0x8F, 6, 2, 1024)] // BYTCHK 11b: one block.
    [InlineData(0xAF, 6, 2, 0)]
    public async Task DataOut_OtherLengthThanCdb_Refused(byte operationCode, byte flags, uint blocks, int bufferLength)
    {
        var world = new UnitWorld();
        world.FillMedium();
        var before = world.Device.Bytes.ToArray();

        await world.SendAsync(Cdbs.Block(operationCode, 0, blocks, flags), new byte[bufferLength]);

        world.AssertSense(SenseCodes.InvalidFieldInCommandInformationUnit);
        Assert.Equal(before, world.Device.Bytes.ToArray());
    }

    [Fact]
    public async Task Read_PartialBlockUnreadable_NoDataCounted()
    {
        var world = new UnitWorld { Device = { Failure = new(BlockError.Corrupt, 2), SuccessesBeforeFailure = 1 } };

        await world.ReceiveAsync(Cdbs.Block(0x28, 0, 3), 1100);

        world.AssertSense(new(SenseKey.MediumError, 0x11, 0x00, Information: 2));
        Assert.Null(world.Command.DataInLengthBytes);
    }

    [Theory]
    [InlineData("25 00 00 00 00 00 00 00 00 00", 8)]
    [InlineData("9E 10 00 00 00 00 00 00 00 00 00 00 FF FF 00 00", 32)]
    [InlineData("12 00 00 00 FF 00", 74)]
    [InlineData("12 01 B0 00 FF 00", 64)]
    [InlineData("03 00 00 00 FF 00", 18)]
    [InlineData("03 01 00 00 FF 00", 8)]
    [InlineData("1A 00 3F 00 FF 00", 44)]
    [InlineData("5A 00 3F 00 00 00 00 FF FF 00", 48)]
    [InlineData("A3 0C 00 00 00 00 00 00 FF FF 00 00", 220)]
    public async Task ParameterData_AnyBufferLength_FillsWhatBothAllow(string cdb, int length)
    {
        var world = new UnitWorld();
        var whole = await world.ReceiveGoodAsync(Cdbs.Hex(cdb), length);

        for (var bufferLength = 0; bufferLength < length + 20; bufferLength++)
        {
            var data = await world.ReceiveAsync(Cdbs.Hex(cdb), bufferLength, 5, 1, 9);
            var filled = Math.Min(length, bufferLength);
            world.AssertGood();
            Assert.Equal(filled, world.Command.DataInLengthBytes);
            Assert.Equal(whole[..filled], data[..filled]);
            Assert.All(data[filled..], b => Assert.Equal(GuardedData.Fill, b));
        }
    }

    private static IEnumerable<object[]> Matrix(byte[] operationCodes) =>
        from operationCode in operationCodes
        from length in Lengths
        from asynchronous in new[] { false, true }
        select new object[] { operationCode, length, asynchronous };
}
