using Gateway.Scsi;

namespace Gateway.Tcmu.Simulation;

/// <summary>Which way a command's data go.</summary>
internal enum DataDirection
{
    None,

    /// <summary>Data-Out: the initiator sends.</summary>
    ToDevice,

    /// <summary>Data-In: the initiator receives.</summary>
    FromDevice,
}

/// <summary>A command that the simulated kernel waits for, and, in <see cref="ICompletionSink"/>, how it ended. Reused afterwards.</summary>
internal sealed class SimulatedCommand
{
    private readonly byte[] _sense = new byte[96];

    /// <summary>Its id on the ring.</summary>
    public ushort CmdId { get; internal set; }

    /// <summary>What the submitter passed along.</summary>
    public long Tag { get; internal set; }

    public DataDirection Direction { get; internal set; }

    /// <summary>Its buffer in the data area, in the simulator's own mapping.</summary>
    public ScatterList Data { get; } = new();

    /// <summary>Status the initiator sees.</summary>
    public ScsiStatus Status { get; internal set; }

    /// <summary>Bytes delivered to the initiator of a command that reads.</summary>
    public int DataInLengthBytes { get; internal set; }

    /// <summary>All 96 bytes of sense data; meaningful with CHECK CONDITION.</summary>
    public Span<byte> Sense => _sense;

    /// <summary>Blocks of the data area that it owns, as many as it has parts.</summary>
    internal List<BlockPart> Parts { get; } = [];
}

/// <summary>The part of a block that a command owns.</summary>
internal readonly record struct BlockPart(int Block, int Offset, int LengthBytes);

/// <summary>Told of each command as it completes, on the thread that reaps.</summary>
internal interface ICompletionSink
{
    /// <summary>The command, its data included, is valid during the call only.</summary>
    void OnCompleted(SimulatedCommand command);
}
