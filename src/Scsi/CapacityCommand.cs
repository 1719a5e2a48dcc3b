using System.Numerics;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Scsi;

/// <summary>READ CAPACITY (10) and (16) (SBC-4 5.20, 5.21). The obsolete LBA and PMI fields are ignored.</summary>
internal sealed class CapacityCommand(UnitState unit)
{
    private const int ShortLengthBytes = 8;
    private const int LongLengthBytes = 32;

    public void Execute(ScsiCommand command)
    {
        var geometry = unit.Device.Geometry;
        var lastLba = Math.Max(geometry.CapacityBlocks, 1) - 1; // An empty unit cannot be expressed.
        Span<byte> data = stackalloc byte[LongLengthBytes];
        data.Clear();
        if ((OperationCode)command.Cdb[0] == OperationCode.ReadCapacity10)
        {
            WriteUInt32BigEndian(data, (uint)Math.Min(lastLba, uint.MaxValue)); // FFFFFFFFh: ask READ CAPACITY (16).
            WriteUInt32BigEndian(data[4..], (uint)geometry.BlockLengthBytes);
            DataIn.Complete(command, data[..ShortLengthBytes], ShortLengthBytes);
            return;
        }

        WriteUInt64BigEndian(data, lastLba);
        WriteUInt32BigEndian(data[8..], (uint)geometry.BlockLengthBytes);
        data[13] = (byte)BitOperations.Log2(unit.Limits.PhysicalBlocks); // LOGICAL BLOCKS PER PHYSICAL BLOCK EXPONENT.
        data[14] = 0xC0; // LBPME, LBPRZ; the lowest aligned LBA is 0.
        DataIn.Complete(command, data, ReadUInt32BigEndian(command.Cdb[10..]));
    }
}
