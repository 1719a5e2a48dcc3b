using System.Collections.Concurrent;
using Xunit;

namespace Gateway.Volumes.Tests.Leases;

/// <summary>A clock that moves when nothing else is left to do, and one thread that everything runs on: hours pass in milliseconds, in the same order every time.</summary>
internal sealed class VirtualTime : TimeProvider
{
    /// <summary>How far the clock moves at once at most: some of what the engine does comes from other threads, and must not miss too much.</summary>
    private static readonly TimeSpan StepMax = TimeSpan.FromMilliseconds(100);

    private const int StallMilliseconds = 60_000;

    private readonly BlockingCollection<(SendOrPostCallback Callback, object? State)> _work = [];
    private readonly Lock _gate = new();
    private readonly PriorityQueue<(VirtualTimer Timer, int Version), (long At, long Order)> _timers = new();
    private long _now = TimeSpan.TicksPerDay;
    private long _order;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public TimeSpan Now => TimeSpan.FromTicks(GetTimestamp());

    public override long GetTimestamp() => Interlocked.Read(ref _now);

    public override DateTimeOffset GetUtcNow() => new(GetTimestamp() + new DateTime(2030, 1, 1).Ticks, TimeSpan.Zero);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new VirtualTimer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    /// <summary>Runs a test to its end.</summary>
    public static void Run(Func<VirtualTime, Task> test)
    {
        var time = new VirtualTime();
        var previous = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(new Context(time));
        try
        {
            var task = test(time);
            time.Pump(task);
            task.GetAwaiter().GetResult();
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(previous);
        }
    }

    private void Pump(Task task)
    {
        while (!task.IsCompleted)
        {
            if (_work.TryTake(out var work))
            {
                work.Callback(work.State);
                continue;
            }

            // Give the few things that run elsewhere the chance to come back before time goes on.
            Thread.Yield();
            if (_work.Count > 0) continue;
            if (TryStep()) continue;
            Assert.True(_work.TryTake(out work, StallMilliseconds), "Nothing is left to do, and the test has not ended.");
            work.Callback(work.State);
        }
    }

    private bool TryStep()
    {
        VirtualTimer? due = null;
        lock (_gate)
        {
            while (_timers.TryPeek(out var next, out _) && next.Version != next.Timer.Version) _timers.Dequeue();
            if (!_timers.TryPeek(out var first, out var at)) return false;
            _now = Math.Max(_now, Math.Min(at.At, _now + StepMax.Ticks));
            if (at.At <= _now)
            {
                _timers.Dequeue();
                due = first.Timer;
            }
        }

        due?.Fire();
        return true;
    }

    private void Schedule(VirtualTimer timer, int version, TimeSpan after)
    {
        lock (_gate) _timers.Enqueue((timer, version), (_now + Math.Max(0, after.Ticks), _order++));
    }

    private sealed class Context(VirtualTime time) : SynchronizationContext
    {
        public override void Post(SendOrPostCallback d, object? state) => time._work.Add((d, state));

        public override void Send(SendOrPostCallback d, object? state) => d(state);

        public override SynchronizationContext CreateCopy() => this;
    }

    private sealed class VirtualTimer(VirtualTime time, TimerCallback callback, object? state) : ITimer
    {
        private int _version;
        private TimeSpan _period;

        public int Version => Volatile.Read(ref _version);

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            _period = period;
            var version = Interlocked.Increment(ref _version);
            if (dueTime != Timeout.InfiniteTimeSpan) time.Schedule(this, version, dueTime);
            return true;
        }

        public void Fire()
        {
            if (_period > TimeSpan.Zero) time.Schedule(this, Version, _period);
            callback(state);
        }

        public void Dispose() => Interlocked.Increment(ref _version);

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
