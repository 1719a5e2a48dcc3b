namespace Gateway.Scsi.Tests;

public sealed class SupportedCodesTests
{
    [Theory]
    [InlineData(0x00, 8, 0x00)]
    [InlineData(0x80, 20, 0x02)]
    public async Task ReportAll_EveryCommand_HasDescriptor(byte options, int descriptorLength, byte flags)
    {
        var data = await new UnitWorld().ReceiveGoodAsync([0xA3, 0x0C, options, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0]);

        Assert.Equal(data.Length - 4, data[2] << 8 | data[3]);
        Assert.Equal(CommandTable.All.Length * descriptorLength, data.Length - 4);
        for (var i = 0; i < CommandTable.All.Length; i++)
        {
            var (descriptor, command) = (data[(4 + i * descriptorLength)..], CommandTable.All[i]);
            Assert.Equal(command.OperationCode, descriptor[0]);
            Assert.Equal((byte)(command.ServiceAction ?? 0), descriptor[3]);
            Assert.Equal(flags | (command.ServiceAction is null ? 0 : 1), descriptor[5]);
            Assert.Equal(command.CdbLengthBytes, descriptor[7]);
            if (options != 0) Assert.Equal(Cdbs.Hex("000A 0000 00000000 00000000"), descriptor[8..20]);
        }
    }

    [Theory]
    [InlineData(0x01, 0x28, 0, "00 03 000A 28 F8 FF FF FF FF 00 FF FF 04")]
    [InlineData(0x81, 0x00, 0, "00 83 0006 00 00 00 00 00 04 000A 0000 00000000 00000000")]
    [InlineData(0x02, 0x9E, 0x10, "00 03 0010 9E 10 00 00 00 00 00 00 00 00 FF FF FF FF 00 04")]
    [InlineData(0x03, 0x9E, 0x10, "00 03 0010 9E 10 00 00 00 00 00 00 00 00 FF FF FF FF 00 04")]
    [InlineData(0x03, 0x03, 0, "00 03 0006 03 01 00 00 FF 04")]
    [InlineData(0x03, 0x03, 1, "00 01 0000")]
    [InlineData(0x02, 0x9E, 0x12, "00 01 0000")]
    [InlineData(0x03, 0x9E, 0x12, "00 01 0000")]
    [InlineData(0x01, 0xFF, 0, "00 01 0000")]
    [InlineData(0x82, 0xFF, 3, "00 01 0000")]
    public async Task ReportOne_Command_ExactBytes(byte options, byte operationCode, byte serviceAction, string expected)
    {
        var data = await new UnitWorld().ReceiveGoodAsync([0xA3, 0x0C, options, operationCode, 0, serviceAction, 0, 0, 0xFF, 0xFF, 0, 0]);

        Assert.Equal(Cdbs.Hex(expected), data);
    }

    [Theory]
    [InlineData(0x01, 0x9E)] // Has service actions.
    [InlineData(0x02, 0x28)] // Has none.
    [InlineData(0x04, 0x28)]
    [InlineData(0x07, 0x28)]
    public async Task Report_OptionsDoNotFit_PointsAtThem(byte options, byte operationCode)
    {
        var world = new UnitWorld();

        await world.SendAsync([0xA3, 0x0C, options, operationCode, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0]);

        world.AssertSense(SenseCodes.InvalidFieldInCdb(2, 2));
    }

    /// <summary>A command is served if, and only if, the table has it.</summary>
    [Fact]
    public async Task OperationCode_NotInTable_InvalidOperationCode()
    {
        var world = new UnitWorld();

        for (var operationCode = 0; operationCode < 256; operationCode++)
        {
            var cdb = new byte[16];
            cdb[0] = (byte)operationCode;
            await world.SendAsync(cdb);
            Assert.Equal(
                CommandTable.Find((byte)operationCode) is null,
                world.Command.Sense is { Key: SenseKey.IllegalRequest, Asc: 0x20, Ascq: 0x00 });
        }
    }

    [Fact]
    public async Task EveryCommand_Naca_PointsAtControlByte()
    {
        var world = new UnitWorld();

        foreach (var command in CommandTable.All)
        {
            var cdb = new byte[command.CdbLengthBytes];
            cdb[0] = command.OperationCode;
            cdb[1] = (byte)(command.ServiceAction ?? 0);
            cdb[^1] = 0x04;
            await world.SendAsync(cdb);
            world.AssertSense(SenseCodes.InvalidFieldInCdb(cdb.Length - 1, 2));
        }
    }

    [Fact]
    public async Task EveryCommand_CdbCutShort_IsRefused()
    {
        var world = new UnitWorld();

        foreach (var command in CommandTable.All)
        {
            for (var length = 0; length < command.CdbLengthBytes; length++)
            {
                await world.SendAsync(command.CdbUsage[..length]);
                Assert.Equal((ScsiStatus.CheckCondition, SenseKey.IllegalRequest), (world.Command.Status, world.Command.Sense.Key));
            }
        }
    }
}
