namespace Gateway.Scsi;

/// <summary>The commands of the unit: what is dispatched, and what REPORT SUPPORTED OPERATION CODES reports.</summary>
internal static class CommandTable
{
    private const byte ServiceActionMask = 0x1F;

    /// <summary>Every command, in order of operation code. Column by column as in the standards: SPC-5 clause 6, SBC-4 clause 5.</summary>
    public static readonly SupportedCommand[] All =
    [
        Define(CommandKind.TestUnitReady, "00 00 00 00 00 04"),
        Define(CommandKind.RequestSense, "03 01 00 00 FF 04"),
        Define(CommandKind.Read, "08 1F FF FF FF 04"),
        Define(CommandKind.Write, "0A 1F FF FF FF 04"),
        Define(CommandKind.Inquiry, "12 03 FF FF FF 04"),
        Define(CommandKind.ModeSelect, "15 11 00 00 FF 04"),
        Define(CommandKind.ModeSense, "1A 08 FF FF FF 04"),
        Define(CommandKind.StartStopUnit, "1B 00 00 00 F3 04"),
        Define(CommandKind.ReadCapacity, "25 00 00 00 00 00 00 00 00 04"),
        Define(CommandKind.Read, "28 F8 FF FF FF FF 00 FF FF 04"),
        Define(CommandKind.Write, "2A F8 FF FF FF FF 00 FF FF 04"),
        Define(CommandKind.Verify, "2F F6 FF FF FF FF 00 FF FF 04"),
        Define(CommandKind.SynchronizeCache, "35 00 FF FF FF FF 00 FF FF 04"),
        Define(CommandKind.WriteSame, "41 FE FF FF FF FF 00 FF FF 04"),
        Define(CommandKind.Unmap, "42 01 00 00 00 00 00 FF FF 04"),
        Define(CommandKind.ModeSelect, "55 11 00 00 00 00 00 FF FF 04"),
        Define(CommandKind.ModeSense, "5A 18 FF FF 00 00 00 FF FF 04"),
        Define(CommandKind.Read, "88 F8 FF FF FF FF FF FF FF FF FF FF FF FF 00 04"),
        Define(CommandKind.Write, "8A F8 FF FF FF FF FF FF FF FF FF FF FF FF 00 04"),
        Define(CommandKind.Verify, "8F F6 FF FF FF FF FF FF FF FF FF FF FF FF 00 04"),
        Define(CommandKind.SynchronizeCache, "91 00 FF FF FF FF FF FF FF FF FF FF FF FF 00 04"),
        Define(CommandKind.WriteSame, "93 F9 FF FF FF FF FF FF FF FF FF FF FF FF 00 04"),
        Define(CommandKind.ReadCapacity, "9E 10 00 00 00 00 00 00 00 00 FF FF FF FF 00 04", serviceAction: 0x10),
        Define(CommandKind.ReportSupportedOperationCodes, "A3 0C 87 FF FF FF FF FF FF FF 00 04", serviceAction: 0x0C),
        Define(CommandKind.Read, "A8 F8 FF FF FF FF FF FF FF FF 00 04"),
        Define(CommandKind.Write, "AA F8 FF FF FF FF FF FF FF FF 00 04"),
        Define(CommandKind.Verify, "AF F6 FF FF FF FF FF FF FF FF 00 04"),
    ];

    private static readonly SupportedCommand?[] ByOperationCode = Index();

    /// <summary>Finds the command a CDB asks for; null, with the reason, for one that is not supported or not well-formed.</summary>
    /// <remarks>What comes out has a CDB as long as its operation code calls for, and no NACA (SAM-5 5.2: NORMACA is 0).</remarks>
    public static SupportedCommand? Find(ReadOnlySpan<byte> cdb, out SenseData refusal)
    {
        refusal = SenseCodes.InvalidOperationCode;
        if (cdb.IsEmpty || ByOperationCode[cdb[0]] is not { } command) return null;
        if (cdb.Length < command.CdbLengthBytes)
        {
            refusal = SenseCodes.InvalidFieldInCdb(0);
            return null;
        }

        if (command.ServiceAction is { } action && (cdb[1] & ServiceActionMask) != action)
        {
            refusal = SenseCodes.InvalidFieldInCdb(1, 4);
            return null;
        }

        if ((cdb[command.ControlByte] & 0x04) == 0) return command;
        refusal = SenseCodes.InvalidFieldInCdb(command.ControlByte, 2);
        return null;
    }

    /// <summary>The command of an operation code, whatever its service action. None has more than one here.</summary>
    public static SupportedCommand? Find(byte operationCode) => ByOperationCode[operationCode];

    private static SupportedCommand Define(CommandKind kind, string cdbUsage, ushort? serviceAction = null) =>
        new(kind, Convert.FromHexString(cdbUsage.Replace(" ", "", StringComparison.Ordinal)), serviceAction);

    private static SupportedCommand?[] Index()
    {
        var index = new SupportedCommand?[256];
        foreach (var command in All) index[command.OperationCode] = command;
        return index;
    }
}
