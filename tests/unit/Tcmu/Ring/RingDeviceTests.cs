using System.Runtime.InteropServices;
using Gateway.Scsi;
using Gateway.Tcmu.Interop;
using Gateway.Tcmu.Simulation;
using Xunit;

namespace Gateway.Tcmu.Tests.Ring;

public sealed class RingDeviceTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task Commands_CompletedInReverse_EachGetsItsOwnAnswer()
    {
        var target = new HeldTarget();
        using var world = new RingWorld(target);
        await using var device = await world.StartAsync();
        for (var tag = 0; tag < 20; tag++) world.Submit(tag);
        world.Simulator.Ring();
        await target.WaitForAsync(20);

        foreach (var (index, held) in target.Held.Index().Reverse())
        {
            if (index % 2 == 0) held.Command.Complete(ScsiStatus.Busy);
            held.Done.SetResult();
        }

        world.ReapUntil(20);
        Assert.All(world.Completions, completion => Assert.Equal(completion.Tag % 2 == 0 ? ScsiStatus.Busy : ScsiStatus.Good, completion.Status));
        Assert.Equal(20, world.Completions.Select(completion => completion.Tag).Distinct().Count());
    }

    [Fact]
    public async Task Ring_FullBeforeTheStart_IsDrained()
    {
        using var world = new RingWorld(new RamDiskTarget(16, 0, 1), new RingSimulatorOptions { RingLengthBytes = 4096 - 128, StartPosition = 2056 });
        var count = 0;
        while (world.Simulator.TrySubmit(new byte[6], DataDirection.None, 0, [], count)) count++;

        await using var device = await world.StartAsync();

        Assert.True(count > 20);
        world.ReapUntil(count);
        Assert.True(world.Simulator.IsEmpty);
        Assert.Equal(1, world.Simulator.Pads);
    }

    [Fact]
    public async Task Target_Throws_CommandEndsInAbortedCommandAndTheRingGoesOn()
    {
        using var world = new RingWorld(new RamDiskTarget(16, 0, 1));
        await using var device = await world.StartAsync();
        world.Submit(1, RamDiskTarget.Throw);
        world.Submit(2);

        world.ReapUntil(2);

        Assert.Equal([(1, ScsiStatus.CheckCondition, (int)SenseKey.AbortedCommand), (2, ScsiStatus.Good, 0)], world.Completions);
        Assert.Equal(1, device.Statistics.Faults);
    }

    [Fact]
    public async Task Target_FailsLater_CommandEndsInAbortedCommand()
    {
        var target = new HeldTarget();
        using var world = new RingWorld(target);
        await using var device = await world.StartAsync();
        world.Submit(1);
        world.Simulator.Ring();
        await target.WaitForAsync(1);

        target.Held.Single().Done.SetException(new InvalidOperationException());

        world.ReapUntil(1);
        Assert.Equal((1, ScsiStatus.CheckCondition, (int)SenseKey.AbortedCommand), world.Completions.Single());
    }

    [Fact]
    public async Task TaskManagement_Arrives_HandlerIsToldAndTheRingEmpties()
    {
        var told = new List<(TmrType, ushort[])>();
        using var world = new RingWorld(new RamDiskTarget(16, 0, 1), taskManagement: (type, ids) => told.Add((type, ids.ToArray())));
        await using var device = await world.StartAsync();
        Assert.True(world.Simulator.TrySubmitTaskManagement(TmrType.AbortTask, [7, 9]));
        world.Submit(1);

        world.ReapUntil(1);

        var (toldType, toldIds) = Assert.Single(told);
        Assert.Equal(TmrType.AbortTask, toldType);
        Assert.Equal<ushort>([7, 9], toldIds);
        Assert.Equal(1, device.Statistics.TaskManagement);
    }

    [Fact]
    public async Task UnknownEntries_WithNoCommandInFlight_AreMarkedAndPassed()
    {
        using var world = new RingWorld(new RamDiskTarget(16, 0, 1));
        await using var device = await world.StartAsync();
        Assert.True(world.Simulator.TrySubmitUnknown(5, 64));
        Assert.True(world.Simulator.TrySubmitUnknown(7, 8));
        world.Simulator.Ring();

        Assert.True(world.Simulator.WaitForKick(10_000));

        await device.StopAsync(None);
        world.Simulator.Reap(world);
        world.AssertNoViolations();
        Assert.True(world.Simulator.IsEmpty);
        Assert.Equal(2, device.Statistics.UnknownEntries);
    }

    [Fact]
    public async Task Stop_CommandsInFlight_WaitsAnswersAndLeavesTheRestInTheRing()
    {
        var target = new HeldTarget();
        using var world = new RingWorld(target);
        var device = await world.StartAsync();
        world.Submit(1);
        world.Simulator.Ring();
        await target.WaitForAsync(1);

        var stop = device.StopAsync(None);
        world.Submit(2);
        world.Simulator.Ring();
        Assert.False(stop.IsCompleted);
        Assert.True(world.Simulator.IsOpen);
        target.Held.Single().Done.SetResult();
        await stop;

        Assert.False(world.Simulator.IsOpen);
        Assert.Equal(RingDeviceState.Stopped, device.State);
        world.ReapUntil(1);
        await using var successor = await world.StartAsync();
        await target.WaitForAsync(1);
        target.Held.Last().Done.SetResult();
        world.ReapUntil(2);
    }

    [Fact]
    public async Task Stop_TokenCancelled_CommandsAreCancelledAndTheMappingStaysUntilTheyEnd()
    {
        var target = new HeldTarget();
        using var world = new RingWorld(target);
        var device = await world.StartAsync();
        world.Submit(1);
        world.Simulator.Ring();
        await target.WaitForAsync(1);
        var held = target.Held.Single();

        using var cancelled = new CancellationSignal(held.Token);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => device.StopAsync(new CancellationToken(canceled: true)));

        await cancelled.Seen;
        Assert.True(world.Simulator.IsOpen);
        held.Done.SetException(new OperationCanceledException());
        await device.Ended;
        Assert.False(world.Simulator.IsOpen);
        world.ReapUntil(1);
        Assert.Equal(ScsiStatus.Busy, world.Completions.Single().Status);
    }

    [Fact]
    public async Task Stop_NeverStarted_Closes()
    {
        using var world = new RingWorld(new HeldTarget());

        await world.Create().DisposeAsync();

        Assert.False(world.Simulator.IsOpen);
    }

    [Fact]
    public void Open_MailboxOfAnotherVersion_IsRefusedAndClosed()
    {
        using var world = new RingWorld(new HeldTarget());
        MemoryMarshal.Write(world.Simulator.Memory.Span(0, 2), (ushort)3);

        var refused = Assert.Throws<RingBrokenException>(world.Create);

        Assert.Contains("version 3", refused.Message, StringComparison.Ordinal);
        Assert.False(world.Simulator.IsOpen);
    }

    [Theory]
    [InlineData(12u)] // Unaligned.
    [InlineData(65408u)] // The ring's length itself.
    [InlineData(0xFFFF_FFF8u)]
    public async Task Head_OutsideTheRing_RingIsBrokenAndCommandsInFlightAreAnswered(uint head)
    {
        var target = new HeldTarget();
        using var world = new RingWorld(target);
        await using var device = await world.StartAsync();
        world.Submit(1);
        world.Simulator.Ring();
        await target.WaitForAsync(1);

        world.Simulator.PublishHead(head);
        world.Simulator.Ring();

        Assert.Contains("cmd_head", await device.RingBroken.WaitAsync(TimeSpan.FromSeconds(10)), StringComparison.Ordinal);
        Assert.Equal(RingDeviceState.RingBroken, device.State);
        target.Held.Single().Done.SetResult();
        world.ReapUntil(1);
    }

    [Theory]
    [InlineData(0u)] // No length: a walk that trusts it never ends.
    [InlineData(1u)]
    [InlineData(0x7FFF_FFF9u)]
    [InlineData(200u | 1)] // Past cmd_head.
    public async Task Entry_LengthDamaged_RingIsBroken(uint lengthOp)
    {
        using var world = new RingWorld(new RamDiskTarget(16, 0, 1));
        await using var device = world.Create();
        world.Submit(1);
        MemoryMarshal.Write(world.Simulator.Memory.Span(RingSimulator.RingStartBytes, 4), lengthOp);

        await device.StartAsync(None);

        await device.RingBroken.WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Equal(0, device.Statistics.Commands);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task Entry_CmdIdZeroOrInFlight_RingIsBroken(int id)
    {
        var target = new HeldTarget();
        using var world = new RingWorld(target);
        await using var device = world.Create();
        world.Submit(1);
        var second = world.Simulator.Head;
        world.Submit(2);
        MemoryMarshal.Write(world.Simulator.Memory.Span(RingSimulator.RingStartBytes + second + 4, 2), (ushort)id);

        await device.StartAsync(None);

        Assert.Contains("cmd_id", await device.RingBroken.WaitAsync(TimeSpan.FromSeconds(10)), StringComparison.Ordinal);
        target.Held.Single().Done.SetResult();
    }

    [Fact]
    public async Task Ring_ResetUnderTheDevice_IsBrokenAndNothingIsPublished()
    {
        var target = new HeldTarget();
        using var world = new RingWorld(target, new RingSimulatorOptions { StartPosition = 1024 });
        await using var device = await world.StartAsync();
        world.Submit(1);
        world.Simulator.Ring();
        await target.WaitForAsync(1);

        world.Simulator.Reset();
        target.Held.Single().Done.SetResult();

        Assert.Contains("reset", await device.RingBroken.WaitAsync(TimeSpan.FromSeconds(10)), StringComparison.Ordinal);
        Assert.Equal(0u, world.Simulator.Memory.Field(Mailbox.CmdTailOffset));
    }

    [Fact]
    public async Task Device_TakenAway_RingIsBrokenAndStops()
    {
        using var world = new RingWorld(new RamDiskTarget(16, 0, 1));
        await using var device = await world.StartAsync();

        world.Simulator.Remove();

        Assert.Contains("doorbell", await device.RingBroken.WaitAsync(TimeSpan.FromSeconds(10)), StringComparison.Ordinal);
        await device.StopAsync(None).WaitAsync(TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task Batch_DataPastTheLimit_IsCut()
    {
        using var world = new RingWorld(
            new RamDiskTarget(1024, 0, 1), new RingSimulatorOptions { DataBlocks = 2048 }, deviceOptions: new RingDeviceOptions { BatchDataMaxBytes = 64 << 10 });
        await using var device = world.Create();
        byte[] read = [RamDiskTarget.Read10, 0, 0, 0, 0, 0, 0, 0, 128, 0];
        for (var tag = 0; tag < 32; tag++) Assert.True(world.Simulator.TrySubmit(read, DataDirection.FromDevice, 64 << 10, [], tag));

        await device.StartAsync(None);

        world.ReapUntil(32);
        Assert.InRange(device.Statistics.Doorbells, 32, 40);
    }

    [Fact]
    public async Task Batch_ManySmallCommandsWaiting_AreAnsweredByFewDoorbells()
    {
        using var world = new RingWorld(new RamDiskTarget(16, 0, 1));
        await using var device = world.Create();
        for (var tag = 0; tag < 256; tag++) world.Submit(tag);

        await device.StartAsync(None);

        world.ReapUntil(256);
        Assert.InRange(device.Statistics.Doorbells, 4, 5);
    }

    [Fact]
    public async Task BusyPoll_CommandsComeOneByOne_AreAnsweredWithoutSleep()
    {
        using var world = new RingWorld(new RamDiskTarget(16, 0, 1), deviceOptions: new RingDeviceOptions { BusyPoll = TimeSpan.FromSeconds(30) });
        await using var device = await world.StartAsync();

        for (var tag = 0; tag < 100; tag++)
        {
            world.Submit(tag);
            world.ReapUntil(tag + 1);
        }

        Assert.Equal(0, device.Statistics.Wakes);
    }

    [Fact]
    public async Task Bidirectional_Command_DataAreDataOutOnly()
    {
        var target = new HeldTarget();
        using var world = new RingWorld(target);
        await using var device = await world.StartAsync();
        var cdb = new byte[10];
        cdb[0] = 0x53;
        Assert.True(world.Simulator.TrySubmit(cdb, DataDirection.ToDevice, 4096, new byte[8192], 1, bidiLengthBytes: 4096));
        world.Simulator.Ring();
        await target.WaitForAsync(1);

        var held = target.Held.Single();

        Assert.Equal(4096, held.Command.Data.LengthBytes);
        held.Done.SetResult();
        world.ReapUntil(1);
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(0.5)]
    public async Task SteadyState_ManyCommands_AllocatesNothing(double deferProbability)
    {
        var options = new RingSimulatorOptions { DataBlockBytes = 1024, DataBlocks = 700, Seed = 7 };
        using var simulator = new RingSimulator(options);
        var target = new RamDiskTarget(1024, deferProbability, 7);
        var traffic = new RandomTraffic(simulator, target, 7, 1024, depth: 64, maxBlocks: 8);
        var measured = new AllocationMeter(target);
        await using var device = new RingDevice(
            "test", simulator.OpenPort(), measured, new RingDeviceOptions(), null, TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);
        await device.StartAsync(None);
        Assert.Null(traffic.Run(300_000)); // Fills pools and tables: every cmd_id comes up.

        // By thread, since the test host's own threads allocate at any time.
        var (initiatorBefore, deviceBefore) = (GC.GetAllocatedBytesForCurrentThread(), measured.AllocatedBytes);
        var failure = traffic.Run(300_000);
        var (initiator, served) = (GC.GetAllocatedBytesForCurrentThread() - initiatorBefore, measured.AllocatedBytes - deviceBefore);

        Assert.Null(failure);
        // Not one byte per hundred commands: room for a list that grows once more, at the deepest queue so far.
        Assert.True(served < 3000 && initiator < 3000, $"The device's thread allocated {served} bytes and the initiator's {initiator} for 300,000 commands");
    }

    /// <summary>Reads how much the thread that it is called on, the device's, has allocated.</summary>
    private sealed class AllocationMeter(IScsiTarget inner) : IScsiTarget
    {
        private long _allocated;

        public long AllocatedBytes => Volatile.Read(ref _allocated);

        public ValueTask ExecuteAsync(ScsiCommand command, CancellationToken cancellationToken)
        {
            Volatile.Write(ref _allocated, GC.GetAllocatedBytesForCurrentThread());
            return inner.ExecuteAsync(command, cancellationToken);
        }
    }
}
