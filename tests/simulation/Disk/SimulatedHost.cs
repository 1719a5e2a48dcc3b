using Gateway.Simulation.Scheduling;

namespace Gateway.Simulation.Disk;

/// <summary>A machine: files that outlive its processes, and one gateway process at a time.</summary>
internal sealed class SimulatedHost(World world, string name, DiskPlan plan, Random random, TimeSpan wallError, double clockRate)
{
    private readonly bool _hasLied = plan.Lies;
    private int _processes;

    public string Name { get; } = name;

    public Dictionary<string, SimulatedFile> Files { get; } = new(StringComparer.Ordinal);

    public DiskPlan Plan { get; set; } = plan;

    public Random Random { get; } = random;

    /// <summary>Error of its wall clock.</summary>
    public TimeSpan WallError { get; } = wallError;

    /// <summary>Seconds that its clock counts in one.</summary>
    public double ClockRate { get; } = clockRate;

    /// <summary>Power cuts so far.</summary>
    public int PowerCuts { get; private set; }

    /// <summary>Journals that were lost or moved away so far.</summary>
    public int JournalsLost { get; private set; }

    /// <summary>Bits flipped, and flushes that were lies and then told by a power cut: what the journal holds is no longer sure.</summary>
    public int Doubts { get; private set; }

    /// <summary>An injected disk error was seen by the present process, or by one before it: it may be offline, and openings may fail.</summary>
    public bool DiskFailed { get; set; }

    public SimulatedProcess? Process { get; private set; }

    public SimulatedProcess Start()
    {
        if (Process is { IsDead: false }) throw new InvalidOperationException("One process at a time.");
        Process = new SimulatedProcess(world, $"{Name}.{++_processes}");
        return Process;
    }

    /// <summary>The process is killed, or ends: what it wrote stays in the page cache.</summary>
    public void Kill()
    {
        world.Record("killed", process: Process);
        Process?.Die();
        if (!DiskFailed) return;
        PowerCuts++; // What was not flushed is gone, as after one.
        foreach (var file in Files.Values) file.Evict();
    }

    public void CutPower()
    {
        world.Record("power cut", process: Process);
        PowerCuts++;
        if (_hasLied) Doubts++;
        Process?.Die();
        foreach (var (name, file) in Files.ToArray())
        {
            file.CutPower(Random);
            if (!file.HasDurableName && Random.Next(2) == 0) Files.Remove(name);
            else file.HasDurableName = true;
        }
    }

    /// <summary>A bit of each file flips.</summary>
    public void Rot()
    {
        foreach (var file in Files.Values)
        {
            file.Rot(Random.NextInt64(file.Current.Length), Random.Next(8));
            if (!file.IsCache) Doubts++;
        }

        world.Record("rot", detail: Name);
    }

    /// <summary>A gateway put a journal aside: no volume goes on from it.</summary>
    public void KeptAside(string name)
    {
        world.Record("journal kept aside", detail: name, process: Process);
        JournalsLost++;
        JournalKeptAside?.Invoke(this);
    }

    /// <summary>Called when a journal was put aside.</summary>
    public Action<SimulatedHost>? JournalKeptAside { get; set; }

    /// <summary>All its files are gone: a new disk, or an operator moved the journal away.</summary>
    public void LoseFiles()
    {
        world.Record("journal lost", detail: Name);
        JournalsLost++;
        Files.Clear();
        DiskFailed = false;
    }
}
