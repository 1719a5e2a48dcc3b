using System.Text;

namespace Gateway.Scsi;

/// <summary>The names by which initiators know the unit. The same options give the same names on every gateway.</summary>
internal sealed class UnitIdentity
{
    private const int NaaLengthBytes = 16;
    private const int NaaSerialDigits = 25;
    private const uint LioCompanyId = 0x001405;

    public UnitIdentity(LogicalUnitOptions options, Guid deviceId)
    {
        Serial = Encoding.ASCII.GetBytes(options.UnitSerial ?? deviceId.ToString("N"));
        Vendor = Pad(options.Vendor, 8);
        Product = Pad(options.Product, 16);
        Revision = Pad(options.Revision, 4);
        Naa = BuildNaa(Serial);
    }

    /// <summary>Unit serial number, as long as it is.</summary>
    public byte[] Serial { get; }

    /// <summary>T10 VENDOR IDENTIFICATION, 8 bytes, left-aligned and padded with spaces.</summary>
    public byte[] Vendor { get; }

    /// <summary>PRODUCT IDENTIFICATION, 16 bytes, padded likewise.</summary>
    public byte[] Product { get; }

    /// <summary>PRODUCT REVISION LEVEL, 4 bytes, padded likewise.</summary>
    public byte[] Revision { get; }

    /// <summary>NAA IEEE Registered Extended designator, 16 bytes.</summary>
    public byte[] Naa { get; }

    /// <summary>SPC-5 4.3.1: left-aligned ASCII, padded with spaces; what does not fit is cut.</summary>
    private static byte[] Pad(string text, int lengthBytes) => Encoding.ASCII.GetBytes(text.PadRight(lengthBytes)[..lengthBytes]);

    /// <summary>NAA 6h, LIO's company id 001405h, then the first 25 hex digits found in the serial (SPC-5 7.7.6.6.5).</summary>
    /// <remarks>
    /// LIO's scheme for its own backstores, so that a unit keeps its name whoever answers INQUIRY. Where LIO pads a serial of fewer
    /// digits with zeroes, a hash of the serial follows: "vol-x" and "vol-y" have no digits, and multipath would join equal names.
    /// </remarks>
    private static byte[] BuildNaa(ReadOnlySpan<byte> serial)
    {
        var naa = new byte[NaaLengthBytes];
        SetDigit(naa, 0, 6);
        for (var i = 0; i < 6; i++) SetDigit(naa, 1 + i, (byte)(LioCompanyId >> (20 - 4 * i) & 0xF));
        var digits = 0;
        foreach (var character in serial)
        {
            if (digits == NaaSerialDigits) return naa;
            if (char.IsAsciiHexDigit((char)character)) SetDigit(naa, 7 + digits++, HexValue(character));
        }

        var hash = Fnv1A(serial);
        for (; digits < NaaSerialDigits; digits++)
        {
            SetDigit(naa, 7 + digits, (byte)(hash >> 60));
            hash = ulong.RotateLeft(hash, 4);
        }

        return naa;
    }

    private static void SetDigit(Span<byte> naa, int digit, byte value) =>
        naa[digit / 2] |= (byte)(digit % 2 == 0 ? value << 4 : value);

    private static byte HexValue(byte character) =>
        (byte)(character <= '9' ? character - '0' : (character | 0x20) - 'a' + 10);

    private static ulong Fnv1A(ReadOnlySpan<byte> bytes)
    {
        var hash = 0xCBF2_9CE4_8422_2325;
        foreach (var value in bytes) hash = (hash ^ value) * 0x100_0000_01B3;
        return hash;
    }
}
