using Gateway.Health;
using Gateway.Scsi;
using Gateway.Tcmu;
using Gateway.Tcmu.Simulation;
using Gateway.Volumes.Tests;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Tests.Health;

/// <summary>Whether a ring makes progress, as seen from outside, on a clock that the test moves.</summary>
public sealed class RingWatchTests : IScsiTarget, ICompletionSink, IAsyncLifetime
{
    private static readonly TimeSpan CommandTimeout = TimeSpan.FromSeconds(18);
    private static readonly TimeSpan Limit = RingWatch.LimitOf(CommandTimeout);

    private readonly ManualTime _time = new();
    private readonly RingSimulator _simulator = new(new RingSimulatorOptions());
    private readonly SemaphoreSlim _arrived = new(0);
    private readonly Queue<TaskCompletionSource> _held = [];
    private RingDevice _ring = null!;
    private RingWatch _watch = null!;
    private ManualResetEventSlim? _blockThread;
    private int _completed;

    public async Task InitializeAsync()
    {
        _watch = new RingWatch(_time);
        _ring = new RingDevice("test", _simulator.OpenPort(), this, new RingDeviceOptions(), null, _time, NullLogger.Instance);
        await _ring.StartAsync(default);
    }

    public async Task DisposeAsync()
    {
        _blockThread?.Set();
        lock (_held)
            foreach (var one in _held) one.TrySetResult();
        await _ring.DisposeAsync();
        _simulator.Dispose();
        _arrived.Dispose();
        _blockThread?.Dispose();
    }

    [Fact]
    public async Task Look_CommandPastItsLimit_IsStuckOnceItWasSeenThreeTimesAndMovesOnceItIsAnswered()
    {
        await SendAsync();
        Assert.Null(LookAfter(Limit));

        Assert.Null(LookAfter(TimeSpan.FromSeconds(1)));
        Assert.Null(LookAfter(TimeSpan.FromSeconds(1)));
        Assert.NotNull(LookAfter(TimeSpan.FromSeconds(1)));
        Assert.Equal(Limit + TimeSpan.FromSeconds(3), _watch.Waiting);

        Answer();
        Assert.Null(LookAfter(TimeSpan.FromSeconds(1)));
        Assert.Equal(TimeSpan.Zero, _watch.Waiting);
    }

    /// <summary>One command that was lost is a fault, however many others are answered.</summary>
    [Fact]
    public async Task Look_OneOfManyIsNeverAnswered_IsStuck()
    {
        await SendAsync();
        for (var second = TimeSpan.Zero; second <= Limit + TimeSpan.FromSeconds(RingWatch.LooksMin); second += TimeSpan.FromSeconds(1))
        {
            await SendAsync();
            Answer(last: true);
            LookAfter(TimeSpan.FromSeconds(1));
        }

        Assert.NotNull(_watch.StuckFor);
    }

    /// <summary>The thread hangs where no command is in flight any more, or where all are.</summary>
    [Fact]
    public async Task Look_ThreadHangsInACommand_IsStuck()
    {
        _blockThread = new ManualResetEventSlim();
        await SendAsync();

        for (var i = 0; i < RingWatch.LooksMin; i++) LookAfter(i == 0 ? Limit * 2 : TimeSpan.FromSeconds(1));

        Assert.NotNull(_watch.StuckFor);
    }

    [Fact]
    public async Task Look_NothingToDoForHours_IsNotStuck()
    {
        await SendAsync();
        Answer();

        for (var i = 0; i < 5; i++) LookAfter(TimeSpan.FromHours(1));

        Assert.Null(_watch.StuckFor);
    }

    /// <summary>A machine that was suspended shows, for a moment, commands of hours ago.</summary>
    [Fact]
    public async Task Look_ClockJumpsOverACommand_IsNotStuckIfItIsAnsweredThen()
    {
        await SendAsync();

        Assert.Null(LookAfter(TimeSpan.FromHours(8)));
        Answer();
        Assert.Null(LookAfter(TimeSpan.FromSeconds(1)));
        Assert.Null(LookAfter(TimeSpan.FromSeconds(1)));
    }

    public ValueTask ExecuteAsync(ScsiCommand command, CancellationToken cancellationToken)
    {
        command.Complete(ScsiStatus.Good);
        var done = new TaskCompletionSource();
        lock (_held) _held.Enqueue(done);
        _arrived.Release();
        _blockThread?.Wait(CancellationToken.None);
        return new ValueTask(done.Task);
    }

    void ICompletionSink.OnCompleted(SimulatedCommand command) => _completed++;

    private async Task SendAsync()
    {
        Assert.True(_simulator.TrySubmit(new byte[6], DataDirection.None, 0, [], 1));
        _simulator.Ring();
        Assert.True(await _arrived.WaitAsync(TimeSpan.FromMinutes(1)));
    }

    /// <summary>Answers the oldest command, or the newest, and waits until the ring's thread has told and sleeps.</summary>
    private void Answer(bool last = false)
    {
        lock (_held)
        {
            var held = _held.ToList();
            var one = last ? held[^1] : held[0];
            held.Remove(one);
            _held.Clear();
            foreach (var left in held) _held.Enqueue(left);
            one.SetResult();
        }

        var target = _completed + 1;
        while (_completed < target)
        {
            _simulator.Reap(this);
            if (_completed < target) Assert.True(_simulator.WaitForKick(60_000));
        }

        Assert.True(SpinWait.SpinUntil(() => _ring.PassMark is null, TimeSpan.FromMinutes(1)));
    }

    private TimeSpan? LookAfter(TimeSpan time)
    {
        _time.Advance(time);
        _watch.Look(_ring, CommandTimeout);
        return _watch.StuckFor;
    }
}
