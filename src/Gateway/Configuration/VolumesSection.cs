using System.ComponentModel.DataAnnotations;
using Gateway.Cli;
using Gateway.Serving;
using Gateway.Volumes;
using Gateway.Volumes.Leases;

namespace Gateway.Configuration;

/// <summary>What one volume has of its own.</summary>
internal sealed record VolumeSection
{
    /// <summary>Its capacity, such as 10GiB: with it the daemon makes the volume if it is not there, and grows it if it is smaller. Default: it is made by hand.</summary>
    public string? Size { get; set; }

    /// <summary>With size: logical block length in bytes of a volume that is made. Default 512.</summary>
    [AllowedValues(512, 4096)]
    public int? BlockSize { get; set; }

    /// <summary>With size: how the data of a volume that is made is compressed. Default lz4.</summary>
    [AllowedValues("lz4", "zstd", "none")]
    public string? Compression { get; set; }

    /// <summary>Seconds of its lease: 0, or 10 to 600. Default: that of all volumes.</summary>
    public double? LeaseSeconds { get; set; }

    /// <summary>What is done when another gateway did not release it. Default: that of all volumes.</summary>
    public TakeoverPolicy? Takeover { get; set; }

    /// <summary>What its flushes wait for. Default: that of all volumes.</summary>
    public Durability? Durability { get; set; }

    /// <summary>What its commands end in once the store has been away for long. Default: that of all volumes.</summary>
    public LongOutagePolicy? OnLongOutage { get; set; }

    /// <summary>Seconds of an outage from which on it is long for it. Default: that of all volumes.</summary>
    [Range(10.0, 604_800.0)]
    public double? LongOutageSeconds { get; set; }

    /// <summary>Of the volume to be made; null if it is made by hand.</summary>
    public VolumeSpec? ToSpec() => Size is null || !ByteSize.TryParse(Size, out var bytes) ? null
        : new VolumeSpec(bytes, BlockSize ?? VolumeSpec.BlockSizeDefaultBytes, VolumeCompressionNames.TryParse(Compression ?? "lz4", out var codec) ? codec : VolumeCompression.Lz4);

    public IEnumerable<string> Faults()
    {
        var block = BlockSize ?? VolumeSpec.BlockSizeDefaultBytes;
        if (block is not (512 or 4096)) yield return "blockSize: must be 512 or 4096";
        else if (Size is not null && (!ByteSize.TryParse(Size, out var bytes) || bytes is <= 0 or > VolumeSpec.SizeMaxBytes || bytes % block != 0)) yield return $"size: must be a multiple of the block size of at most 64TiB, for example 10GiB";
        if (Compression is not null && !VolumeCompressionNames.TryParse(Compression, out _)) yield return $"compression: must be one of {string.Join(", ", VolumeCompressionNames.All)}";
        if (Size is null && (BlockSize ?? (object?)Compression) is not null) yield return "size: needed with blockSize and compression, which are for making the volume";
    }
}

/// <summary>How all volumes are served; see <see cref="VolumeOptions"/>.</summary>
internal sealed record VolumesSection
{
    /// <summary>What a flush waits for: the journal on local disk, or the bucket. Default journal.</summary>
    public Durability Durability { get; set; } = Durability.Journal;

    public const string LongOutageFault = "longOutageSeconds: must be between 10 and 604800 (a week)";

    /// <summary>What commands end in once the store has been away for long: try again; writes are refused; another path is to be taken. Default retry.</summary>
    public LongOutagePolicy OnLongOutage { get; set; } = LongOutagePolicy.Retry;

    /// <summary>Seconds of an outage from which on it is long. Default 600.</summary>
    [Range(10.0, 604_800.0)]
    public double LongOutageSeconds { get; set; } = 600;

    public const string LeaseFault = "leaseSeconds: must be between 10 and 600; or 0, which declares that only one gateway ever opens the volume";

    /// <summary>Seconds that this gateway may acknowledge after it last saw that nobody else claimed the volume: 10 to 600, or 0, which declares that no second gateway ever opens the volume. Default 180.</summary>
    public double LeaseSeconds { get; set; } = 180;

    /// <summary>What is done about a volume that another gateway did not release: it is taken over once that gateway is silent, or never. Default whenSilent.</summary>
    public TakeoverPolicy Takeover { get; set; } = TakeoverPolicy.WhenSilent;

    /// <summary>What single volumes have of their own, by STORE/VOLUME.</summary>
    public Dictionary<string, VolumeSection> Each { get; set; } = [];

    /// <summary>Data bytes that seal a segment. Default 8 MiB.</summary>
    [Range(64 << 10, 64 << 20)]
    public int SegmentBytes { get; set; } = 8 << 20;

    /// <summary>Age in seconds of the oldest write that seals a segment. Default 5.</summary>
    [Range(0.05, 3600.0)]
    public double SealAfterSeconds { get; set; } = 5;

    /// <summary>Segments of a volume on their way to the store at a time. Default 8.</summary>
    [Range(1, 64)]
    public int UploadWindow { get; set; } = 8;

    /// <summary>Bytes of blocks kept in memory for each volume. Default 64 MiB.</summary>
    [Range(0, 1L << 40)]
    public long CacheBytes { get; set; } = 64 << 20;

    /// <summary>Bytes of memory for what sequential readers will ask for, for each volume. Default 32 MiB.</summary>
    [Range(0, 4L << 30)]
    public long ReadAheadBytes { get; set; } = 32 << 20;

    /// <summary>Requests of a volume's reads that the store has at a time. Default 16.</summary>
    [Range(1, 256)]
    public int ReadWindow { get; set; } = 16;

    /// <summary>Bytes of local disk, reserved at once, that keep what was read of each volume: 0, or 16 MiB to 1 TiB. Default 0: none.</summary>
    public long CacheFileBytes { get; set; }

    /// <summary>Directory of the cache files, absolute; made if it is missing. Default /var/lib/tcmu-gateway/cache.</summary>
    public string CacheDirectory { get; set; } = "/var/lib/tcmu-gateway/cache";

    /// <summary>Percentage of its journal in use, above which a volume's writes are slowed down. Default 70.</summary>
    [Range(10, 100)]
    public int HighWaterPercent { get; set; } = 70;

    /// <summary>Seconds that a command may wait for journal space or the store. Default 20.</summary>
    [Range(1.0, 60.0)]
    public double CommandTimeoutSeconds { get; set; } = 20;

    /// <summary>Seconds that a stop tries to empty a journal into the bucket. Default 4.</summary>
    [Range(0.0, 600.0)]
    public double CloseTimeoutSeconds { get; set; } = 4;

    public static bool IsLongOutage(double seconds) => seconds is >= 10 and <= 604_800;

    public static bool IsLease(double seconds) => seconds is 0 or (>= 10 and <= 600);

    public IEnumerable<string> Faults()
    {
        if (!IsLease(LeaseSeconds)) yield return LeaseFault;
        if (!IsLongOutage(LongOutageSeconds)) yield return LongOutageFault;
        if (SegmentBytes is < 64 << 10 or > 64 << 20) yield return "segmentBytes: must be between 65536 (64 KiB) and 67108864 (64 MiB)";
        if (SealAfterSeconds is not (>= 0.05 and <= 3600)) yield return "sealAfterSeconds: must be between 0.05 and 3600";
        if (UploadWindow is < 1 or > 64) yield return "uploadWindow: must be between 1 and 64";
        if (CacheBytes is < 0 or > 1L << 40) yield return "cacheBytes: must be between 0 and 1099511627776 (1 TiB)";
        if (ReadAheadBytes is < 0 or > 4L << 30) yield return "readAheadBytes: must be between 0 and 4294967296 (4 GiB)";
        if (ReadWindow is < 1 or > 256) yield return "readWindow: must be between 1 and 256";
        if (CacheFileBytes is not 0 and (< 16L << 20 or > 1L << 40)) yield return "cacheFileBytes: must be 0, or between 16777216 (16 MiB) and 1099511627776 (1 TiB)";
        if (!Path.IsPathRooted(CacheDirectory)) yield return "cacheDirectory: must be an absolute path";
        if (HighWaterPercent is < 10 or > 100) yield return "highWaterPercent: must be between 10 and 100";
        if (CommandTimeoutSeconds is not (>= 1 and <= 60)) yield return "commandTimeoutSeconds: must be between 1 and 60";
        if (CloseTimeoutSeconds is not (>= 0 and <= 600)) yield return "closeTimeoutSeconds: must be between 0 and 600";
    }
}
