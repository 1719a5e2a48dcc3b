namespace Gateway.Bench.Suite;

/// <summary>A figure that the project sets itself.</summary>
/// <param name="Id">Its name in reports.</param>
/// <param name="Unit">What the value counts.</param>
/// <param name="Target">The value to reach.</param>
/// <param name="AtLeast">The value must not be below the target; else not above.</param>
/// <param name="Measure">What is measured, in a line.</param>
internal sealed record SuiteTarget(string Id, string Unit, double Target, bool AtLeast, string Measure)
{
    public static readonly SuiteTarget RingNull = new("ring_null", "commands/s", 1_000_000, true, "ring, null device, 4 KiB reads, initiator and gateway on one core");
    public static readonly SuiteTarget RingAlloc = new("ring_alloc", "bytes/command", 0, false, "managed bytes allocated, the most of null, cached read, journal write");
    public static readonly SuiteTarget RandWrite = new("randwrite_vs_pwrite", "ratio", 0.5, true, "4 KiB random write, depth 32, to a plain pwrite loop of the same records");
    public static readonly SuiteTarget SyncWrite = new("syncwrite_vs_fio", "ratio", 0.8, true, "4 KiB write + flush, depth 1, to fio --fdatasync=1");
    public static readonly SuiteTarget SyncWriteDepth = new("syncwrite_depth32", "ratio", 5, true, "4 KiB write + flush, depth 32, to depth 1");
    public static readonly SuiteTarget ReadWarm = new("read_warm", "IOPS", 400_000, true, "4 KiB random read, warm in memory, initiator and gateway on one core");
    public static readonly SuiteTarget S3SeqWrite = new("s3_seqwrite", "ratio", 0.8, true, "sequential 1 MiB write, sustained, to the store's ceiling");
    public static readonly SuiteTarget S3SeqRead = new("s3_seqread", "ratio", 0.8, true, "cold sequential 1 MiB read, to the store's ceiling");
    public static readonly SuiteTarget S3Sdk = new("s3_sdk", "ratio", 0.85, true, "8 MiB PUT and GET of our S3 store, the lower, to the ceiling");
    public static readonly SuiteTarget PutAmplification = new("put_amplification", "ratio", 1.10, false, "bytes PUT per byte written, 4 KiB random, incompressible");
    public static readonly SuiteTarget Clean80 = new("clean_80", "ratio", 2.8, false, "bytes PUT per byte written, random overwrite, 80 % of the bucket live");
    public static readonly SuiteTarget Clean60 = new("clean_60", "ratio", 1.6, false, "bytes PUT per byte written, random overwrite, 60 % of the bucket live");
    public static readonly SuiteTarget Open = new("open_10m", "s", 1, false, "open of a volume with 10 million extents");
    public static readonly SuiteTarget OpenMemory = new("open_10m_rss", "MiB", 200, false, "resident after that open");
    public static readonly SuiteTarget Idle = new("idle_16", "MiB", 150, false, "resident, a gateway with 16 idle volumes");

    public static readonly SuiteTarget TelemetryOverhead = new("telemetry_overhead", "ratio", 0.03, false, "share of reads that telemetry takes away, 4 KiB random, warm in memory, one core");

    public static readonly SuiteTarget FlakyReads = new("flaky_read_p99", "ratio", 1.25, false, "p99 of reads from memory while the store fails, to the same load without faults");

    public static readonly SuiteTarget[] All =
    [
        RingNull, RingAlloc, RandWrite, SyncWrite, SyncWriteDepth, ReadWarm, S3SeqWrite, S3SeqRead, S3Sdk, PutAmplification, Clean80, Clean60, Open, OpenMemory, Idle, TelemetryOverhead, FlakyReads,
    ];

    public bool IsMetBy(double value) => AtLeast ? value >= Target : value <= Target;
}

/// <summary>A measured figure, as the report file has it. A value of null: it could not be measured.</summary>
internal sealed record SuiteResult(string Id, double? Value, string Unit, double Target, bool Met);

/// <summary>A figure cannot be measured here; the message says what is missing.</summary>
internal sealed class SuiteException(string message) : Exception(message);
