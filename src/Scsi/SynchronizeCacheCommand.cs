namespace Gateway.Scsi;

/// <summary>SYNCHRONIZE CACHE (10) and (16) (SBC-4 5.31, 5.32): flushes everything, whatever range is named.</summary>
/// <remarks>IMMED is ignored: GOOD always means that the flush is done, which the standard allows.</remarks>
internal sealed class SynchronizeCacheCommand(UnitState unit)
{
    public ValueTask ExecuteAsync(ScsiCommand command, CancellationToken cancellationToken)
    {
        var cdb = BlockCdb.Decode(command.Cdb);
        if (!unit.AdmitMediaAccess(command)) return ValueTask.CompletedTask;
        if (!unit.AdmitRange(command, cdb, uint.MaxValue)) return ValueTask.CompletedTask; // 0 blocks: up to the last one.
        var flushing = unit.Device.FlushAsync(cancellationToken);
        if (!flushing.IsCompletedSuccessfully) return command.Pending.CompleteAsync(flushing);
        PendingCommand.Answer(command, flushing.GetAwaiter().GetResult());
        return ValueTask.CompletedTask;
    }
}
