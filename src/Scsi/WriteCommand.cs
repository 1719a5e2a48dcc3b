namespace Gateway.Scsi;

/// <summary>WRITE (6), (10), (12) and (16) (SBC-4 5.37 to 5.40). With WCE clear, every write is one with FUA.</summary>
/// <remarks>
/// A buffer of another length than the CDB asks for is refused before anything is written. TCMU cannot report a residual for
/// Data-Out: GOOD for a part would let the initiator believe that all of it was written.
/// </remarks>
internal sealed class WriteCommand(UnitState unit)
{
    public ValueTask ExecuteAsync(ScsiCommand command, CancellationToken cancellationToken)
    {
        var cdb = BlockCdb.Decode(command.Cdb);
        if (!UnitState.AdmitProtection(command, cdb) || !unit.AdmitWrite(command) || !unit.AdmitRange(command, cdb, unit.Limits.TransferBlocksMax)) return ValueTask.CompletedTask;
        if (command.Data.LengthBytes != cdb.Range.Blocks * unit.BlockLengthBytes)
        {
            command.CompleteCheckCondition(SenseCodes.InvalidFieldInCommandInformationUnit);
            return ValueTask.CompletedTask;
        }

        if (cdb.Range.Blocks == 0)
        {
            command.CompleteGood();
            return ValueTask.CompletedTask;
        }

        var writing = unit.Device.WriteAsync(cdb.Range, command.Data, cdb.Fua || !unit.WriteCacheEnabled, cancellationToken);
        if (!writing.IsCompletedSuccessfully) return command.Pending.CompleteAsync(writing);
        PendingCommand.Answer(command, writing.GetAwaiter().GetResult());
        return ValueTask.CompletedTask;
    }
}
