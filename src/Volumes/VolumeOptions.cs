using System.ComponentModel.DataAnnotations;

namespace Gateway.Volumes;

/// <summary>What an opening does about a volume that another gateway served last and did not release.</summary>
public enum TakeoverPolicy
{
    /// <summary>Takes it over once that gateway has given no sign of life for longer than its lease, and left no flushed writes behind.</summary>
    WhenSilent,

    /// <summary>Leaves it to an operator: <c>volume takeover</c>.</summary>
    Never,
}

/// <summary>What a flush, or a write that forces unit access, waits for.</summary>
public enum Durability
{
    /// <summary>The journal's fdatasync: survives the process and a power cut, not the loss of the journal's disk.</summary>
    Journal,

    /// <summary>The segment that holds the data counts in the bucket: survives the loss of the whole machine.</summary>
    Bucket,
}

/// <summary>How volumes are served. One set for all volumes of a gateway.</summary>
public sealed record VolumeOptions
{
    /// <summary>Data bytes that seal a segment. Default 8 MiB; 64 KiB to 64 MiB.</summary>
    public int SegmentBytes { get; set; } = 8 << 20;

    /// <summary>Age of the oldest write that seals a segment before it is full. Default 5 s.</summary>
    public TimeSpan SealAfter { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Segments on their way to the store at a time, each with a buffer of its own. Default 8; 1 to 64.</summary>
    public int UploadWindow { get; set; } = 8;

    /// <summary>Bytes of blocks kept in memory for reads, for each volume. Default 64 MiB; 0 keeps none.</summary>
    public long CacheBytes { get; set; } = 64 << 20;

    /// <summary>Bytes of memory beside that for what sequential readers will ask for, for each volume. Default 32 MiB; 0: nothing is read ahead.</summary>
    public long ReadAheadBytes { get; set; } = 32 << 20;

    /// <summary>Requests of a volume's reads that the store has at a time. Default 16; 1 to 256.</summary>
    public int ReadWindow { get; set; } = 16;

    /// <summary>Bytes of local disk, reserved at once, that keep frames of each volume beyond memory and restarts. Default 0: none; else 16 MiB to 1 TiB.</summary>
    public long CacheFileBytes { get; set; }

    /// <summary>Directory of the cache files, one for each volume. It should be on a fast local disk.</summary>
    public string CacheDirectory { get; set; } = "/var/lib/tcmu-gateway/cache";

    /// <summary>Memory for the map of one volume, in bytes. Leaves that did not change since the last checkpoint leave it when it is full. Default 256 MiB.</summary>
    public long MapBytes { get; set; } = 256 << 20;

    /// <summary>Segments behind the last checkpoint that make the next one due, whatever it costs: an opening reads their headers. Default 256.</summary>
    public int CheckpointSegments { get; set; } = 256;

    /// <summary>Segments behind the last checkpoint below which none is due for being cheap. Default 16.</summary>
    public int CheckpointSegmentsMin { get; set; } = 16;

    /// <summary>How long what a checkpoint no longer refers to stays in the store. Longer than <see cref="CommandTimeout"/>: reads may be on their way to it. Default 60 s.</summary>
    public TimeSpan RemoveAfter { get; set; } = TimeSpan.FromSeconds(60);

    /// <summary>Share of the stored blocks that may be garbage before cleaning starts. Default 0.2: the bucket holds about 1.25 times what is live. 0.05 to 0.9; 1 never cleans.</summary>
    public double CleanAbove { get; set; } = 0.2;

    /// <summary>Bytes per second that cleaning may read and write. Default 100 MiB.</summary>
    public long CleanBytesPerSecond { get; set; } = 100 << 20;

    /// <summary>Quiet time after which a checkpoint is written if it makes space free. Default 10 s.</summary>
    public TimeSpan CheckpointIdle { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>What a flush waits for. Default: the journal; without a journal directory always the bucket.</summary>
    public Durability Durability { get; set; } = Durability.Journal;

    /// <summary>Percentage of the journal in use above which writes are slowed down, the more the fuller it is. Default 70; 10 to 100, 100 never slows.</summary>
    public int HighWaterPercent { get; set; } = 70;

    /// <summary>
    /// Lease length L: how long this gateway may acknowledge after it last saw that nobody else claimed the volume; another one waits L and a
    /// tenth of it. Default 180 s; 10 to 600 s. Zero: the operator vouches that no second gateway ever opens the volume; then nothing guards against one.
    /// </summary>
    public TimeSpan LeaseLength { get; set; } = TimeSpan.FromSeconds(180);

    /// <summary>What is done about a volume that another gateway served last and did not release. Default: it is taken over when that one is silent.</summary>
    public TakeoverPolicy Takeover { get; set; } = TakeoverPolicy.WhenSilent;

    /// <summary>How long a command may wait for journal space or for the store before it ends in sense data. Default 20 s.</summary>
    public TimeSpan CommandTimeout { get; set; } = TimeSpan.FromSeconds(20);

    /// <summary>Longest pause after a segment's first failed attempt to reach the store; it doubles with every further one. Default 100 ms.</summary>
    public TimeSpan RetryDelayMin { get; set; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Bound on that pause. Default 10 s.</summary>
    public TimeSpan RetryDelayMax { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How long closing a volume tries to bring the journal's content to the bucket; what is left stays in the journal, and the release then gets one second more. Default 4 s.</summary>
    public TimeSpan CloseTimeout { get; set; } = TimeSpan.FromSeconds(4);
}

/// <summary>Local space of one volume's write-back journal.</summary>
public sealed record JournalOptions
{
    public const long CapacityMinBytes = 64L << 20;
    public const long CapacityMaxBytes = 1L << 40;

    /// <summary>
    /// Directory of the journal files, one for each volume, absolute. It must be on a local disk that honours fdatasync. Null: none; what is not in the
    /// bucket is kept in memory, up to <see cref="CapacityBytes"/> for each volume, and every flush goes to the bucket.
    /// </summary>
    public string? Directory { get; set; } = "/var/lib/tcmu-gateway/journal";

    /// <summary>
    /// Accepts a directory in memory or on a network or FUSE file system, where fdatasync may promise nothing: for tests. Default: refused.
    /// </summary>
    public bool AllowUnsafeFileSystem { get; set; }

    /// <summary>Size of a new journal in bytes, reserved at once; an existing one keeps its size. Default 1 GiB; 64 MiB to 1 TiB.</summary>
    [Range(CapacityMinBytes, CapacityMaxBytes)]
    public long CapacityBytes { get; set; } = 1L << 30;
}
