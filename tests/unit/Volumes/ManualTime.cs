using Xunit;

namespace Gateway.Volumes.Tests;

/// <summary>A clock that stands still until the test moves it; timers that fall due run inside that call, in order.</summary>
internal sealed class ManualTime : TimeProvider
{
    private readonly Lock _gate = new();
    private readonly List<Timer> _timers = [];
    private TimeSpan _now = TimeSpan.FromDays(1);

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp()
    {
        lock (_gate) return _now.Ticks;
    }

    public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch.AddTicks(GetTimestamp());

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer(this, () => callback(state));
        timer.Change(dueTime, period);
        return timer;
    }

    /// <summary>True while a timer runs.</summary>
    public bool HasTimer
    {
        get
        {
            lock (_gate) return _timers.Exists(timer => timer.DueAt is not null);
        }
    }

    public void Advance(TimeSpan by)
    {
        var until = new TimeSpan(GetTimestamp()) + by;
        while (true)
        {
            Timer? next;
            lock (_gate)
            {
                next = _timers.Where(timer => timer.DueAt <= until).MinBy(timer => timer.DueAt);
                _now = next?.DueAt ?? until;
                if (next is not null) next.DueAt = null;
            }

            if (next is null) return;
            next.Run();
        }
    }

    private sealed class Timer : ITimer
    {
        private readonly ManualTime _time;

        public Timer(ManualTime time, Action run)
        {
            (_time, Run) = (time, run);
            lock (time._gate) time._timers.Add(this);
        }

        public Action Run { get; }

        public TimeSpan? DueAt { get; set; }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            Assert.Equal(Timeout.InfiniteTimeSpan, period); // Nothing here repeats by itself.
            lock (_time._gate) DueAt = dueTime == Timeout.InfiniteTimeSpan ? null : _time._now + dueTime;
            return true;
        }

        public void Dispose()
        {
            lock (_time._gate) _time._timers.Remove(this);
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
