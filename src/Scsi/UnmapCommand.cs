using System.Runtime.CompilerServices;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Scsi;

/// <summary>UNMAP (SBC-4 5.33): the blocks read as zeroes afterwards, all of them, also where they do not fill physical blocks.</summary>
internal sealed class UnmapCommand(UnitState unit)
{
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask ExecuteAsync(ScsiCommand command, CancellationToken cancellationToken)
    {
        var listLength = ReadUInt16BigEndian(command.Cdb[7..]);
        if (!AdmitFields(command) || !unit.AdmitWrite(command)) return;
        if (listLength == 0)
        {
            command.CompleteGood(); // Not an error: nothing to unmap.
            return;
        }

        if (listLength < UnmapList.HeaderLengthBytes || listLength > command.Data.LengthBytes)
        {
            command.CompleteCheckCondition(SenseCodes.ParameterListLengthError);
            return;
        }

        var scratch = ScratchPool.Rent();
        try
        {
            command.Data.CopyTo(0, scratch.Buffer.Span[..listLength]); // A scratch buffer holds any list that 16 bits can announce.
            if (!UnmapList.TryCheck(
                scratch.Buffer.Span[..listLength], unit.Limits, unit.Device.Geometry.CapacityBlocks, out var descriptors, out var refusal))
            {
                command.CompleteCheckCondition(refusal);
                return;
            }

            SenseMapping.Complete(command, await UnmapAsync(scratch, descriptors, cancellationToken));
        }
        finally
        {
            ScratchPool.Return(scratch);
        }
    }

    private static bool AdmitFields(ScsiCommand command)
    {
        if ((command.Cdb[1] & 0x01) == 0) return true;
        command.CompleteCheckCondition(SenseCodes.InvalidFieldInCdb(1, 0)); // ANCHOR, with ANC_SUP = 0.
        return false;
    }

    /// <summary>In order, and up to the first failure. What was unmapped before it stays so; the initiator repeats the command.</summary>
    private async ValueTask<BlockResult> UnmapAsync(Scratch list, int descriptors, CancellationToken cancellationToken)
    {
        for (var i = 0; i < descriptors; i++)
        {
            var range = UnmapList.Descriptor(list.Buffer.Span, i);
            if (range.Blocks == 0) continue;
            var result = await unit.Device.ZeroAsync(range, !unit.WriteCacheEnabled, cancellationToken);
            if (!result.IsSuccess) return result;
        }

        return BlockResult.Success;
    }
}
