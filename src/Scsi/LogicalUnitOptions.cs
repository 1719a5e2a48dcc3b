namespace Gateway.Scsi;

/// <summary>What one logical unit tells initiators about itself. Read once, by the constructor of <see cref="LogicalUnit"/>.</summary>
public sealed record LogicalUnitOptions
{
    /// <summary>The longest <see cref="UnitSerial"/>: it must fit a designator of 255 bytes after vendor and product.</summary>
    public const int UnitSerialLengthMax = 200;

    /// <summary>Unit serial number, printable ASCII. Null, the default: the device's id as 32 hex digits. The NAA name follows from it.</summary>
    public string? UnitSerial { get; set; }

    /// <summary>T10 vendor identification, cut to 8 characters. The default is the one that multipath tools know.</summary>
    public string Vendor { get; set; } = "LIO-ORG";

    /// <summary>Product identification, cut to 16 characters.</summary>
    public string Product { get; set; } = "tcmu-gateway";

    /// <summary>Product revision level, cut to 4 characters.</summary>
    public string Revision { get; set; } = "0001";

    /// <summary>Refuses every command that writes, and sets WP in mode headers. Default false.</summary>
    public bool ReadOnly { get; set; }

    /// <summary>Whether WCE is set at first, and by default. Clear, every write is durable before it completes. Default true.</summary>
    public bool WriteCacheEnabled { get; set; } = true;

    /// <summary>Longest READ, WRITE or VERIFY in bytes, 64 KiB to 1 GiB; not above the backstore's hw_max_sectors. Default 8 MiB.</summary>
    public int MaximumTransferLengthBytes { get; set; } = 8 << 20;

    /// <summary>The transfer length in bytes that suits the unit best; no more than the maximum is reported. Default 1 MiB.</summary>
    public int OptimalTransferLengthBytes { get; set; } = 1 << 20;

    /// <summary>Most bytes that the descriptors of one UNMAP may add up to, at least 1 MiB. Default 512 MiB.</summary>
    public long MaximumUnmapLengthBytes { get; set; } = 512L << 20;

    /// <summary>Most block descriptors in one UNMAP, 1 to 4,095. Default 256.</summary>
    public int MaximumUnmapDescriptors { get; set; } = 256;

    /// <summary>Longest WRITE SAME in bytes, 1 MiB or more; one of a non-zero pattern really writes them. Default 8 MiB, which one READ can check.</summary>
    public int MaximumWriteSameLengthBytes { get; set; } = 8 << 20;

    /// <summary>All faults of the options together; empty when there are none.</summary>
    public IReadOnlyList<string> Validate()
    {
        const int MiB = 1 << 20;
        List<string> faults = [];
        if (UnitSerial is { } serial && (serial.Length is 0 or > UnitSerialLengthMax || !IsPrintable(serial)))
            faults.Add($"{nameof(UnitSerial)} must be 1 to {UnitSerialLengthMax} printable ASCII characters.");
        if (Vendor.Length == 0 || !IsPrintable(Vendor)) faults.Add($"{nameof(Vendor)} must be printable ASCII.");
        if (Product.Length == 0 || !IsPrintable(Product)) faults.Add($"{nameof(Product)} must be printable ASCII.");
        if (!IsPrintable(Revision)) faults.Add($"{nameof(Revision)} must be printable ASCII.");
        if (MaximumTransferLengthBytes is < 64 << 10 or > 1 << 30) faults.Add($"{nameof(MaximumTransferLengthBytes)} must be 64 KiB to 1 GiB.");
        if (OptimalTransferLengthBytes < 0) faults.Add($"{nameof(OptimalTransferLengthBytes)} must not be negative.");
        if (MaximumUnmapLengthBytes < MiB) faults.Add($"{nameof(MaximumUnmapLengthBytes)} must be at least 1 MiB.");
        if (MaximumUnmapDescriptors is < 1 or > 4095) faults.Add($"{nameof(MaximumUnmapDescriptors)} must be 1 to 4,095.");
        if (MaximumWriteSameLengthBytes < MiB) faults.Add($"{nameof(MaximumWriteSameLengthBytes)} must be at least 1 MiB.");
        return faults;
    }

    /// <summary>SPC-5 4.3.1: ASCII data fields hold 20h to 7Eh only.</summary>
    private static bool IsPrintable(string text) => !text.AsSpan().ContainsAnyExceptInRange(' ', '~');
}
