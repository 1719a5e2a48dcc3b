namespace Gateway.Scsi.Tests;

public sealed class SenseDataTests
{
    public static readonly TheoryData<string, string> Cases = new()
    {
        { "out of range", "70 00 05 00000000 0A 00000000 21 00 00 000000" },
        { "CDB field", "70 00 05 00000000 0A 00000000 24 00 00 C0000A" },
        { "CDB bit", "70 00 05 00000000 0A 00000000 24 00 00 CF0001" },
        { "list field", "70 00 05 00000000 0A 00000000 26 00 00 800102" },
        { "miscompare", "F0 00 0E 00012345 0A 00000000 1D 00 00 000000" },
        { "past 32 bits", "70 00 03 00000000 0A 00000000 11 00 00 000000" },
    };

    [Theory, MemberData(nameof(Cases))]
    public void WriteTo_SenseData_FixedFormat(string name, string expected)
    {
        SenseData sense = name switch
        {
            "out of range" => SenseCodes.LbaOutOfRange,
            "CDB field" => SenseCodes.InvalidFieldInCdb(10),
            "CDB bit" => SenseCodes.InvalidFieldInCdb(1, 7),
            "list field" => SenseCodes.InvalidFieldInParameterList(0x102),
            "miscompare" => SenseCodes.Miscompare(0x12345),
            _ => SenseMapping.ToSense(new(BlockError.Corrupt, 1UL << 32)),
        };
        var bytes = new byte[18];
        bytes.AsSpan().Fill(0xFF);

        sense.WriteTo(bytes);

        Assert.Equal(Cdbs.Hex(expected), bytes);
    }
}
