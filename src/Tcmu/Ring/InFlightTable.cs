namespace Gateway.Tcmu;

/// <summary>The commands taken and not yet answered, by cmd_id. Not thread safe, but for <see cref="OldestTakenAt"/>.</summary>
/// <remarks>Two levels, as the kernel gives out the lowest free ids: a device that has 128 commands in flight uses one leaf of 2 KiB.</remarks>
internal sealed class InFlightTable
{
    private const int LeafLength = 256;
    private readonly RingCommand?[]?[] _leaves = new RingCommand?[]?[(ushort.MaxValue + 1) / LeafLength];

    public int Count { get; private set; }

    /// <exception cref="RingBrokenException">The id is 0 or in flight already.</exception>
    public void Add(RingCommand command)
    {
        var leaf = _leaves[command.CmdId / LeafLength] ??= new RingCommand?[LeafLength];
        ref var slot = ref leaf[command.CmdId % LeafLength];
        if (command.CmdId == 0) throw new RingBrokenException("A CMD entry has cmd_id 0.");
        if (slot is not null) throw new RingBrokenException($"cmd_id {command.CmdId} came again while in flight.");
        slot = command;
        Count++;
    }

    /// <summary>The command in flight with this id; null if there is none.</summary>
    public RingCommand? Find(ushort cmdId) => _leaves[cmdId / LeafLength]?[cmdId % LeafLength];

    /// <summary>All that are in flight, as they are now.</summary>
    public List<RingCommand> ToList()
    {
        var commands = new List<RingCommand>(Count);
        foreach (var leaf in _leaves)
            foreach (var command in leaf ?? [])
                if (command is not null) commands.Add(command);
        return commands;
    }

    /// <summary>When the oldest of them was taken, by the device's clock; null if none is seen. Any thread: what comes and goes meanwhile is seen or not.</summary>
    /// <remarks>A command's slot is written after its time (a reference is stored with release semantics), so the time is never one of its earlier life alone.</remarks>
    public long? OldestTakenAt()
    {
        long? oldest = null;
        foreach (var leaf in _leaves)
            foreach (var command in leaf ?? [])
                if (command is not null && !(command.TakenAt >= oldest)) oldest = command.TakenAt;
        return oldest;
    }

    public void Remove(RingCommand command)
    {
        _leaves[command.CmdId / LeafLength]![command.CmdId % LeafLength] = null;
        Count--;
    }
}
