using System.Runtime.CompilerServices;

namespace Gateway.Scsi;

/// <summary>READ (6), (10), (12) and (16) (SBC-4 5.12 to 5.15).</summary>
/// <remarks>The plain read, of whole blocks without FUA, has a way of its own: where the device answers at once, no async method is entered.</remarks>
internal sealed class ReadCommand(UnitState unit)
{
    public ValueTask ExecuteAsync(ScsiCommand command, CancellationToken cancellationToken)
    {
        var cdb = BlockCdb.Decode(command.Cdb);
        if (!UnitState.AdmitProtection(command, cdb)) return ValueTask.CompletedTask;
        if (!unit.AdmitMediaAccess(command)) return ValueTask.CompletedTask;
        if (!unit.AdmitRange(command, cdb, unit.Limits.TransferBlocksMax)) return ValueTask.CompletedTask;

        var length = Math.Min((int)cdb.Range.Blocks * unit.BlockLengthBytes, command.Data.LengthBytes);
        var isWhole = length == command.Data.LengthBytes && length == cdb.Range.Blocks * unit.BlockLengthBytes;
        if (cdb.Fua || !isWhole || length == 0) return ExecuteUnusualAsync(cdb, command, length, isWhole, cancellationToken);
        var reading = unit.Device.ReadAsync(cdb.Range, command.Data, cancellationToken);
        if (!reading.IsCompletedSuccessfully) return command.Pending.CompleteAsync(reading, length);
        PendingCommand.Answer(command, reading.GetAwaiter().GetResult(), length);
        return ValueTask.CompletedTask;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask ExecuteUnusualAsync(BlockCdb cdb, ScsiCommand command, int lengthBytes, bool isWhole, CancellationToken cancellationToken)
    {
        var result = BlockResult.Success;
        // SBC-4 4.15: what a FUA read returns must not be volatile.
        if (cdb.Fua && unit.WriteCacheEnabled && lengthBytes > 0) result = await unit.Device.FlushAsync(cancellationToken);
        if (result.IsSuccess && lengthBytes > 0)
        {
            result = isWhole
                ? await unit.Device.ReadAsync(cdb.Range, command.Data, cancellationToken)
                : await ReadPartAsync(cdb.Range.Lba, command.Data, lengthBytes, cancellationToken);
        }

        PendingCommand.Answer(command, result, lengthBytes);
    }

    /// <summary>Reads into the first <paramref name="lengthBytes"/> bytes of a buffer that is shorter or longer than the CDB asks for.</summary>
    /// <remarks>Whole blocks go straight into the buffer; the head of a last, incomplete one is copied from scratch memory.</remarks>
    private async ValueTask<BlockResult> ReadPartAsync(ulong lba, ScatterList data, int lengthBytes, CancellationToken cancellationToken)
    {
        var blockLength = unit.BlockLengthBytes;
        var (wholeBlocks, rest) = Math.DivRem(lengthBytes, blockLength);
        var scratch = ScratchPool.Rent();
        try
        {
            if (wholeBlocks > 0)
            {
                scratch.List.Reset();
                scratch.List.AddSlice(data, 0, wholeBlocks * blockLength);
                var result = await unit.Device.ReadAsync(new(lba, (uint)wholeBlocks), scratch.List, cancellationToken);
                if (!result.IsSuccess) return result;
            }

            if (rest > 0)
            {
                var block = new BlockRange(lba + (uint)wholeBlocks, 1);
                var result = await unit.Device.ReadAsync(block, scratch.Describe(blockLength), cancellationToken);
                if (!result.IsSuccess) return result;
                data.CopyFrom(wholeBlocks * blockLength, scratch.Buffer.Span[..rest]);
            }

            return BlockResult.Success;
        }
        finally
        {
            ScratchPool.Return(scratch);
        }
    }
}
