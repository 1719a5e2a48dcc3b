namespace Gateway.Tcmu.Tests.Devices;

/// <summary>A clock on which every timer is due at once: the time passes, nobody waits.</summary>
internal sealed class StepTime : TimeProvider
{
    private long _ticks;

    /// <summary>Called at each wait, with the time waited so far.</summary>
    public Action<TimeSpan>? OnWait { get; set; }

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => Volatile.Read(ref _ticks);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var now = Interlocked.Add(ref _ticks, dueTime.Ticks);
        OnWait?.Invoke(new TimeSpan(now));
        return System.CreateTimer(callback, state, TimeSpan.Zero, Timeout.InfiniteTimeSpan);
    }
}
