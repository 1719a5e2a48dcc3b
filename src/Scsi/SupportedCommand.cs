namespace Gateway.Scsi;

/// <summary>What a command does, whatever its CDB length: what the unit dispatches on.</summary>
internal enum CommandKind
{
    TestUnitReady,
    RequestSense,
    Inquiry,
    ModeSense,
    ModeSelect,
    StartStopUnit,
    ReadCapacity,
    Read,
    Write,
    Verify,
    SynchronizeCache,
    WriteSame,
    Unmap,
    ReportSupportedOperationCodes,
}

/// <summary>One command of the unit.</summary>
/// <param name="Kind">What it does.</param>
/// <param name="CdbUsage">SPC-5 6.36.3 CDB USAGE DATA: operation code (and service action), then a 1 for every bit that is evaluated.</param>
/// <param name="ServiceAction">For operation codes that have them.</param>
internal sealed record SupportedCommand(CommandKind Kind, byte[] CdbUsage, ushort? ServiceAction = null)
{
    public byte OperationCode => CdbUsage[0];

    public int CdbLengthBytes => CdbUsage.Length;

    /// <summary>Offset of the CONTROL byte, the last of every CDB of fixed length (SAM-5 5.2).</summary>
    public int ControlByte => CdbUsage.Length - 1;
}
