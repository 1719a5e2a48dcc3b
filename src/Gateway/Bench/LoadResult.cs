namespace Gateway.Bench;

/// <summary>What a load measured, from the end of its ramp to its last submission.</summary>
internal sealed class LoadResult
{
    public LatencyHistogram Reads { get; } = new();

    public LatencyHistogram Writes { get; } = new();

    /// <summary>SYNCHRONIZE CACHE.</summary>
    public LatencyHistogram Syncs { get; } = new();

    /// <summary>Those of <see cref="LoadBeside.FarReads"/>, which count nowhere else.</summary>
    public LatencyHistogram FarReads { get; } = new();

    public TimeSpan Elapsed { get; set; }

    public ResourceUse Use { get; set; }

    /// <summary>Commands that ended in NOT READY and were sent again, as an initiator does: back-pressure.</summary>
    public long Retries { get; set; }

    /// <summary>Ended before its time, by Ctrl-C.</summary>
    public bool Interrupted { get; set; }

    /// <summary>Reads and writes, without syncs.</summary>
    public long Transfers => Reads.Count + Writes.Count;

    public long Commands => Transfers + Syncs.Count;

    public double TransfersPerSecond => Transfers / Elapsed.TotalSeconds;
}
