using System.Runtime.CompilerServices;

namespace Gateway.Scsi;

/// <summary>SYNCHRONIZE CACHE (10) and (16) (SBC-4 5.31, 5.32): flushes everything, whatever range is named.</summary>
/// <remarks>IMMED is ignored: GOOD always means that the flush is done, which the standard allows.</remarks>
internal sealed class SynchronizeCacheCommand(UnitState unit)
{
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask ExecuteAsync(ScsiCommand command, CancellationToken cancellationToken)
    {
        var cdb = BlockCdb.Decode(command.Cdb);
        if (!unit.AdmitMediaAccess(command)) return;
        if (!unit.AdmitRange(command, cdb, uint.MaxValue)) return; // 0 blocks: up to the last one.
        SenseMapping.Complete(command, await unit.Device.FlushAsync(cancellationToken));
    }
}
