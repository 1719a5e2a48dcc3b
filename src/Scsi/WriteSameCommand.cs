using System.Runtime.CompilerServices;

namespace Gateway.Scsi;

/// <summary>WRITE SAME (10) and (16) (SBC-4 5.46, 5.47).</summary>
/// <remarks>
/// A block of zeroes (or NDOB) zeroes the range and gives its space back, with or without UNMAP, since unmapped blocks read as zeroes.
/// Any other block is written, also with UNMAP: SBC-4 4.7.3.4 lets blocks be unmapped only if they then read as that block.
/// </remarks>
internal sealed class WriteSameCommand(UnitState unit)
{
    private const byte AnchorBit = 0x10;
    private const byte ObsoleteMask = 0x06; // PBDATA and LBDATA of WRITE SAME (10): the data would not be the same in every block.
    private const byte NdobBit = 0x01;

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask ExecuteAsync(ScsiCommand command, CancellationToken cancellationToken)
    {
        var cdb = BlockCdb.Decode(command.Cdb);
        if (!UnitState.AdmitProtection(command, cdb) || !AdmitFields(command, cdb)) return;
        if (!unit.AdmitWrite(command)) return;
        if (!unit.AdmitRange(command, cdb, unit.Limits.WriteSameBlocksMax)) return;
        var hasData = !HasNoData(command, cdb);
        if (command.Data.LengthBytes != (hasData ? unit.BlockLengthBytes : 0))
        {
            command.CompleteCheckCondition(SenseCodes.InvalidFieldInCommandInformationUnit);
            return;
        }

        var result = hasData && !IsZero(command.Data)
            ? await WritePatternAsync(cdb.Range, command.Data, cancellationToken)
            : await unit.Device.ZeroAsync(cdb.Range, !unit.WriteCacheEnabled, cancellationToken);
        SenseMapping.Complete(command, result);
    }

    private static bool HasNoData(ScsiCommand command, in BlockCdb cdb) => IsLong(command) && (cdb.Flags & NdobBit) != 0;

    private static bool IsLong(ScsiCommand command) => (OperationCode)command.Cdb[0] == OperationCode.WriteSame16;

    /// <summary>ANC_SUP is 0, WSNZ is 1.</summary>
    private static bool AdmitFields(ScsiCommand command, in BlockCdb cdb)
    {
        SenseData refusal;
        if ((cdb.Flags & AnchorBit) != 0) refusal = SenseCodes.InvalidFieldInCdb(1, 4);
        else if (!IsLong(command) && (cdb.Flags & ObsoleteMask) != 0) refusal = SenseCodes.InvalidFieldInCdb(1, 2);
        else if (cdb.Range.Blocks == 0) refusal = SenseCodes.InvalidFieldInCdb(cdb.LengthFieldByte);
        else return true;
        command.CompleteCheckCondition(refusal);
        return false;
    }

    private static bool IsZero(ScatterList data)
    {
        var walker = new ScatterList.Walker(data, 0, data.LengthBytes);
        while (walker.MoveNext(out var piece))
        {
            if (piece.ContainsAnyExcept((byte)0)) return false;
        }

        return true;
    }

    /// <summary>Writes the block over and over, as many at a time as scratch memory holds.</summary>
    private async ValueTask<BlockResult> WritePatternAsync(BlockRange range, ScatterList pattern, CancellationToken cancellationToken)
    {
        var chunkMax = (uint)(Scratch.LengthBytes / unit.BlockLengthBytes);
        var scratch = ScratchPool.Rent();
        try
        {
            FillWith(pattern, scratch.Buffer.Span[..((int)Math.Min(chunkMax, range.Blocks) * unit.BlockLengthBytes)]);
            while (range.Blocks > 0)
            {
                var chunk = range with { Blocks = Math.Min(chunkMax, range.Blocks) };
                var source = scratch.Describe((int)chunk.Blocks * unit.BlockLengthBytes);
                var result = await unit.Device.WriteAsync(chunk, source, !unit.WriteCacheEnabled, cancellationToken);
                if (!result.IsSuccess) return result;
                range = new BlockRange(chunk.End, range.Blocks - chunk.Blocks);
            }

            return BlockResult.Success;
        }
        finally
        {
            ScratchPool.Return(scratch);
        }
    }

    private static void FillWith(ScatterList pattern, Span<byte> destination)
    {
        var filled = pattern.LengthBytes;
        pattern.CopyTo(0, destination[..filled]);
        while (filled < destination.Length)
        {
            var step = Math.Min(filled, destination.Length - filled);
            destination[..step].CopyTo(destination[filled..]);
            filled += step;
        }
    }
}
