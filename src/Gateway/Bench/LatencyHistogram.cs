using System.Numerics;

namespace Gateway.Bench;

/// <summary>Counts durations in fixed buckets: exact below 64 ns, then 32 buckets for every doubling, so within 3 %. Recording allocates nothing.</summary>
/// <remarks>Durations above <see cref="NanosecondsMax"/>, about 18 minutes, count as that. Not thread safe.</remarks>
internal sealed class LatencyHistogram
{
    /// <summary>The longest duration that is told apart, in nanoseconds.</summary>
    public const long NanosecondsMax = (1L << 40) - 1;

    private const int ExactMax = 64;
    private const int BucketsPerDoubling = 32;
    private readonly long[] _buckets = new long[IndexOf(NanosecondsMax) + 1];

    public long Count { get; private set; }

    /// <summary>Sum of all durations, in nanoseconds.</summary>
    public long SumNanoseconds { get; private set; }

    /// <summary>The longest of all, exactly.</summary>
    public long MaxNanoseconds { get; private set; }

    public double MeanNanoseconds => Count == 0 ? 0 : (double)SumNanoseconds / Count;

    /// <summary>Counts one duration; below 0 counts as 0.</summary>
    public void Record(long nanoseconds)
    {
        nanoseconds = Math.Clamp(nanoseconds, 0, NanosecondsMax);
        _buckets[IndexOf(nanoseconds)]++;
        Count++;
        SumNanoseconds += nanoseconds;
        if (nanoseconds > MaxNanoseconds) MaxNanoseconds = nanoseconds;
    }

    /// <summary>The duration that <paramref name="fraction"/> (0 to 1) of all do not pass, rounded up to its bucket's end; 0 without any.</summary>
    public long Percentile(double fraction)
    {
        var rank = Math.Max(1, (long)Math.Ceiling(fraction * Count));
        long seen = 0;
        for (var i = 0; i < _buckets.Length; i++)
        {
            seen += _buckets[i];
            if (seen >= rank) return Math.Min(LastOf(i), MaxNanoseconds);
        }

        return MaxNanoseconds;
    }

    public void Reset()
    {
        Array.Clear(_buckets);
        (Count, SumNanoseconds, MaxNanoseconds) = (0, 0, 0);
    }

    private static int IndexOf(long nanoseconds)
    {
        if (nanoseconds < ExactMax) return (int)nanoseconds;
        var doubling = BitOperations.Log2((ulong)nanoseconds) - BitOperations.Log2(BucketsPerDoubling);
        return doubling * BucketsPerDoubling + (int)(nanoseconds >> doubling);
    }

    /// <summary>The longest duration of a bucket.</summary>
    private static long LastOf(int index)
    {
        if (index < ExactMax) return index;
        var doubling = index / BucketsPerDoubling - 1;
        return ((long)(index - doubling * BucketsPerDoubling + 1) << doubling) - 1;
    }
}
