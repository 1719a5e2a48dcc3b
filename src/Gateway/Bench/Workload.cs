namespace Gateway.Bench;

/// <summary>Which commands a load sends, and in what order of addresses.</summary>
internal enum AccessPattern
{
    Read,
    Write,
    RandRead,
    RandWrite,

    /// <summary>Reads and writes at random addresses, one as likely as the other.</summary>
    RandRw,
}

/// <summary>What runs beside the reads of a load, in shares of all its commands from 0 to 1.</summary>
/// <param name="Writes">Writes at random addresses of the <see cref="Workload.SpanBytes"/> after those that are read.</param>
/// <param name="FarReads">Reads at random addresses of all the rest of the device: what no cache holds. They are not among the reads measured.</param>
internal readonly record struct LoadBeside(double Writes, double FarReads);

/// <summary>What a load does: the usual parameters of fio.</summary>
internal sealed record Workload
{
    public const int BlockMaxBytes = 8 << 20;
    public const int DepthMax = 4096;

    /// <summary>Most bytes of all commands in flight together: they lie in the simulated data area.</summary>
    private const long InFlightMaxBytes = 1L << 30;

    public AccessPattern Pattern { get; init; }

    /// <summary>Data of one command, in bytes: a multiple of the logical block. Default 4 KiB.</summary>
    public int BlockBytes { get; init; } = 4096;

    /// <summary>Commands in flight. Each is followed by the next one of its lane when it is done. Default 1.</summary>
    public int Depth { get; init; } = 1;

    /// <summary>How long to measure. Default 5 s.</summary>
    public TimeSpan Runtime { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long the load runs before anything is measured. Default 1 s.</summary>
    public TimeSpan Ramp { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Reads and writes before anything is measured, within <see cref="Ramp"/>; 0, the default: as many as that time allows.</summary>
    public long RampNumber { get; init; }

    /// <summary>Reads and writes to measure at most; 0, the default: as many as the time allows.</summary>
    public long NumberMax { get; init; }

    /// <summary>Reads and writes each second at most; 0, the default: as many as there can be.</summary>
    public long RateMax { get; init; }

    /// <summary>The addresses used, from 0 on, in bytes; the whole device if it is 0, the default, or more than the device has.</summary>
    public long SpanBytes { get; init; }

    /// <summary>For a load of random reads; null, the default: nothing else happens.</summary>
    public LoadBeside? Beside { get; init; }

    /// <summary>A SYNCHRONIZE CACHE after every so many writes of a lane, waited for like a command; 0, the default, for none.</summary>
    public int FsyncEvery { get; init; }

    /// <summary>Writes force unit access.</summary>
    public bool Fua { get; init; }

    /// <summary>Decides addresses, data, and the mix.</summary>
    public ulong Seed { get; init; } = 1;

    public bool Writes => Beside is { Writes: > 0 } || Pattern is AccessPattern.Write or AccessPattern.RandWrite or AccessPattern.RandRw;

    public bool Reads => Pattern is not (AccessPattern.Write or AccessPattern.RandWrite);

    public bool IsRandom => Pattern is AccessPattern.RandRead or AccessPattern.RandWrite or AccessPattern.RandRw;

    /// <summary>What is wrong with it for a device of that shape, in words that say what to do; null if nothing.</summary>
    public string? Fault(int logicalBlockBytes, long capacityBytes)
    {
        if (BlockBytes < logicalBlockBytes || BlockBytes > BlockMaxBytes || BlockBytes % logicalBlockBytes != 0)
            return $"--bs must be a multiple of the logical block, {logicalBlockBytes} bytes, and at most 8 MiB.";
        if (Depth is < 1 or > DepthMax) return $"--iodepth must be between 1 and {DepthMax}.";
        if ((long)Depth * BlockBytes > InFlightMaxBytes) return "--bs times --iodepth must not pass 1 GiB.";
        if (Runtime <= TimeSpan.Zero || Ramp < TimeSpan.Zero) return "--runtime must be more than 0 seconds, and --ramp not less.";
        if (NumberMax < 0 || FsyncEvery < 0 || RateMax < 0) return "--number, --fsync and --rate must not be negative.";
        if ((FsyncEvery > 0 || Fua) && !Writes) return "--fsync and --fua are for loads that write: use --rw write, randwrite or randrw.";
        return Math.Min(SpanBytes == 0 ? long.MaxValue : SpanBytes, capacityBytes) < BlockBytes ? "--size must be at least --bs." : null;
    }
}
