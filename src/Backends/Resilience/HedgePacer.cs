namespace Gateway.Backends.Resilience;

/// <summary>
/// When a read is worth a second request: after the time that the given share of the last reads of its size took. And whether there is credit for it:
/// hedges are <see cref="CostMax"/> of all reads at most, so that a store that becomes slow is not asked for twice the work. Thread safe.
/// </summary>
internal sealed class HedgePacer
{
    /// <summary>Reads that are remembered, of each size.</summary>
    internal const int WindowReads = 512;

    /// <summary>Reads of a size below which nothing is known of it.</summary>
    internal const int ReadsMin = 64;

    /// <summary>Hedges for each read, in the long run.</summary>
    internal const double CostMax = 0.1;

    /// <summary>Hedges that may follow each other.</summary>
    private const double CreditMax = 8;

    // The time is looked up anew after so many reads: it moves slowly, and sorting costs.
    private const int ReadsPerLook = 32;

    private static readonly int[] SizeLimitsBytes = [64 << 10, 1 << 20, int.MaxValue];

    private readonly double _share;
    private readonly TimeSpan _delayMin;
    private readonly Lock _lock = new();
    private readonly Window[] _windows = [.. SizeLimitsBytes.Select(_ => new Window())];
    private double _credit = CreditMax;

    /// <param name="percentile">Share of the reads that are answered before a second request is worth it, in percent, more than 0 and less than 100.</param>
    /// <param name="delayMin">The least wait, however fast the store is.</param>
    public HedgePacer(double percentile, TimeSpan delayMin) => (_share, _delayMin) = (percentile / 100, delayMin);

    private sealed class Window
    {
        public readonly TimeSpan[] Times = new TimeSpan[WindowReads];
        public long Reads;
        public TimeSpan Delay = Timeout.InfiniteTimeSpan;
    }

    /// <summary>Which of the sizes a read has; those of a size are compared.</summary>
    public static int SizeClassOf(int lengthBytes) => Array.FindIndex(SizeLimitsBytes, limit => lengthBytes <= limit);

    /// <summary>Number of <see cref="SizeClassOf"/>'s answers.</summary>
    public static int SizeClasses => SizeLimitsBytes.Length;

    /// <summary>How long to wait for the first answer; infinite while too little is known.</summary>
    public TimeSpan Delay(int sizeClass)
    {
        lock (_lock) return _windows[sizeClass].Delay;
    }

    /// <summary>A request was answered after this time, or given up then because the other one was faster.</summary>
    public void Took(int sizeClass, TimeSpan time)
    {
        lock (_lock)
        {
            var window = _windows[sizeClass];
            window.Times[window.Reads++ % WindowReads] = time;
            _credit = Math.Min(_credit + CostMax, CreditMax);
            if (window.Reads < ReadsMin || window.Reads % ReadsPerLook != 0) return;
            var sorted = window.Times.AsSpan(0, (int)Math.Min(window.Reads, WindowReads)).ToArray();
            Array.Sort(sorted);
            var delay = sorted[Math.Min((int)(sorted.Length * _share), sorted.Length - 1)];
            window.Delay = delay > _delayMin ? delay : _delayMin;
        }
    }

    /// <summary>True if a second request may be sent; it is then counted.</summary>
    public bool TrySpend()
    {
        lock (_lock)
        {
            if (_credit < 1) return false;
            _credit--;
            return true;
        }
    }
}
