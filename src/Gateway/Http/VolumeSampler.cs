using Gateway.Serving;
using Gateway.Tcmu;

namespace Gateway.Http;

/// <summary>What one device, or all of them together, did in one period. What there was none of is NaN.</summary>
internal sealed class Activity
{
    private readonly long[] _readLatencies = new long[LatencyBuckets.Count];
    private readonly long[] _writeLatencies = new long[LatencyBuckets.Count];
    private long _reads;
    private long _writes;
    private long _readBytes;
    private long _writtenBytes;
    private long _errors;
    private long _atOnce;
    private long _fetched;
    private long _dirtyBytes;
    private long _journalBytes;
    private int _inFlight;

    public void AddReads(CommandCounts before, CommandCounts now) => Add(before, now, _readLatencies, ref _reads, ref _readBytes);

    public void AddWrites(CommandCounts before, CommandCounts now) => Add(before, now, _writeLatencies, ref _writes, ref _writtenBytes);

    public void AddInFlight(int commands) => _inFlight += commands;

    public void AddBlocks(long atOnce, long fetched) => (_atOnce, _fetched) = (_atOnce + atOnce, _fetched + fetched);

    public void AddJournal(long dirtyBytes, long capacityBytes) => (_dirtyBytes, _journalBytes) = (_dirtyBytes + dirtyBytes, _journalBytes + capacityBytes);

    /// <summary>Takes in what another device did.</summary>
    public void Add(Activity other)
    {
        for (var i = 0; i < LatencyBuckets.Count; i++)
        {
            _readLatencies[i] += other._readLatencies[i];
            _writeLatencies[i] += other._writeLatencies[i];
        }

        (_reads, _writes, _readBytes, _writtenBytes, _errors) = (_reads + other._reads, _writes + other._writes, _readBytes + other._readBytes, _writtenBytes + other._writtenBytes, _errors + other._errors);
        AddBlocks(other._atOnce, other._fetched);
        AddJournal(other._dirtyBytes, other._journalBytes);
        AddInFlight(other._inFlight);
    }

    public Sample ToSample(long sequence, DateTimeOffset at, double seconds) => new(
        sequence, at,
        _reads / seconds, _writes / seconds, _readBytes / seconds, _writtenBytes / seconds,
        Latency(_readLatencies, 0.5), Latency(_readLatencies, 0.99), Latency(_writeLatencies, 0.5), Latency(_writeLatencies, 0.99),
        _errors / seconds, _dirtyBytes, _journalBytes, _atOnce + _fetched == 0 ? double.NaN : _atOnce / (double)(_atOnce + _fetched), _inFlight);

    private static double Latency(long[] counts, double share) => LatencyBuckets.Percentile(counts, share) is > 0 and var nanoseconds ? nanoseconds / 1e9 : double.NaN;

    /// <summary>What was counted between the two; all of it if the counts began anew.</summary>
    private void Add(CommandCounts before, CommandCounts now, long[] latencies, ref long commands, ref long bytes)
    {
        var anew = before.Commands > now.Commands;
        commands += now.Commands - (anew ? 0 : before.Commands);
        bytes += now.Bytes - (anew ? 0 : before.Bytes);
        _errors += now.Errors - (anew ? 0 : before.Errors);
        for (var i = 0; i < latencies.Length; i++) latencies[i] += now.Latencies[i] - (anew ? 0 : before.Latencies[i]);
    }
}

/// <summary>One point of every chart.</summary>
/// <param name="Sequence">Number of the period, one more than that of the sample before.</param>
/// <param name="At">Its end.</param>
/// <param name="ReadsPerSecond">Reads answered.</param>
/// <param name="WritesPerSecond">Writes answered.</param>
/// <param name="ReadBytesPerSecond">Their data.</param>
/// <param name="WrittenBytesPerSecond">Their data.</param>
/// <param name="ReadP50">Seconds in which half of the reads were answered; NaN if there were none.</param>
/// <param name="ReadP99">The same of 99 in 100.</param>
/// <param name="WriteP50">As of reads.</param>
/// <param name="WriteP99">As of reads.</param>
/// <param name="ErrorsPerSecond">Reads and writes that did not end in GOOD.</param>
/// <param name="DirtyBytes">Bytes that are in the journal alone.</param>
/// <param name="JournalBytes">Bytes that journals can hold.</param>
/// <param name="HitRatio">Share of the blocks read that were there at once; NaN if none was read.</param>
/// <param name="InFlight">Commands taken and not answered.</param>
internal readonly record struct Sample(
    long Sequence, DateTimeOffset At, double ReadsPerSecond, double WritesPerSecond, double ReadBytesPerSecond, double WrittenBytesPerSecond,
    double ReadP50, double ReadP99, double WriteP50, double WriteP99, double ErrorsPerSecond, double DirtyBytes, double JournalBytes, double HitRatio, double InFlight);

/// <summary>Turns the counts of one device into what it did since the last look.</summary>
internal sealed class VolumeSampler
{
    private static readonly CommandCounts None = new(0, 0, 0, new long[LatencyBuckets.Count]);

    private CommandCounts? _reads;
    private CommandCounts _writes = None;
    private (long AtOnce, long Fetched) _blocks;

    /// <summary>What was done since the call before; of the first one, nothing: the counts may be of hours.</summary>
    public Activity Look(DeviceSession session)
    {
        var activity = new Activity();
        if (session.Ring is { } ring)
        {
            var (reads, writes) = (ring.Count(CommandKind.Read), ring.Count(CommandKind.Write));
            if (_reads is { } before)
            {
                activity.AddReads(before, reads);
                activity.AddWrites(_writes, writes);
            }

            (_reads, _writes) = (reads, writes);
            activity.AddInFlight(ring.Statistics.InFlight);
        }

        if (session.Target.Volume is { } volume)
        {
            var statistics = volume.Statistics;
            activity.AddBlocks(statistics.BlocksAtOnce - _blocks.AtOnce, statistics.BlocksFetched - _blocks.Fetched);
            _blocks = (statistics.BlocksAtOnce, statistics.BlocksFetched);
            activity.AddJournal(statistics.DirtyBytes, statistics.JournalCapacityBytes);
        }

        return activity;
    }
}
