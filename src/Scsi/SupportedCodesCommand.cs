using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Scsi;

/// <summary>REPORT SUPPORTED OPERATION CODES (SPC-5 6.36), answered from <see cref="CommandTable"/>.</summary>
/// <remarks>Commands that LIO answers itself (REPORT LUNS, persistent reservations) are not known here, and not listed.</remarks>
internal static class SupportedCodesCommand
{
    private const int DescriptorLengthBytes = 8;
    private const int TimeoutsLengthBytes = 12;
    private const byte NotSupported = 0x01;
    private const byte SupportedAsInStandard = 0x03;

    private enum ReportingOptions
    {
        All = 0,
        OperationCode = 1,
        ServiceAction = 2,
        Either = 3,
    }

    public static void Execute(ScsiCommand command)
    {
        var cdb = command.Cdb;
        var withTimeouts = (cdb[2] & 0x80) != 0; // RCTD.
        var options = (ReportingOptions)(cdb[2] & 0x07);
        if (options == ReportingOptions.All) ReportAll(command, withTimeouts);
        else if (options <= ReportingOptions.Either) ReportOne(command, options, withTimeouts);
        else command.CompleteCheckCondition(SenseCodes.InvalidFieldInCdb(2, 2));
    }

    private static void ReportAll(ScsiCommand command, bool withTimeouts)
    {
        var descriptorLength = DescriptorLengthBytes + (withTimeouts ? TimeoutsLengthBytes : 0);
        Span<byte> data = stackalloc byte[4 + CommandTable.All.Length * (DescriptorLengthBytes + TimeoutsLengthBytes)];
        data = data[..(4 + CommandTable.All.Length * descriptorLength)];
        data.Clear();
        WriteUInt32BigEndian(data, (uint)data.Length - 4);
        var descriptor = data[4..];
        foreach (var supported in CommandTable.All)
        {
            descriptor[0] = supported.OperationCode;
            WriteUInt16BigEndian(descriptor[2..], supported.ServiceAction ?? 0);
            descriptor[5] = (byte)((withTimeouts ? 0x02 : 0) | (supported.ServiceAction is null ? 0 : 0x01)); // CTDP, SERVACTV.
            WriteUInt16BigEndian(descriptor[6..], (ushort)supported.CdbLengthBytes);
            if (withTimeouts) WriteTimeouts(descriptor[DescriptorLengthBytes..]);
            descriptor = descriptor[descriptorLength..];
        }

        DataIn.Complete(command, data, AllocationLength(command));
    }

    private static void ReportOne(ScsiCommand command, ReportingOptions options, bool withTimeouts)
    {
        var cdb = command.Cdb;
        var supported = CommandTable.Find(cdb[3]);
        var serviceAction = ReadUInt16BigEndian(cdb[4..]);
        if (supported is { ServiceAction: not null } && options == ReportingOptions.OperationCode
            || supported is { ServiceAction: null } && options == ReportingOptions.ServiceAction)
        {
            command.CompleteCheckCondition(SenseCodes.InvalidFieldInCdb(2, 2));
            return;
        }

        if (supported?.ServiceAction is { } action && action != serviceAction) supported = null;
        if (options == ReportingOptions.Either && supported is { ServiceAction: null } && serviceAction != 0) supported = null;
        Span<byte> data = stackalloc byte[4 + ScsiCommand.CdbLengthMaxBytes + TimeoutsLengthBytes];
        data.Clear();
        data[1] = supported is null ? NotSupported : SupportedAsInStandard;
        var length = 4;
        if (supported is not null)
        {
            WriteUInt16BigEndian(data[2..], (ushort)supported.CdbLengthBytes);
            supported.CdbUsage.CopyTo(data[length..]);
            length += supported.CdbLengthBytes;
            if (withTimeouts)
            {
                data[1] |= 0x80; // CTDP.
                WriteTimeouts(data[length..]);
                length += TimeoutsLengthBytes;
            }
        }

        DataIn.Complete(command, data[..length], AllocationLength(command));
    }

    /// <summary>SPC-5 6.36.4: a descriptor that recommends no timeouts, all fields 0 but its length.</summary>
    private static void WriteTimeouts(Span<byte> descriptor) => WriteUInt16BigEndian(descriptor, TimeoutsLengthBytes - 2);

    private static uint AllocationLength(ScsiCommand command) => ReadUInt32BigEndian(command.Cdb[6..]);
}
