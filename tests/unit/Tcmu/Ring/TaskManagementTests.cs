using Gateway.Scsi;
using Gateway.Tcmu.Simulation;
using Xunit;

namespace Gateway.Tcmu.Tests.Ring;

/// <summary>What a TMR entry does to the commands that it names, and to no other.</summary>
public sealed class TaskManagementTests
{
    [Fact]
    public async Task Abort_NamesACommandInFlight_ThatOneAloneEndsAborted()
    {
        var target = new AbortableTarget();
        using var world = new RingWorld(target);
        await using var device = await world.StartAsync();
        await SubmitAsync(world, target, 3);

        Assert.True(world.Simulator.TrySubmitTaskManagement(TmrType.AbortTask, [world.Simulator.CmdIdOf(1)]));
        world.ReapUntil(1);

        Assert.Equal((1, ScsiStatus.TaskAborted, 0), world.Completions.Single());
        target.EndAll();
        world.ReapUntil(3);
        Assert.All(world.Completions.Skip(1), completion => Assert.Equal(ScsiStatus.Good, completion.Status));
    }

    [Fact]
    public async Task LunReset_NamesAllInFlight_AllEndAborted()
    {
        var target = new AbortableTarget();
        using var world = new RingWorld(target);
        await using var device = await world.StartAsync();
        await SubmitAsync(world, target, 100);

        Assert.True(world.Simulator.TrySubmitTaskManagement(TmrType.LunReset, [.. Enumerable.Range(0, 100).Select(tag => world.Simulator.CmdIdOf(tag))]));
        world.ReapUntil(100);

        Assert.All(world.Completions, completion => Assert.Equal(ScsiStatus.TaskAborted, completion.Status));
    }

    [Fact]
    public async Task Abort_IdsThatAreNotInFlight_AreIgnored()
    {
        var target = new AbortableTarget();
        using var world = new RingWorld(target);
        await using var device = await world.StartAsync();
        await SubmitAsync(world, target, 1);

        Assert.True(world.Simulator.TrySubmitTaskManagement(TmrType.LunResetByPersistentReserve, [0, ushort.MaxValue, (ushort)(world.Simulator.CmdIdOf(0) + 7)]));
        await SubmitAsync(world, target, 1); // Behind the entry: when it has come, the entry was taken.

        target.EndAll();
        world.ReapUntil(2);
        Assert.All(world.Completions, completion => Assert.Equal(ScsiStatus.Good, completion.Status));
        Assert.Equal(1, device.Statistics.TaskManagement);
    }

    [Fact]
    public async Task Abort_CommandObjectAndIdUsedAgain_TheNextCommandIsNotCancelled()
    {
        var target = new AbortableTarget();
        using var world = new RingWorld(target, new RingSimulatorOptions { CommandIds = 1 });
        await using var device = await world.StartAsync();
        for (var round = 0; round < 5; round++)
        {
            await SubmitAsync(world, target, 1);
            var id = world.Simulator.CmdIdOf(0);
            Assert.False(target.Latest.IsCancellationRequested);
            Assert.True(world.Simulator.TrySubmitTaskManagement(TmrType.AbortTask, [id]));
            world.ReapUntil((2 * round) + 1);

            await SubmitAsync(world, target, 1);
            Assert.Equal(id, world.Simulator.CmdIdOf(0));
            Assert.False(target.Latest.IsCancellationRequested);
            target.EndAll();
            world.ReapUntil((2 * round) + 2);
        }

        Assert.Equal(
            Enumerable.Range(0, 10).Select(i => i % 2 == 0 ? ScsiStatus.TaskAborted : ScsiStatus.Good), world.Completions.Select(completion => completion.Status));
    }

    [Fact]
    public async Task Abort_TargetIsDeafToIt_CommandEndsAsItWill()
    {
        var target = new HeldTarget();
        using var world = new RingWorld(target);
        await using var device = await world.StartAsync();
        world.Submit(1);
        world.Simulator.Ring();
        await target.WaitForAsync(1);
        var held = target.Held.Single();
        using var cancelled = new CancellationSignal(held.Token);

        Assert.True(world.Simulator.TrySubmitTaskManagement(TmrType.AbortTask, [world.Simulator.CmdIdOf(1)]));
        world.Simulator.Ring();
        await cancelled.Seen;
        held.Command.CompleteGood();
        held.Done.SetResult();

        world.ReapUntil(1);
        Assert.Equal(ScsiStatus.Good, world.Completions.Single().Status);
    }

    [Fact]
    public async Task Abort_CallbackThrows_TheOthersAreCancelledAllTheSame()
    {
        var target = new AbortableTarget { Throws = true };
        using var world = new RingWorld(target);
        await using var device = await world.StartAsync();
        await SubmitAsync(world, target, 2);

        Assert.True(world.Simulator.TrySubmitTaskManagement(TmrType.LunReset, [world.Simulator.CmdIdOf(0), world.Simulator.CmdIdOf(1)]));
        world.ReapUntil(2);

        Assert.All(world.Completions, completion => Assert.Equal(ScsiStatus.TaskAborted, completion.Status));
    }

    [Fact]
    public async Task Abort_TheHandlerIsToldBeforeTheCommandsEnd()
    {
        var target = new AbortableTarget();
        var cancelledBefore = true;
        using var world = new RingWorld(target, taskManagement: (_, _) => cancelledBefore = target.Latest.IsCancellationRequested);
        await using var device = await world.StartAsync();
        await SubmitAsync(world, target, 1);

        Assert.True(world.Simulator.TrySubmitTaskManagement(TmrType.AbortTask, [world.Simulator.CmdIdOf(0)]));
        world.ReapUntil(1);

        Assert.False(cancelledBefore);
    }

    [Fact]
    public async Task Stop_GivenUp_WhatEndsAbortedIsToldBusy()
    {
        var target = new AbortableTarget();
        using var world = new RingWorld(target);
        var device = await world.StartAsync();
        await SubmitAsync(world, target, 2);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => device.StopAsync(new CancellationToken(canceled: true)));
        await device.Ended;

        world.ReapUntil(2);
        Assert.All(world.Completions, completion => Assert.Equal(ScsiStatus.Busy, completion.Status));
    }

    private static async Task SubmitAsync(RingWorld world, AbortableTarget target, int count)
    {
        for (var tag = 0; tag < count; tag++) world.Submit(tag);
        world.Simulator.Ring();
        await target.WaitForAsync(count);
    }

    /// <summary>Holds every command until the test lets it go or it is cancelled; it then ends inside the cancellation.</summary>
    private sealed class AbortableTarget : IScsiTarget
    {
        private readonly SemaphoreSlim _arrived = new(0);
        private readonly List<Held> _held = [];

        public bool Throws { get; init; }

        public CancellationToken Latest { get; private set; }

        public ValueTask ExecuteAsync(ScsiCommand command, CancellationToken cancellationToken)
        {
            var held = new Held(command, new TaskCompletionSource());
            Latest = cancellationToken;
            lock (_held) _held.Add(held);
            cancellationToken.UnsafeRegister(state => Abort((Held)state!), held);
            _arrived.Release();
            return new ValueTask(held.Done.Task);
        }

        public async Task WaitForAsync(int count)
        {
            for (var i = 0; i < count; i++)
                if (!await _arrived.WaitAsync(10_000)) throw new TimeoutException($"Only {i} of {count} commands arrived.");
        }

        public void EndAll()
        {
            Held[] all;
            lock (_held)
            {
                all = [.. _held];
                _held.Clear();
            }

            foreach (var held in all)
            {
                held.Command.CompleteGood();
                held.Done.SetResult();
            }
        }

        private void Abort(Held held)
        {
            lock (_held)
                if (!_held.Remove(held)) return;
            held.Command.Complete(ScsiStatus.TaskAborted);
            held.Done.SetResult();
            if (Throws) throw new InvalidOperationException("A bug.");
        }

        private sealed record Held(ScsiCommand Command, TaskCompletionSource Done);
    }
}
