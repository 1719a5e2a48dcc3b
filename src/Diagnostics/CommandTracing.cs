using System.Diagnostics;
using System.Threading.Channels;

namespace Gateway.Diagnostics;

/// <summary>A command whose trace is to be kept.</summary>
/// <param name="Root">Its span, if it was sampled when it came; else one is made of the times.</param>
/// <param name="Volume">STORE/VOLUME.</param>
/// <param name="OperationCode">First byte of its CDB.</param>
/// <param name="Outcome">Null if it ended in GOOD; else what the initiator was told.</param>
/// <param name="TakenAt">When it was taken off the ring.</param>
/// <param name="EndedAt">When it was answered.</param>
/// <param name="Marks">What it waited for.</param>
public sealed record EndedCommand(Activity? Root, string Volume, byte OperationCode, string? Outcome, long TakenAt, long EndedAt, TraceMark[] Marks);

/// <summary>
/// Decides which commands are traced: each one with a small chance, when it comes; and all that took long, when they have ended. Thread safe.
/// </summary>
/// <remarks>
/// A sampled command has its span from the start, and what it asks of a store is in its context. A slow one is only known afterwards: its spans are made of what it noted.
/// Bounds: <see cref="SampledPerSecondMax"/> of the sampled ones, whatever the ratio; <see cref="SlowPerSecondMax"/> of the slow ones; <see cref="QueueMax"/> wait for their spans to be made; slow ones and those that find no room are counted as dropped.
/// </remarks>
public sealed class CommandTracing
{
    /// <summary>Slow commands that are kept in a second: in an outage all are slow.</summary>
    public const int SlowPerSecondMax = 50;

    /// <summary>Commands that are sampled in a second: a span costs as much as twenty commands that memory serves.</summary>
    public const int SampledPerSecondMax = 100;

    /// <summary>Commands whose spans are still to be made.</summary>
    public const int QueueMax = 1024;

    /// <summary>The name of the gateway's activity source.</summary>
    public const string SourceName = "Gateway";

    /// <summary>Where all spans of the gateway come from. Without a listener none are made.</summary>
    public static readonly ActivitySource Source = new(SourceName);

    private readonly Channel<EndedCommand> _ended = Channel.CreateBounded<EndedCommand>(new BoundedChannelOptions(QueueMax) { SingleReader = true });
    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private long _windowAt;
    private int _slowInWindow;
    private int _sampledInWindow;
    private long _dropped;

    /// <param name="ratio">Share of the commands that are sampled when they come, 0 to 1.</param>
    /// <param name="slow">How long a command takes to be kept in any case.</param>
    /// <param name="time">The gateway's clock.</param>
    public CommandTracing(double ratio, TimeSpan slow, TimeProvider time)
    {
        (Ratio, _time) = (ratio, time);
        SlowTimestamps = (long)(slow.TotalSeconds * time.TimestampFrequency);
        _windowAt = time.GetTimestamp();
    }

    public double Ratio { get; }

    /// <summary>How long a slow command takes, in timestamps of the clock.</summary>
    public long SlowTimestamps { get; }

    /// <summary>Slow commands that were not kept, since there were too many.</summary>
    public long Dropped => Volatile.Read(ref _dropped);

    /// <summary>Commands whose spans are to be made.</summary>
    public ChannelReader<EndedCommand> Ended => _ended.Reader;

    /// <summary>True if another command may be sampled in this second.</summary>
    internal bool MaySample()
    {
        lock (_gate)
        {
            BeginWindow();
            return _sampledInWindow++ < SampledPerSecondMax;
        }
    }

    /// <summary>Keeps an ended command, unless there are too many.</summary>
    internal void Keep(EndedCommand command)
    {
        if ((command.Root is not null || MayKeepSlow()) && _ended.Writer.TryWrite(command)) return;
        Interlocked.Increment(ref _dropped);
    }

    private bool MayKeepSlow()
    {
        lock (_gate)
        {
            BeginWindow();
            return _slowInWindow++ < SlowPerSecondMax;
        }
    }

    private void BeginWindow()
    {
        var now = _time.GetTimestamp();
        if (_time.GetElapsedTime(_windowAt, now) >= TimeSpan.FromSeconds(1)) (_windowAt, _slowInWindow, _sampledInWindow) = (now, 0, 0);
    }
}

/// <summary>The tracing of one device's commands. Of the device's thread alone.</summary>
/// <param name="tracing">The gateway's.</param>
/// <param name="volume">STORE/VOLUME.</param>
/// <param name="random">Chooses the sampled commands.</param>
public sealed class DeviceTracing(CommandTracing tracing, string volume, Random random)
{
    private int _left = NextGap(tracing.Ratio, random);

    /// <summary>Begins a command's trace, and has this thread's notes go there.</summary>
    public void Begin(CommandTrace trace)
    {
        trace.Begin(--_left > 0 ? null : Sample());
        CommandTrace.Current = trace;
    }

    /// <summary>The thread starts no command any more.</summary>
    public static void EndOfPass() => CommandTrace.Current = null;

    /// <summary>True if the trace of a command that took so long is to be kept.</summary>
    public bool IsKept(CommandTrace trace, long tookTimestamps) => trace.Root is not null || tookTimestamps >= tracing.SlowTimestamps;

    /// <summary>Keeps the trace of a command that has ended.</summary>
    public void End(CommandTrace trace, byte operationCode, string? outcome, long takenAt, long endedAt)
    {
        tracing.Keep(new EndedCommand(trace.Root, volume, operationCode, outcome, takenAt, endedAt, trace.ToMarks()));
        trace.Begin(null); // Late notes, and late looks for its span, find nothing.
    }

    /// <summary>Commands up to the next sampled one: spread, so that a load with a period is met everywhere. On average as many as the ratio says.</summary>
    private static int NextGap(double ratio, Random random) => ratio switch
    {
        <= 0 => int.MaxValue,
        >= 1 => 1,
        _ => 1 + (int)Math.Min(Math.Log(1 - random.NextDouble()) / Math.Log(1 - ratio), int.MaxValue - 2),
    };

    private Activity? Sample()
    {
        _left = NextGap(tracing.Ratio, random);
        if (tracing.Ratio <= 0 || !tracing.MaySample()) return null;
        var root = CommandTracing.Source.StartActivity("scsi command", ActivityKind.Server, default(ActivityContext));
        Activity.Current = null; // What belongs to it is told so; the thread's other commands do not.
        return root;
    }
}
