using System.Runtime.CompilerServices;

namespace Gateway.Scsi;

/// <summary>VERIFY (10), (12) and (16) (SBC-4 5.34 to 5.36).</summary>
internal sealed class VerifyCommand(UnitState unit)
{
    /// <summary>BYTCHK: what the medium is compared with.</summary>
    private enum ByteCheck
    {
        /// <summary>Nothing: that the blocks can be read is enough. A Data-Out buffer is not looked at.</summary>
        None = 0,

        /// <summary>The Data-Out buffer, block by block.</summary>
        EachBlock = 1,

        Reserved = 2,

        /// <summary>The one block in the Data-Out buffer, over and over.</summary>
        SameBlock = 3,
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask ExecuteAsync(ScsiCommand command, CancellationToken cancellationToken)
    {
        var cdb = BlockCdb.Decode(command.Cdb);
        var check = (ByteCheck)((cdb.Flags >> 1) & 3);
        if (!UnitState.AdmitProtection(command, cdb)) return;
        if (check == ByteCheck.Reserved)
        {
            command.CompleteCheckCondition(SenseCodes.InvalidFieldInCdb(1, 2));
            return;
        }

        if (!unit.AdmitMediaAccess(command)) return;
        if (!unit.AdmitRange(command, cdb, unit.Limits.TransferBlocksMax)) return;
        var comparedBlocks = check == ByteCheck.SameBlock ? Math.Min(cdb.Range.Blocks, 1) : cdb.Range.Blocks;
        if (check != ByteCheck.None && command.Data.LengthBytes != comparedBlocks * unit.BlockLengthBytes)
        {
            command.CompleteCheckCondition(SenseCodes.InvalidFieldInCommandInformationUnit);
            return;
        }

        await VerifyAsync(command, cdb.Range, check, cancellationToken);
    }

    /// <summary>Reads the range in pieces that scratch memory holds, and compares each; ends the command.</summary>
    private async ValueTask VerifyAsync(ScsiCommand command, BlockRange range, ByteCheck check, CancellationToken cancellationToken)
    {
        var blockLength = unit.BlockLengthBytes;
        var offset = 0;
        var scratch = ScratchPool.Rent();
        try
        {
            while (range.Blocks > 0)
            {
                var chunk = range with { Blocks = Math.Min(range.Blocks, (uint)(Scratch.LengthBytes / blockLength)) };
                var length = (int)chunk.Blocks * blockLength;
                var result = await unit.Device.ReadAsync(chunk, scratch.Describe(length), cancellationToken);
                if (!result.IsSuccess)
                {
                    SenseMapping.Complete(command, result);
                    return;
                }

                var difference = FindDifference(command.Data, scratch.Buffer.Span[..length], check, offset, blockLength);
                if (difference is { } at)
                {
                    command.CompleteCheckCondition(SenseCodes.Miscompare(at));
                    return;
                }

                offset += length;
                range = new BlockRange(chunk.End, range.Blocks - chunk.Blocks);
            }

            command.CompleteGood();
        }
        finally
        {
            ScratchPool.Return(scratch);
        }
    }

    /// <summary>Offset in the Data-Out buffer of the first byte that differs from the medium; null if none does.</summary>
    private static int? FindDifference(ScatterList data, ReadOnlySpan<byte> medium, ByteCheck check, int offset, int blockLength)
    {
        if (check == ByteCheck.None) return null;
        if (check == ByteCheck.EachBlock) return FindDifference(data, offset, medium);
        for (var at = 0; at < medium.Length; at += blockLength)
        {
            if (FindDifference(data, 0, medium.Slice(at, blockLength)) is { } difference) return difference;
        }

        return null;
    }

    private static int? FindDifference(ScatterList data, int offset, ReadOnlySpan<byte> medium)
    {
        var walker = new ScatterList.Walker(data, offset, medium.Length);
        while (walker.MoveNext(out var piece))
        {
            var equal = medium.CommonPrefixLength(piece);
            if (equal < piece.Length) return offset + equal;
            offset += piece.Length;
            medium = medium[piece.Length..];
        }

        return null;
    }
}
