namespace Gateway.Simulation.Disk;

/// <summary>How the simulated local disks behave in one seed. Rates are probabilities per operation.</summary>
internal sealed record DiskPlan
{
    /// <summary>Share of writes and reads that the page cache takes at once.</summary>
    public double CachedShare { get; init; } = 0.7;

    public TimeSpan AccessMax { get; init; } = TimeSpan.FromMilliseconds(1);

    public TimeSpan FlushMax { get; init; } = TimeSpan.FromMilliseconds(4);

    /// <summary>An operation takes up to <see cref="SlowMax"/>.</summary>
    public double SlowRate { get; init; }

    public TimeSpan SlowMax { get; init; } = TimeSpan.FromMilliseconds(800);

    /// <summary>Input/output errors: a write or flush then did part of its work.</summary>
    public double WriteErrorRate { get; init; }

    public double ReadErrorRate { get; init; }

    public double FlushErrorRate { get; init; }

    /// <summary>Making a file finds no room.</summary>
    public double NoSpaceRate { get; init; }

    /// <summary>Flushes succeed and do nothing.</summary>
    public bool Lies { get; init; }
}
