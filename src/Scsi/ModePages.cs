using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Scsi;

/// <summary>What initiators may change by MODE SELECT.</summary>
/// <param name="WriteCacheEnabled">WCE of the caching page.</param>
/// <param name="SoftwareWriteProtect">SWP of the control page.</param>
internal readonly record struct ModeParameters(bool WriteCacheEnabled, bool SoftwareWriteProtect);

/// <summary>PC, page control: which values of a page are meant (SPC-5 6.14).</summary>
internal enum PageControl
{
    Current = 0,
    Changeable = 1,
    Default = 2,
    Saved = 3,
}

/// <summary>The mode pages of the unit, and their bytes.</summary>
internal static class ModePages
{
    public const byte Caching = 0x08;
    public const byte Control = 0x0A;
    public const byte All = 0x3F;

    public const int CachingLengthBytes = 20;
    public const int ControlLengthBytes = 12;

    private const int FlagsByte = 2;
    private const byte WceBit = 0x04;
    private const int ProtectByte = 4;
    private const byte SwpBit = 0x08;

    /// <summary>Length of a page with its header of 2 bytes; 0 if there is no such page.</summary>
    public static int LengthBytes(byte pageCode) => pageCode switch
    {
        Caching => CachingLengthBytes,
        Control => ControlLengthBytes,
        _ => 0,
    };

    /// <summary>Writes a page that exists, as <paramref name="parameters"/> have it.</summary>
    public static void Write(byte pageCode, ModeParameters parameters, Span<byte> page)
    {
        WriteHeader(pageCode, page);
        if (pageCode == Caching)
        {
            // SBC-4 6.5.6. Reads may come from the cache (RCD = 0).
            page[FlagsByte] = parameters.WriteCacheEnabled ? WceBit : (byte)0;
            return;
        }

        // SPC-5 7.5.10.
        page[2] = 0x02; // GLTSD: no implicit saving of log parameters. D_SENSE = 0: sense data in fixed format.
        page[3] = 0x10; // QUEUE ALGORITHM MODIFIER: unrestricted reordering.
        page[ProtectByte] = parameters.SoftwareWriteProtect ? SwpBit : (byte)0;
        page[5] = 0x40; // TAS: LIO ends commands that another initiator aborts with TASK ABORTED.
        WriteUInt16BigEndian(page[8..], 0xFFFF); // BUSY TIMEOUT PERIOD: unlimited.
    }

    /// <summary>Writes the mask of a page's changeable bits.</summary>
    public static void WriteChangeable(byte pageCode, Span<byte> page)
    {
        WriteHeader(pageCode, page);
        if (pageCode == Caching) page[FlagsByte] = WceBit;
        else page[ProtectByte] = SwpBit;
    }

    /// <summary>The parameters with the changeable bits of a valid page taken over.</summary>
    public static ModeParameters Apply(ModeParameters parameters, byte pageCode, ReadOnlySpan<byte> page) => pageCode == Caching
        ? parameters with { WriteCacheEnabled = (page[FlagsByte] & WceBit) != 0 }
        : parameters with { SoftwareWriteProtect = (page[ProtectByte] & SwpBit) != 0 };

    private static void WriteHeader(byte pageCode, Span<byte> page)
    {
        var length = LengthBytes(pageCode);
        page[..length].Clear();
        page[0] = pageCode; // PS = 0: not savable.
        page[1] = (byte)(length - 2);
    }
}
