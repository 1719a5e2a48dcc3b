namespace Gateway.Simulation.Model;

/// <summary>What became of a write.</summary>
internal enum WriteState : byte
{
    /// <summary>Not answered: it may take effect at any time, or never.</summary>
    Open,

    /// <summary>Answered GOOD.</summary>
    Done,

    /// <summary>Ended in an error, or its gateway died: it may have taken effect in its place in the history, whole, or not.</summary>
    Failed,

    /// <summary>Answered TASK ABORTED: it never takes effect.</summary>
    Aborted,
}

/// <summary>A write, or a zeroing: one place in a volume's history.</summary>
internal sealed class Write(int tag, ulong lba, int blocks, ContentKind kind)
{
    /// <summary>Unique in the seed; what its blocks hold, 0 for zeroes, follows from it.</summary>
    public int Tag { get; } = kind == ContentKind.Zero ? 0 : tag;

    public int Id { get; } = tag;

    public ulong Lba { get; } = lba;

    public int Blocks { get; } = blocks;

    public ContentKind Kind { get; } = kind;

    public WriteState State { get; set; }

    /// <summary>Its place in its history, from 1 on.</summary>
    public int Position { get; set; }

    /// <summary>The world's step at which it was answered GOOD.</summary>
    public long DoneAt { get; set; } = long.MaxValue;

    public bool Covers(ulong block) => block >= Lba && block < Lba + (ulong)Blocks;

    public override string ToString() => $"write {Id} of LBA {Lba}+{Blocks} ({Kind}, {State}, place {Position})";
}
