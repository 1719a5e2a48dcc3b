namespace Gateway.Simulation.Scheduling;

/// <summary>The clock of one process: time since the start goes on while it is suspended, as CLOCK_BOOTTIME does, and runs at the host's own rate; wall time is off by the host's error.</summary>
internal sealed class VirtualTime(World world, SimulatedProcess process, TimeSpan wallError, double rate = 1) : TimeProvider
{
    private static readonly DateTimeOffset Start = new(2030, 1, 1, 0, 0, 0, TimeSpan.Zero);

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    public override long GetTimestamp() => rate == 1 ? world.Now.Ticks : (long)(world.Now.Ticks * rate);

    public override DateTimeOffset GetUtcNow() => Start + wallError + world.Now;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new VirtualTimer(world, process, callback, state, rate);
        timer.Change(dueTime, period);
        return timer;
    }
}

/// <summary>A timer of one process on virtual time.</summary>
internal sealed class VirtualTimer(World world, SimulatedProcess owner, TimerCallback callback, object? state, double rate = 1) : ITimer
{
    private TimeSpan _period = Timeout.InfiniteTimeSpan;

    /// <summary>Grows with every change, so that the world knows which of its entries is the present one.</summary>
    public long Version { get; private set; }

    public bool Change(TimeSpan dueTime, TimeSpan period)
    {
        Version++;
        _period = period;
        if (dueTime != Timeout.InfiniteTimeSpan) world.Schedule(this, Version, world.Now + InWorldTime(dueTime));
        return true;
    }

    public void Fire()
    {
        if (_period != Timeout.InfiniteTimeSpan && _period > TimeSpan.Zero) world.Schedule(this, Version, world.Now + InWorldTime(_period));
        else Version++;
        SendOrPostCallback run = Invoke;
        if (owner.Admits(run, null)) world.Run(owner, run, null);
    }

    public void Dispose() => Version++;

    public ValueTask DisposeAsync()
    {
        Version++;
        return ValueTask.CompletedTask;
    }

    private TimeSpan InWorldTime(TimeSpan span) => rate == 1 ? span : span / rate;

    private void Invoke(object? _) => callback(state);
}
