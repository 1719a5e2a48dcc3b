using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Scsi;

/// <summary>The parameter list of MODE SELECT (SPC-5 7.5): header, block descriptor, pages.</summary>
/// <remarks>A list is taken as a whole or refused as a whole. Values that cannot be changed must be given as they are.</remarks>
internal static class ModeSelectList
{
    /// <summary>The longest list that is looked at; header, descriptor and both pages take 56 bytes.</summary>
    public const int LengthMaxBytes = 512;

    private const int PageHeaderLengthBytes = 2;

    /// <summary>Decodes the list over the current parameters; false, with the reason, if any of it cannot be done.</summary>
    public static bool TryDecode(
        ReadOnlySpan<byte> list, bool isShort, in BlockGeometry geometry, ref ModeParameters parameters, out SenseData refusal)
    {
        refusal = SenseCodes.ParameterListLengthError;
        var offset = isShort ? 4 : 8;
        if (list.Length < offset) return false;
        var mediumTypeByte = isShort ? 1 : 2;
        if (list[mediumTypeByte] != 0)
        {
            refusal = SenseCodes.InvalidFieldInParameterList(mediumTypeByte);
            return false;
        }

        int descriptorLength = isShort ? list[3] : ReadUInt16BigEndian(list[6..]);
        var isLong = !isShort && (list[4] & 0x01) != 0;
        if (descriptorLength != 0)
        {
            if (descriptorLength != (isLong ? 16 : 8))
            {
                refusal = SenseCodes.InvalidFieldInParameterList(isShort ? 3 : 6);
                return false;
            }

            if (list.Length - offset < descriptorLength) return false;
            if (!CheckBlockDescriptor(list.Slice(offset, descriptorLength), offset, isLong, geometry, ref refusal)) return false;
            offset += descriptorLength;
        }

        var changed = parameters;
        while (offset < list.Length)
        {
            var length = CheckPage(list[offset..], offset, parameters, ref refusal);
            if (length == 0) return false;
            changed = ModePages.Apply(changed, PageCode(list[offset..]), list[offset..]);
            offset += length;
        }

        parameters = changed;
        return true;
    }

    private static byte PageCode(ReadOnlySpan<byte> page) => (byte)(page[0] & 0x3F);

    /// <summary>The unit cannot be formatted: the number of blocks is its capacity, or says "unchanged", and their length is as it is.</summary>
    private static bool CheckBlockDescriptor(
        ReadOnlySpan<byte> descriptor, int offset, bool isLong, in BlockGeometry geometry, ref SenseData refusal)
    {
        var blocks = isLong ? ReadUInt64BigEndian(descriptor) : ReadUInt32BigEndian(descriptor);
        var unchanged = isLong ? ulong.MaxValue : uint.MaxValue;
        if (blocks != 0 && blocks != unchanged && blocks != geometry.CapacityBlocks)
        {
            refusal = SenseCodes.InvalidFieldInParameterList(offset);
            return false;
        }

        var lengthByte = isLong ? 12 : 5;
        var blockLength = isLong ? ReadUInt32BigEndian(descriptor[12..]) : ReadUInt32BigEndian(descriptor[4..]) & 0xFF_FFFF;
        if (blockLength == geometry.BlockLengthBytes) return true;
        refusal = SenseCodes.InvalidFieldInParameterList(offset + lengthByte);
        return false;
    }

    /// <summary>The page's length, or 0 and the reason why it is refused.</summary>
    private static int CheckPage(ReadOnlySpan<byte> page, int offset, ModeParameters parameters, ref SenseData refusal)
    {
        if (page.Length < PageHeaderLengthBytes) return 0;
        var pageCode = PageCode(page);
        var length = ModePages.LengthBytes(pageCode);
        var isSubpage = (page[0] & 0x40) != 0;
        if (length == 0 || isSubpage)
        {
            refusal = SenseCodes.InvalidFieldInParameterList(offset, (byte)(isSubpage ? 6 : 5));
            return 0;
        }

        if (page[1] != length - PageHeaderLengthBytes)
        {
            refusal = SenseCodes.InvalidFieldInParameterList(offset + 1);
            return 0;
        }

        if (page.Length < length) return 0;
        Span<byte> current = stackalloc byte[length];
        Span<byte> changeable = stackalloc byte[length];
        ModePages.Write(pageCode, parameters, current);
        ModePages.WriteChangeable(pageCode, changeable);
        for (var i = PageHeaderLengthBytes; i < length; i++)
        {
            if (((page[i] ^ current[i]) & ~changeable[i]) == 0) continue;
            refusal = SenseCodes.InvalidFieldInParameterList(offset + i);
            return 0;
        }

        return length;
    }
}
