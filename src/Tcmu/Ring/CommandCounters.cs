using System.Numerics;
using Gateway.Scsi;

namespace Gateway.Tcmu;

/// <summary>What commands are counted as.</summary>
public enum CommandKind
{
    /// <summary>READ (6, 10, 12, 16).</summary>
    Read,

    /// <summary>WRITE (6, 10, 12, 16) and WRITE AND VERIFY.</summary>
    Write,

    /// <summary>SYNCHRONIZE CACHE.</summary>
    Flush,

    /// <summary>All others.</summary>
    Other,
}

/// <summary>What one kind of commands has done since the device was started.</summary>
/// <param name="Commands">Commands answered.</param>
/// <param name="Bytes">Bytes of their data.</param>
/// <param name="Errors">Those of them that did not end in GOOD.</param>
/// <param name="Latencies">From when they were taken off the ring to their answer: a count for each bucket of <see cref="LatencyBuckets"/>.</param>
public sealed record CommandCounts(long Commands, long Bytes, long Errors, IReadOnlyList<long> Latencies);

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
}

/// <summary>Counts of one device, written by its thread alone, read by any.</summary>
internal sealed class CommandCounters
{
    private readonly Counter[] _kinds = [new(), new(), new(), new()];

    /// <summary>True if commands were answered in the pass that took them: their time is known when it ends.</summary>
    public bool HasPass { get; private set; }

    public static CommandKind KindOf(byte operationCode) => operationCode switch
    {
        0x08 or 0x28 or 0xA8 or 0x88 => CommandKind.Read,
        0x0A or 0x2A or 0xAA or 0x8A or 0x2E or 0xAE or 0x8E => CommandKind.Write,
        0x35 or 0x91 => CommandKind.Flush,
        _ => CommandKind.Other,
    };

    public void Add(ScsiCommand command, long nanoseconds) => Count(command).AddLatency(nanoseconds, 1);

    public void AddOfPass(ScsiCommand command)
    {
        HasPass = true;
        Count(command).OfPass++;
    }

    public void EndPass(long nanoseconds)
    {
        HasPass = false;
        foreach (var counter in _kinds)
        {
            if (counter.OfPass > 0) counter.AddLatency(nanoseconds, counter.OfPass);
            counter.OfPass = 0;
        }
    }

    private Counter Count(ScsiCommand command)
    {
        var counter = _kinds[(int)KindOf(command.Cdb[0])];
        Volatile.Write(ref counter.Commands, counter.Commands + 1);
        Volatile.Write(ref counter.Bytes, counter.Bytes + (command.DataInLengthBytes ?? command.Data.LengthBytes));
        if (command.Status != ScsiStatus.Good) Volatile.Write(ref counter.Errors, counter.Errors + 1);
        return counter;
    }

    public CommandCounts Read(CommandKind kind)
    {
        var counter = _kinds[(int)kind];
        return new CommandCounts(Volatile.Read(ref counter.Commands), Volatile.Read(ref counter.Bytes), Volatile.Read(ref counter.Errors), (long[])counter.Latencies.Clone());
    }

    private sealed class Counter
    {
        public readonly long[] Latencies = new long[LatencyBuckets.Count];
        public long Commands;
        public long Bytes;
        public long Errors;
        public int OfPass;

        public void AddLatency(long nanoseconds, int commands)
        {
            ref var count = ref Latencies[LatencyBuckets.Of(nanoseconds)];
            Volatile.Write(ref count, count + commands);
        }
    }
}
