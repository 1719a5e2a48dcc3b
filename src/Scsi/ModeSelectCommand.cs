using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Scsi;

/// <summary>MODE SELECT (6) and (10) (SPC-5 6.12, 6.13): WCE and SWP can be changed, until the unit is made anew.</summary>
/// <remarks>
/// Other initiators should get UNIT ATTENTION 2Ah/01h. TCMU does not say who sent the command, so that it could only be given to the
/// sender, who must not get it: none is raised. Concurrent MODE SELECTs have no defined order, as SAM-5 has it for SIMPLE commands.
/// </remarks>
internal sealed class ModeSelectCommand(UnitState unit)
{
    public async ValueTask ExecuteAsync(ScsiCommand command, CancellationToken cancellationToken)
    {
        if (!TryChange(command)) return;
        // Without a write cache, nothing that was completed may be volatile. Also if WCE was clear before: a retry after a failed flush.
        var result = unit.WriteCacheEnabled ? BlockResult.Success : await unit.Device.FlushAsync(cancellationToken);
        SenseMapping.Complete(command, result);
    }

    /// <summary>False, with the command ended, if nothing was changed.</summary>
    private bool TryChange(ScsiCommand command)
    {
        var cdb = command.Cdb;
        var isShort = (OperationCode)cdb[0] == OperationCode.ModeSelect6;
        int length = isShort ? cdb[4] : ReadUInt16BigEndian(cdb[7..]);
        if ((cdb[1] & 0x10) == 0) return Refuse(command, SenseCodes.InvalidFieldInCdb(1, 4)); // PF = 0: vendor-specific pages.
        if ((cdb[1] & 0x01) != 0) return Refuse(command, SenseCodes.InvalidFieldInCdb(1, 0)); // SP: nothing can be saved.
        if (length == 0)
        {
            command.CompleteGood(); // SPC-5 6.12: not an error.
            return false;
        }

        if (length > ModeSelectList.LengthMaxBytes || length > command.Data.LengthBytes)
            return Refuse(command, SenseCodes.ParameterListLengthError);
        Span<byte> list = stackalloc byte[ModeSelectList.LengthMaxBytes];
        list = list[..length];
        command.Data.CopyTo(0, list); // Copied before it is looked at: the initiator's memory may change.
        var parameters = new ModeParameters(unit.WriteCacheEnabled, unit.SoftwareWriteProtect);
        if (!ModeSelectList.TryDecode(list, isShort, unit.Device.Geometry, ref parameters, out var refusal)) return Refuse(command, refusal);
        unit.WriteCacheEnabled = parameters.WriteCacheEnabled;
        unit.SoftwareWriteProtect = parameters.SoftwareWriteProtect;
        return true;
    }

    private static bool Refuse(ScsiCommand command, SenseData sense)
    {
        command.CompleteCheckCondition(sense);
        return false;
    }
}
