using Gateway.Volumes.Interop;

namespace Gateway.Volumes.Leases;

/// <summary>
/// The clock of the volume engine: timestamps go on while the machine is suspended, so that a writer that sleeps through its lease knows it
/// when it wakes. Wall time and timers are the system's; a timer may fire late by the time of a suspension.
/// </summary>
public sealed class BootTimeProvider : TimeProvider
{
    public static readonly BootTimeProvider Instance = new();

    /// <summary>Nanoseconds.</summary>
    public override long TimestampFrequency => 1_000_000_000;

    public override long GetTimestamp() => BootClock.Nanoseconds();
}
