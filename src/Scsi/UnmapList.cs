using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Scsi;

/// <summary>The parameter list of UNMAP (SBC-4 5.33.2): a header of 8 bytes, then descriptors of 16.</summary>
internal static class UnmapList
{
    public const int HeaderLengthBytes = 8;
    public const int DescriptorLengthBytes = 16;

    private const int DescriptorDataLengthByte = 2;
    private const int BlocksByte = 8;

    /// <summary>Checks the whole list, so that nothing is unmapped of one that is not valid throughout.</summary>
    /// <param name="list">As many bytes as PARAMETER LIST LENGTH says, at least the header.</param>
    /// <param name="limits">MAXIMUM UNMAP LBA COUNT bounds the sum of all descriptors.</param>
    /// <param name="capacityBlocks">Number of logical blocks of the unit.</param>
    /// <param name="descriptors">The number of descriptors; an incomplete last one is left out, as the standard has it.</param>
    /// <param name="refusal">Why the list is refused.</param>
    public static bool TryCheck(
        ReadOnlySpan<byte> list, UnitLimits limits, ulong capacityBlocks, out int descriptors, out SenseData refusal)
    {
        int dataLength = ReadUInt16BigEndian(list[DescriptorDataLengthByte..]);
        descriptors = dataLength / DescriptorLengthBytes;
        if (descriptors > limits.UnmapDescriptorsMax)
        {
            refusal = SenseCodes.InvalidFieldInParameterList(DescriptorDataLengthByte);
            return false;
        }

        refusal = SenseCodes.ParameterListLengthError;
        if (dataLength > list.Length - HeaderLengthBytes) return false;
        ulong sum = 0;
        for (var i = 0; i < descriptors; i++)
        {
            var range = Descriptor(list, i);
            if (!range.FitsIn(capacityBlocks))
            {
                refusal = SenseCodes.LbaOutOfRange;
                return false;
            }

            sum += range.Blocks;
            if (sum <= limits.UnmapBlocksMax) continue;
            refusal = SenseCodes.InvalidFieldInParameterList(HeaderLengthBytes + i * DescriptorLengthBytes + BlocksByte);
            return false;
        }

        return true;
    }

    /// <summary>UNMAP LOGICAL BLOCK ADDRESS and NUMBER OF LOGICAL BLOCKS of one descriptor.</summary>
    public static BlockRange Descriptor(ReadOnlySpan<byte> list, int index)
    {
        var descriptor = list[(HeaderLengthBytes + index * DescriptorLengthBytes)..];
        return new BlockRange(ReadUInt64BigEndian(descriptor), ReadUInt32BigEndian(descriptor[BlocksByte..]));
    }
}
