namespace Gateway.Lio;

/// <summary>A volume as a TCMU device.</summary>
public sealed record Backstore
{
    /// <summary>The device's name, by which LUNs refer to it: 1 to 100 of a-z, A-Z, 0-9, ".", "_", "-", beginning with a letter or digit. Unique.</summary>
    public required string Name { get; init; }

    /// <summary>What the daemon opens: <c>gateway/STORE/VOLUME</c>. At most 255 ASCII characters, without a comma. Unique.</summary>
    public required string Config { get; init; }

    /// <summary>Capacity in bytes, a multiple of <see cref="BlockSizeBytes"/>. May grow; the kernel's devices do not shrink.</summary>
    public required long SizeBytes { get; init; }

    /// <summary>Logical block length: 512 or 4096 bytes. Fixed once the device is made.</summary>
    public int BlockSizeBytes { get; init; } = 4096;

    /// <summary>VPD page 80h: the volume's id, so that initiators recognise it on every gateway.</summary>
    public required Guid UnitSerial { get; init; }

    /// <summary>hw_max_sectors in bytes: the longest transfer, 64 KiB to 16 MiB. Fixed once the device is made. Default 4 MiB.</summary>
    public int TransferMaxBytes { get; init; } = 4 << 20;

    /// <summary>max_data_area_mb: kernel memory for data in flight, 8 to 2048 MiB. Fixed once the device is made. Default 128.</summary>
    public int DataAreaMebibytes { get; init; } = 128;

    /// <summary>cmd_time_out in seconds; 0, the default: the kernel never gives a command up, the daemon does.</summary>
    public int CommandTimeoutSeconds { get; init; }

    /// <summary>qfull_time_out in seconds: how long commands wait for room in the ring. Default 5.</summary>
    public int QueueFullTimeoutSeconds { get; init; } = 5;

    /// <summary>emulate_write_cache; null leaves it as it is, since the daemon answers the caching mode page by itself.</summary>
    public bool? WriteCache { get; init; }
}
