namespace Gateway.Volumes;

/// <summary>How volumes are served. One set for all volumes of a gateway.</summary>
public sealed record VolumeOptions
{
    /// <summary>Data bytes that seal a segment. Default 8 MiB; 64 KiB to 64 MiB.</summary>
    public int SegmentBytes { get; set; } = 8 << 20;

    /// <summary>Age of the oldest write that seals a segment before it is full. Default 5 s.</summary>
    public TimeSpan SealAfter { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Segments on their way to the store at a time, each with a buffer of its own. Default 4; 1 to 64.</summary>
    public int UploadWindow { get; set; } = 4;

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

    /// <summary>How long a command may wait for journal space or for the store before it ends in sense data. Default 20 s.</summary>
    public TimeSpan CommandTimeout { get; set; } = TimeSpan.FromSeconds(20);

    /// <summary>Longest pause after a segment's first failed attempt to reach the store; it doubles with every further one. Default 100 ms.</summary>
    public TimeSpan RetryDelayMin { get; set; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Bound on that pause. Default 10 s.</summary>
    public TimeSpan RetryDelayMax { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How long closing a volume tries to bring the journal's content to the bucket; what is left stays in the journal. Default 5 s.</summary>
    public TimeSpan CloseTimeout { get; set; } = TimeSpan.FromSeconds(5);
}

/// <summary>Local space of one volume's write-back journal.</summary>
public sealed record JournalOptions
{
    public const long CapacityMinBytes = 64L << 20;
    public const long CapacityMaxBytes = 1L << 40;

    /// <summary>Directory of the journal files, one for each volume. It must be on a local disk that honours fdatasync.</summary>
    public string Directory { get; set; } = "/var/lib/tcmu-gateway/journal";

    /// <summary>Size of a new journal in bytes, reserved at once; an existing one keeps its size. Default 1 GiB; 64 MiB to 1 TiB.</summary>
    public long CapacityBytes { get; set; } = 1L << 30;
}
