using System.Globalization;

namespace Gateway.Tcmu;

/// <summary>A TCMU device's attributes in configfs. Those that this kernel does not have, or does not tell, are null.</summary>
public sealed record BackstoreAttributes
{
    /// <summary>attrib/hw_block_size: logical block length, bytes.</summary>
    public int? BlockLengthBytes { get; init; }

    /// <summary>attrib/dev_size: capacity, bytes.</summary>
    public long? CapacityBytes { get; init; }

    /// <summary>attrib/cmd_time_out: when the kernel gives a command up. Zero: never.</summary>
    public TimeSpan? CommandTimeout { get; init; }

    /// <summary>attrib/qfull_time_out: how long commands wait for room in the ring. Negative: as the command timeout.</summary>
    public TimeSpan? QueueFullTimeout { get; init; }

    /// <summary>attrib/max_data_area_mb, in bytes.</summary>
    public long? DataAreaMaxBytes { get; init; }

    /// <summary>attrib/hw_max_sectors: the longest transfer, in logical blocks.</summary>
    public long? TransferMaxBlocks { get; init; }

    /// <summary>attrib/emulate_write_cache.</summary>
    public bool? WriteCache { get; init; }

    /// <summary>attrib/tmr_notification: whether TMR entries come.</summary>
    public bool? TaskManagementNotification { get; init; }

    /// <summary>wwn/vpd_unit_serial, without its label; null also when it is empty.</summary>
    public string? UnitSerial { get; init; }
}

/// <summary>One TCMU device's directory in configfs: attributes, and the actions on its ring. Thread safe.</summary>
/// <param name="files">Access to configfs.</param>
/// <param name="configfsRoot">Where configfs is mounted: <c>/sys/kernel/config</c>.</param>
/// <param name="name">The device.</param>
public sealed class TcmuBackstore(IKernelFiles files, string configfsRoot, TcmuDeviceName name)
{
    private const string SerialLabel = "T10 VPD Unit Serial Number:";

    private readonly string _directory = Path.Combine(configfsRoot, name.ConfigfsPath);

    /// <summary>The device.</summary>
    public TcmuDeviceName Name => name;

    /// <summary>True if the kernel has the device and both actions that a clean start needs.</summary>
    public bool HasRingActions => files.Exists(FilePath("action/block_dev")) && files.Exists(FilePath("action/reset_ring"));

    /// <summary>Reads the attributes; a missing or malformed one is null.</summary>
    public BackstoreAttributes ReadAttributes() => new()
    {
        BlockLengthBytes = (int?)ReadNumber("attrib/hw_block_size"),
        CapacityBytes = ReadNumber("attrib/dev_size"),
        CommandTimeout = ReadSeconds("attrib/cmd_time_out"),
        QueueFullTimeout = ReadSeconds("attrib/qfull_time_out"),
        DataAreaMaxBytes = ReadNumber("attrib/max_data_area_mb") << 20,
        TransferMaxBlocks = ReadNumber("attrib/hw_max_sectors"),
        WriteCache = ReadNumber("attrib/emulate_write_cache") is { } cache ? cache != 0 : null,
        TaskManagementNotification = ReadNumber("attrib/tmr_notification") is { } notification ? notification != 0 : null,
        UnitSerial = ReadUnitSerial(),
    };

    /// <summary>Writes an attribute.</summary>
    /// <param name="attribute">Its name below attrib/.</param>
    /// <param name="value">Its text.</param>
    /// <exception cref="IOException">The kernel does not have it, or refuses (many are fixed while the LUN is exported).</exception>
    public void WriteAttribute(string attribute, string value) => files.Write(FilePath($"attrib/{attribute}"), value);

    /// <summary>Blocks the device: new commands get BUSY, those in flight go on. Or unblocks it.</summary>
    public void SetBlocked(bool blocked) => files.Write(FilePath("action/block_dev"), blocked ? "1" : "0");

    /// <summary>Ends all commands on the ring with BUSY, which initiators retry, and empties it.</summary>
    /// <remarks>Their buffers are free at once: to be called only while nothing here works on a command of this ring.</remarks>
    public void ResetRing() => files.Write(FilePath("action/reset_ring"), "1");

    private TimeSpan? ReadSeconds(string file) =>
        ReadNumber(file) is { } seconds and > -int.MaxValue and < int.MaxValue ? TimeSpan.FromSeconds(seconds) : null;

    private long? ReadNumber(string file) =>
        long.TryParse(Read(file), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : null;

    private string? ReadUnitSerial()
    {
        var text = Read("wwn/vpd_unit_serial");
        if (text is null || !text.StartsWith(SerialLabel, StringComparison.Ordinal)) return null;
        return text[SerialLabel.Length..].Trim() is { Length: > 0 } serial ? serial : null;
    }

    private string? Read(string file)
    {
        try
        {
            return files.Exists(FilePath(file)) ? files.Read(FilePath(file)).Trim() : null;
        }
        catch (IOException)
        {
            return null; // Some attributes cannot be read before enable.
        }
    }

    private string FilePath(string file) => Path.Combine(_directory, file);
}
