using System.ComponentModel.DataAnnotations;
using Gateway.Diagnostics;

namespace Gateway.Tcmu;

/// <summary>How a device's ring is served.</summary>
public sealed record RingDeviceOptions
{
    /// <summary>Data of the commands answered in one doorbell write, in bytes, before it is sent. Default 256 KiB.</summary>
    /// <remarks>The kernel copies the reads' data inside that write, under the device's mutex: larger batches delay the first of them.</remarks>
    [Range(4 << 10, 64 << 20)] public int BatchDataMaxBytes { get; set; } = 256 << 10;

    /// <summary>Commands taken or answered before a doorbell write is sent. Default 64.</summary>
    [Range(1, 65_535)] public int BatchCommandsMax { get; set; } = 64;

    /// <summary>How long the thread looks at the ring, spinning, before it sleeps. Default 0: not at all. Costs a core while I/O comes steadily.</summary>
    public TimeSpan BusyPoll { get; set; } = TimeSpan.Zero;

    /// <summary>Which commands are traced. Default null: none, and none takes notes.</summary>
    public DeviceTracing? Tracing { get; set; }
}
