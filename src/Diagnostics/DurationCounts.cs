namespace Gateway.Diagnostics;

/// <summary>How often something took how long, in the buckets of <see cref="LatencyBuckets"/>. Thread safe; counting allocates nothing and takes no lock.</summary>
/// <remarks>For what is measured where a histogram of a metrics library would be too dear: it is read when metrics are collected.</remarks>
public sealed class DurationCounts
{
    private readonly long[] _counts = new long[LatencyBuckets.Count];

    /// <summary>Counts one duration.</summary>
    public void Add(TimeSpan duration) => Add(duration.Ticks * TimeSpan.NanosecondsPerTick);

    /// <summary>Counts one duration, in nanoseconds.</summary>
    public void Add(long nanoseconds) => Interlocked.Increment(ref _counts[LatencyBuckets.Of(nanoseconds)]);

    /// <summary>What was counted so far: a count for each bucket, each read on its own.</summary>
    public long[] ToArray()
    {
        var counts = new long[_counts.Length];
        for (var i = 0; i < counts.Length; i++) counts[i] = Volatile.Read(ref _counts[i]);
        return counts;
    }
}
