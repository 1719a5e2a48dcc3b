using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Scsi;

/// <summary>SPC-5 7.7, SBC-4 6.6: the vital product data pages of the unit, in ascending order as page 00h must list them.</summary>
internal enum VpdPageCode : byte
{
    SupportedPages = 0x00,
    UnitSerialNumber = 0x80,
    DeviceIdentification = 0x83,
    ExtendedInquiryData = 0x86,
    BlockLimits = 0xB0,
    BlockDeviceCharacteristics = 0xB1,
    LogicalBlockProvisioning = 0xB2,
}

/// <summary>Builds vital product data pages.</summary>
internal static class VpdPages
{
    /// <summary>No page is longer.</summary>
    public const int LengthMaxBytes = 512;

    private const int HeaderLengthBytes = 4;

    /// <summary>Writes a page into zeroed memory of at least <see cref="LengthMaxBytes"/>, and returns its length; 0 if there is no such page.</summary>
    public static int Write(VpdPageCode pageCode, UnitState unit, Span<byte> page)
    {
        var body = page[HeaderLengthBytes..];
        var length = pageCode switch
        {
            VpdPageCode.SupportedPages => WriteSupportedPages(body),
            VpdPageCode.UnitSerialNumber => Append(body, 0, unit.Identity.Serial),
            VpdPageCode.DeviceIdentification => WriteDesignators(unit.Identity, body),
            VpdPageCode.ExtendedInquiryData => WriteExtendedInquiry(body),
            VpdPageCode.BlockLimits => WriteBlockLimits(unit.Limits, body),
            VpdPageCode.BlockDeviceCharacteristics => WriteCharacteristics(body),
            VpdPageCode.LogicalBlockProvisioning => WriteProvisioning(body),
            _ => 0,
        };
        if (length == 0) return 0;
        page[1] = (byte)pageCode;
        WriteUInt16BigEndian(page[2..], (ushort)length);
        return HeaderLengthBytes + length;
    }

    private static int WriteSupportedPages(Span<byte> body) => Append(body, 0, [0x00, 0x80, 0x83, 0x86, 0xB0, 0xB1, 0xB2]);

    /// <summary>SPC-5 7.7.6: the NAA name, which udev and multipath use, and the T10 vendor one (vendor, product, serial).</summary>
    private static int WriteDesignators(UnitIdentity identity, Span<byte> body)
    {
        var length = WriteDesignatorHeader(body, codeSet: 1, type: 3, identity.Naa.Length); // Binary; NAA.
        length = Append(body, length, identity.Naa);
        var t10Length = identity.Vendor.Length + identity.Product.Length + identity.Serial.Length;
        length += WriteDesignatorHeader(body[length..], codeSet: 2, type: 1, t10Length); // ASCII; T10 vendor id based.
        length = Append(body, length, identity.Vendor);
        length = Append(body, length, identity.Product);
        return Append(body, length, identity.Serial);
    }

    /// <summary>ASSOCIATION stays 00b: the designator names the logical unit.</summary>
    private static int WriteDesignatorHeader(Span<byte> designator, byte codeSet, byte type, int lengthBytes)
    {
        designator[0] = codeSet;
        designator[1] = type;
        designator[3] = (byte)lengthBytes;
        return 4;
    }

    /// <summary>SPC-5 7.7.7. Only SIMPLE task attributes: TCMU does not say ORDERED or HEAD OF QUEUE, and LIO does not enforce them for it.</summary>
    private static int WriteExtendedInquiry(Span<byte> body)
    {
        body[1] = 0x01; // SIMPSUP.
        body[2] = 0x01; // V_SUP: there is a volatile cache.
        return 0x3C;
    }

    /// <summary>SBC-4 6.6.4 block limits.</summary>
    private static int WriteBlockLimits(UnitLimits limits, Span<byte> body)
    {
        body[0] = 0x01; // WSNZ: a WRITE SAME of 0 blocks is refused.
        WriteUInt16BigEndian(body[2..], (ushort)Math.Min(limits.PhysicalBlocks, ushort.MaxValue)); // OPTIMAL TRANSFER LENGTH GRANULARITY.
        WriteUInt32BigEndian(body[4..], limits.TransferBlocksMax);
        WriteUInt32BigEndian(body[8..], limits.TransferBlocksOptimal);
        WriteUInt32BigEndian(body[16..], limits.UnmapBlocksMax);
        WriteUInt32BigEndian(body[20..], (uint)limits.UnmapDescriptorsMax);
        WriteUInt32BigEndian(body[24..], limits.PhysicalBlocks); // OPTIMAL UNMAP GRANULARITY.
        WriteUInt32BigEndian(body[28..], 0x8000_0000); // UGAVALID, alignment 0.
        WriteUInt64BigEndian(body[32..], limits.WriteSameBlocksMax);
        return 0x3C;
    }

    /// <summary>SBC-4 6.6.2: MEDIUM ROTATION RATE 1 is a non-rotating medium.</summary>
    private static int WriteCharacteristics(Span<byte> body)
    {
        WriteUInt16BigEndian(body, 1);
        return 0x3C;
    }

    /// <summary>SBC-4 6.6.7: LBPU, LBPWS, LBPWS10, LBPRZ 001b (unmapped blocks read as zeroes), no anchors; thin provisioned.</summary>
    private static int WriteProvisioning(Span<byte> body)
    {
        body[1] = 0x80 | 0x40 | 0x20 | 1 << 2;
        body[2] = 0x02;
        return 4;
    }

    private static int Append(Span<byte> body, int offset, ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(body[offset..]);
        return offset + bytes.Length;
    }
}
