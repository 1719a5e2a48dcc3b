namespace Gateway.Scsi;

/// <summary>REQUEST SENSE (SPC-5 6.39): a pending unit attention, else why the unit is not ready, else NO SENSE.</summary>
internal sealed class RequestSenseCommand(UnitState unit)
{
    private const int DescriptorHeaderLengthBytes = 8;

    public void Execute(ScsiCommand command)
    {
        var cdb = command.Cdb;
        var sense = Current();
        Span<byte> data = stackalloc byte[SenseData.LengthBytes];
        if ((cdb[1] & 0x01) == 0)
        {
            sense.WriteTo(data);
            DataIn.Complete(command, data, cdb[4]);
            return;
        }

        // DESC: SPC-5 4.4.2. Nothing that is reported here has INFORMATION or a field pointer, so there are no descriptors.
        data.Clear();
        (data[0], data[1], data[2], data[3]) = (0x72, (byte)sense.Key, sense.Asc, sense.Ascq);
        DataIn.Complete(command, data[..DescriptorHeaderLengthBytes], cdb[4]);
    }

    private SenseData Current()
    {
        if (unit.Attentions.TryTake(out var attention)) return attention;
        if (unit.Stopped) return SenseCodes.InitializingCommandRequired;
        var readiness = unit.Readiness;
        return readiness.IsSuccess || readiness.Error == BlockError.Aborted ? SenseData.None : SenseMapping.ToSense(readiness);
    }
}
