namespace Gateway.Tcmu.Simulation;

/// <summary>The shape of a simulated ring.</summary>
internal sealed record RingSimulatorOptions
{
    /// <summary>Length of the command ring in bytes: a multiple of 8, as the kernel's not a power of two. Default 64 KiB - 128.</summary>
    public int RingLengthBytes { get; init; } = (64 << 10) - 128;

    /// <summary>Length of a block of the data area, the unit of allocation, in bytes. The kernel's is 4,096 and up.</summary>
    public int DataBlockBytes { get; init; } = 4096;

    /// <summary>Number of blocks in the data area.</summary>
    public int DataBlocks { get; init; } = 1024;

    /// <summary>What the mailbox says that the kernel can do.</summary>
    public MailboxFlags Flags { get; init; } = MailboxFlags.OutOfOrderCompletion | MailboxFlags.ReadLength | MailboxFlags.TaskManagement;

    /// <summary>How many commands can have an id at a time, 1 to 65,535. The default is the kernel's: all 16 bits but 0.</summary>
    public int CommandIds { get; init; } = ushort.MaxValue;

    /// <summary>Iovecs with odd offsets and lengths inside their blocks. The kernel's start at a block, and only the last is partial.</summary>
    public bool OddIovecs { get; init; }

    /// <summary>The most iovecs of one command, at which a submission is refused as too large. Default 256.</summary>
    public int IovecsMax { get; init; } = 256;

    /// <summary>Where head and tail stand at first, in bytes into the ring; a multiple of 8.</summary>
    public int StartPosition { get; init; }

    /// <summary>Look for everything that a consumer may do wrong, at the cost of touching all data several times. Off, for benchmarks: only what would confuse the simulator itself is found.</summary>
    public bool Strict { get; init; } = true;

    /// <summary>Seed of the choices the simulator makes (odd iovecs).</summary>
    public int Seed { get; init; }
}
