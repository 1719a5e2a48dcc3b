using System.Diagnostics;

namespace Gateway.Diagnostics;

/// <summary>What a command may have waited for on its way.</summary>
public enum TraceStage
{
    /// <summary>Held back, since the journal fills faster than the store takes segments.</summary>
    BackPressure,

    /// <summary>The write of its batch to the journal.</summary>
    JournalAppend,

    /// <summary>For what makes it durable: an fdatasync, or its segment's arrival in the bucket.</summary>
    FlushWait,

    /// <summary>For data that memory did not have.</summary>
    CacheMiss,

    /// <summary>One range of the cache file or the store, which others may have waited for, too.</summary>
    Fetch,
}

/// <summary>One stage of one command, in the timestamps of the gateway's clock.</summary>
public readonly record struct TraceMark(TraceStage Stage, long From, long To);

/// <summary>
/// What one command noted on its way, so that spans can be made of it afterwards: only then is it known that it was slow. One for each command object
/// of a ring, used again; noting allocates nothing.
/// </summary>
/// <remarks>
/// The ring's thread puts it in <see cref="Current"/> while it starts the command. Whoever makes the command wait takes a <see cref="TraceHandle"/> there and notes by
/// that, on any thread; after the command's end it notes nothing any more.
/// </remarks>
public sealed class CommandTrace
{
    /// <summary>Stages that are kept of one command; further ones are not.</summary>
    public const int MarksMax = 16;

    [ThreadStatic]
    private static CommandTrace? _current;

    private readonly TraceMark[] _marks = new TraceMark[MarksMax];
    private int _count;
    private int _life;

    /// <summary>Of the command that this thread is starting; null: none, or nothing is traced.</summary>
    public static CommandTrace? Current
    {
        get => _current;
        set => _current = value;
    }

    /// <summary>The span of a command that was sampled when it came; null for all others.</summary>
    public Activity? Root { get; private set; }

    /// <summary>Which of the commands that this object has served it is.</summary>
    internal int Life => Volatile.Read(ref _life);

    /// <summary>Forgets the last command: a new one has come.</summary>
    public void Begin(Activity? root)
    {
        Volatile.Write(ref _life, _life + 1);
        _count = 0;
        Root = root;
    }

    /// <summary>What was noted. To be called once the command has ended.</summary>
    public TraceMark[] ToMarks() => _marks.AsSpan(0, Math.Min(Volatile.Read(ref _count), MarksMax)).ToArray();

    internal void Add(TraceMark mark)
    {
        var index = Interlocked.Increment(ref _count) - 1;
        if (index < MarksMax) _marks[index] = mark;
    }
}

/// <summary>One command's part of a <see cref="CommandTrace"/>. The default notes nothing.</summary>
public readonly struct TraceHandle
{
    private readonly CommandTrace? _trace;
    private readonly int _life;

    private TraceHandle(CommandTrace trace) => (_trace, _life) = (trace, trace.Life);

    /// <summary>That of the command that this thread is starting.</summary>
    public static TraceHandle Current => CommandTrace.Current is { } trace ? new TraceHandle(trace) : default;

    /// <summary>True if notes are taken.</summary>
    public bool IsNoted => _trace is not null;

    /// <summary>The span of a sampled command, while it is on its way; else null.</summary>
    public Activity? Root => _trace is { } trace && trace.Life == _life ? trace.Root : null;

    /// <summary>Notes a stage.</summary>
    public void Mark(TraceStage stage, long from, long to)
    {
        if (_trace is { } trace && trace.Life == _life) trace.Add(new TraceMark(stage, from, to));
    }
}
