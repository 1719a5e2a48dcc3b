using Gateway.Diagnostics;
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

/// <summary>Counts of one device, written by its thread alone, read by any.</summary>
internal sealed class CommandCounters
{
    /// <summary>Kinds of sense data that are told apart; the table of SPC-5 has fewer that we use.</summary>
    private const int SensesMax = 64;

    private readonly Counter[] _kinds = [new(), new(), new(), new()];
    private readonly long[] _waits = new long[LatencyBuckets.Count];
    private readonly Dictionary<SenseData, long> _senses = []; // Locked: an error is no hot path.

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
        if (command.Status != ScsiStatus.Good) AddError(counter, command);
        return counter;
    }

    private void AddError(Counter counter, ScsiCommand command)
    {
        Volatile.Write(ref counter.Errors, counter.Errors + 1);
        if (command.Status != ScsiStatus.CheckCondition) return;
        var sense = new SenseData(command.Sense.Key, command.Sense.Asc, command.Sense.Ascq);
        lock (_senses)
        {
            if (_senses.Count < SensesMax || _senses.ContainsKey(sense)) _senses[sense] = _senses.GetValueOrDefault(sense) + 1;
        }
    }

    /// <summary>Commands that were taken in one pass had been on the ring for so long, at most.</summary>
    public void AddWaits(long nanoseconds, long commands)
    {
        ref var count = ref _waits[LatencyBuckets.Of(nanoseconds)];
        Volatile.Write(ref count, count + commands);
    }

    public long[] ReadWaits() => (long[])_waits.Clone();

    public (SenseData Sense, long Commands)[] ReadSenses()
    {
        lock (_senses) return [.. _senses.Select(s => (s.Key, s.Value))];
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
