using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Gateway.Scsi;
using Gateway.Tcmu.Simulation;
using Xunit;

namespace Gateway.Tcmu.Tests.Ring;

/// <summary>A target learns which commands came together, and what it does with them at the end of the burst is answered at once.</summary>
public sealed class RingBurstTests
{
    [Fact]
    public async Task Commands_WaitingTogether_AreOneBurstAnsweredByOneDoorbell()
    {
        var target = new BurstTarget();
        using var world = new RingWorld(target);
        await using var device = world.Create();
        for (var tag = 0; tag < 20; tag++) world.Submit(tag);

        await device.StartAsync(CancellationToken.None);

        world.ReapUntil(20);
        Assert.Equal(["begin", .. Enumerable.Repeat("command", 20), "end"], target.Calls);
        Assert.Equal(1, device.Statistics.Doorbells);
    }

    [Fact]
    public async Task Command_Alone_IsNoBurst()
    {
        var target = new BurstTarget();
        using var world = new RingWorld(target);
        await using var device = world.Create();
        world.Submit(1);

        await device.StartAsync(CancellationToken.None);

        world.ReapUntil(1);
        Assert.Equal(["command"], target.Calls);
    }

    [Fact]
    public async Task Burst_LongerThanABatch_EndsWithEachBatch()
    {
        var target = new BurstTarget();
        using var world = new RingWorld(target, deviceOptions: new RingDeviceOptions { BatchCommandsMax = 8 });
        await using var device = world.Create();
        for (var tag = 0; tag < 24; tag++) world.Submit(tag);

        await device.StartAsync(CancellationToken.None);

        world.ReapUntil(24);
        Assert.Equal(3, target.Calls.Count(call => call == "begin"));
        Assert.Equal(3, target.Calls.Count(call => call == "end"));
        Assert.Equal(0, target.OutsideBursts);
    }

    [Fact]
    public async Task Ring_BreaksWithinABurst_BurstEndsAndItsCommandsAreAnswered()
    {
        var target = new BurstTarget();
        using var world = new RingWorld(target);
        await using var device = world.Create();
        world.Submit(1);
        world.Submit(2);
        var third = world.Simulator.Head;
        world.Submit(3);
        MemoryMarshal.Write(world.Simulator.Memory.Span(RingSimulator.RingStartBytes + third, 4), 1u); // A length of 0.

        await device.StartAsync(CancellationToken.None);

        await device.RingBroken.WaitAsync(TimeSpan.FromSeconds(10));
        world.ReapUntil(2);
        Assert.Equal(["begin", "command", "command", "end"], target.Calls);
    }

    [Fact]
    public async Task Burst_TargetThrowsAtACommand_TheOthersEnd()
    {
        var target = new BurstTarget { ThrowAt = 2 };
        using var world = new RingWorld(target);
        await using var device = world.Create();
        for (var tag = 0; tag < 4; tag++) world.Submit(tag);

        await device.StartAsync(CancellationToken.None);

        world.ReapUntil(4);
        Assert.Equal(1, world.Completions.Count(completion => completion.Status == ScsiStatus.CheckCondition));
        Assert.Equal("end", target.Calls.Last());
    }

    /// <summary>Holds what comes in a burst until the burst ends.</summary>
    private sealed class BurstTarget : IScsiTarget, IBurstTarget
    {
        private readonly List<TaskCompletionSource> _held = [];
        private bool _inBurst;
        private int _commands;

        public ConcurrentQueue<string> Calls { get; } = [];

        public int? ThrowAt { get; init; }

        public int OutsideBursts { get; private set; }

        public void BeginBurst()
        {
            Calls.Enqueue("begin");
            _inBurst = true;
        }

        public void EndBurst()
        {
            Calls.Enqueue("end");
            _inBurst = false;
            foreach (var done in _held) done.SetResult();
            _held.Clear();
        }

        public ValueTask ExecuteAsync(ScsiCommand command, CancellationToken cancellationToken)
        {
            Calls.Enqueue("command");
            if (_commands++ == ThrowAt) throw new InvalidOperationException("A bug (by design of the test).");
            if (!_inBurst)
            {
                OutsideBursts++;
                return ValueTask.CompletedTask;
            }

            var done = new TaskCompletionSource();
            _held.Add(done);
            return new ValueTask(done.Task);
        }
    }
}
