using Gateway.Diagnostics;

namespace Gateway.Volumes;

/// <summary>What the parts of an open volume count and time, since it was opened. Thread safe; counting allocates nothing. Read when metrics are collected.</summary>
public sealed class VolumeMeasures
{
    /// <summary>Reads that memory could not serve at once.</summary>
    public DurationCounts Reads { get; } = new();

    /// <summary>Writes and zeroed ranges, until they may complete.</summary>
    public DurationCounts Writes { get; } = new();

    /// <summary>Flushes that had to wait.</summary>
    public DurationCounts Flushes { get; } = new();

    /// <summary>Writes of batches to the journal.</summary>
    public DurationCounts JournalAppends { get; } = new();

    /// <summary>The journal's fdatasyncs, those of superblocks left out.</summary>
    public DurationCounts JournalFlushes { get; } = new();

    /// <summary>Batches held back, for space or by back-pressure.</summary>
    public DurationCounts BackPressure { get; } = new();

    /// <summary>Fetches of ranges from the store.</summary>
    public DurationCounts StoreFetches { get; } = new();

    /// <summary>Fetches of frames from the cache file.</summary>
    public DurationCounts CacheFileFetches { get; } = new();

    /// <summary>Reads of records from the journal.</summary>
    public DurationCounts JournalFetches { get; } = new();

    /// <summary>Records appended.</summary>
    public Count JournalWrites { get; } = new();

    /// <summary>Bytes appended, headers and padding included.</summary>
    public Count JournalBytes { get; } = new();

    /// <summary>Bytes of data in the records appended: zeroes have none.</summary>
    public Count WrittenBytes { get; } = new();

    /// <summary>Times that writes began to wait because the journal was full.</summary>
    public Count JournalFull { get; } = new();

    /// <summary>Frames from the store that failed their check.</summary>
    public Count StoreCheckErrors { get; } = new();

    /// <summary>Items of the cache file that failed their check.</summary>
    public Count CacheFileCheckErrors { get; } = new();

    /// <summary>Parts of the map that failed their check.</summary>
    public Count MapCheckErrors { get; } = new();

    /// <summary>Parts of reads that ended in MEDIUM ERROR.</summary>
    public Count CorruptReads { get; } = new();

    /// <summary>Segments of writes that count in the bucket, and their bytes.</summary>
    public Count LogSegments { get; } = new();

    /// <inheritdoc cref="LogSegments"/>
    public Count LogSegmentBytes { get; } = new();

    /// <summary>Segments of what cleaning moved, and their bytes.</summary>
    public Count MovedSegments { get; } = new();

    /// <inheritdoc cref="MovedSegments"/>
    public Count MovedSegmentBytes { get; } = new();

    /// <summary>Bytes that cleaning read from the store.</summary>
    public Count CleanedBytes { get; } = new();

    /// <summary>Segments that cleaning emptied.</summary>
    public Count CleanedSegments { get; } = new();

    /// <summary>Segments that could not be cleaned.</summary>
    public Count CleaningFailures { get; } = new();

    /// <summary>A count that only grows. Thread safe.</summary>
    public sealed class Count
    {
        private long _value;

        public long Value => Volatile.Read(ref _value);

        public void Add(long amount = 1) => Interlocked.Add(ref _value, amount);
    }
}

/// <summary>What a volume takes in the bucket, as its writer counts it.</summary>
/// <param name="Segments">Segments, those included that wait to be removed.</param>
/// <param name="UsedBytes">Bytes of the segments that hold live blocks.</param>
/// <param name="DeadBytes">Bytes of the segments that hold none and wait to be removed.</param>
/// <param name="MapBytes">Bytes of the map's blobs.</param>
/// <param name="LiveBytes">Bytes of the volume's blocks that have data, before compression.</param>
public readonly record struct VolumeSpace(long Segments, long UsedBytes, long DeadBytes, long MapBytes, long LiveBytes);

/// <summary>Whether an open volume may acknowledge.</summary>
public enum LeaseState
{
    /// <summary>There is no lease: the operator vouches that no other gateway opens the volume.</summary>
    None,

    /// <summary>It may.</summary>
    Valid,

    /// <summary>Not now: the store has not said for long that nobody else claimed the volume.</summary>
    Expired,

    /// <summary>Never again: another gateway has claimed it, or it was closed.</summary>
    Revoked,
}
