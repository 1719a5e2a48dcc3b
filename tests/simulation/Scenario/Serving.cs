using Gateway.Simulation.Disk;
using Gateway.Simulation.Model;
using Gateway.Simulation.Scheduling;
using Gateway.Volumes;

namespace Gateway.Simulation.Scenario;

/// <summary>A volume that a gateway process has opened, and what the model knows of it.</summary>
internal sealed class Serving(SimulatedHost host, SimulatedProcess process, Volume volume, EngineLog log, Serving? parent)
{
    public SimulatedHost Host { get; } = host;

    public SimulatedProcess Process { get; } = process;

    public Volume Volume { get; } = volume;

    /// <summary>The volume as initiators reach it; null before the first command.</summary>
    public ScsiPath? Path { get; set; }

    public long Epoch { get; } = volume.Epoch;

    /// <summary>Whose history this one goes on from: that of the gateway which served before it, by epoch.</summary>
    public Serving? Parent { get; } = parent;

    /// <summary>Its history; null until all of the volume has been read and explained.</summary>
    public History? History { get; set; }

    /// <summary>How many writes of its parent's history it found.</summary>
    public int Place { get; set; }

    /// <summary>The host's counts when it opened: what happened to the host since tells what must be left of the journal.</summary>
    public HostCounts Counts { get; } = HostCounts.Of(host);

    public EngineLog Log { get; } = log;

    /// <summary>Initiators stop.</summary>
    public bool IsEnding { get; set; }

    public List<Task> Clients { get; } = [];
}

/// <summary>What has happened to a host so far.</summary>
internal readonly record struct HostCounts(int PowerCuts, int JournalsLost, int Doubts)
{
    public static HostCounts Of(SimulatedHost host) => new(host.PowerCuts, host.JournalsLost, host.Doubts);
}
