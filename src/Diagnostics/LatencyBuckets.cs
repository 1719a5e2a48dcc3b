using System.Numerics;

namespace Gateway.Diagnostics;

/// <summary>Buckets of times, four for each doubling: a time is known to a fifth or better.</summary>
public static class LatencyBuckets
{
    private const int SubBits = 2;

    /// <summary>The first covers up to 1,024 ns, the last everything from about 2,300 s on.</summary>
    public const int Count = 128;

    private const int FirstBits = 10;

    /// <summary>The bucket of a time in nanoseconds.</summary>
    public static int Of(long nanoseconds)
    {
        if (nanoseconds < 1 << FirstBits) return 0;
        var bits = BitOperations.Log2((ulong)nanoseconds);
        var sub = (int)(nanoseconds >> (bits - SubBits)) & ((1 << SubBits) - 1);
        return Math.Min(Count - 1, ((bits - FirstBits) << SubBits) + sub + 1);
    }

    /// <summary>The upper end of a bucket in nanoseconds.</summary>
    public static long UpperNanoseconds(int bucket)
    {
        if (bucket == 0) return 1 << FirstBits;
        var (bits, sub) = (((bucket - 1) >> SubBits) + FirstBits, (bucket - 1) & ((1 << SubBits) - 1));
        return (1L << bits) + ((sub + 1L) << (bits - SubBits));
    }

    /// <summary>The time within which a share of the commands was answered, in nanoseconds; 0 if there were none.</summary>
    /// <param name="counts">Commands for each bucket, the difference of two readings, say.</param>
    /// <param name="share">0.5 for the median.</param>
    public static long Percentile(ReadOnlySpan<long> counts, double share)
    {
        long total = 0;
        foreach (var count in counts) total += count;
        if (total == 0) return 0;
        var wanted = (long)Math.Ceiling(total * share);
        for (var i = 0; i < counts.Length; i++)
        {
            wanted -= counts[i];
            if (wanted <= 0) return UpperNanoseconds(i);
        }

        return UpperNanoseconds(Count - 1);
    }

    /// <summary>A time that stands for those of a bucket, in nanoseconds: its middle.</summary>
    public static long MiddleNanoseconds(int bucket) => bucket == 0 ? UpperNanoseconds(0) / 2 : (UpperNanoseconds(bucket - 1) + UpperNanoseconds(bucket)) / 2;
}
