using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Tests.Shared;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Volumes.Tests.Journal;

/// <summary>Commands that come together become one append and one flush; what each of them promises stays the same.</summary>
public class JournalBurstTests
{
    [Fact]
    public async Task Burst_OfWrites_IsOneAppendInTheirOrder()
    {
        await using var world = await OpenedAsync();
        var disk = world.Journals.Disks.Single();
        var before = disk.Writes;

        world.Volume.BeginBurst();
        var writes = Enumerable.Range(1, 40).Select(tag => world.WriteAsync((ulong)(tag % 3), VolumeWorld.Tagged(tag, 2))).ToArray();
        Assert.DoesNotContain(writes, write => write.IsCompleted);
        Assert.Equal(before, disk.Writes);
        world.Volume.EndBurst();

        foreach (var write in writes) Assert.Equal(BlockResult.Success, await write);
        Assert.Equal(before + 1, disk.Writes);
        Assert.Equal((byte[])[.. VolumeWorld.Tagged(39, 1), .. VolumeWorld.Tagged(40, 2)], await world.ReadAsync(0, 3));
    }

    [Fact]
    public async Task Burst_KilledBeforeItsEnd_HasAcknowledgedNothingAndLeavesNothing()
    {
        await using var world = await OpenedAsync();
        Assert.Equal(BlockResult.Success, await world.WriteAsync(0, VolumeWorld.Tagged(1, 1)));
        world.Volume.BeginBurst();
        var write = world.WriteAsync(0, VolumeWorld.Tagged(2, 1), fua: true);
        var flush = world.Volume.FlushAsync(default).AsTask();

        Assert.False(write.IsCompleted || flush.IsCompleted);
        world.Kill();
        await world.OpenAsync();

        Assert.Equal(VolumeWorld.Tagged(1, 1), await world.ReadAsync(0, 1));
    }

    [Fact]
    public async Task Burst_WithAFlush_FlushesOnceAndWhatCameWithItToo()
    {
        await using var world = await OpenedAsync();
        var disk = world.Journals.Disks.Single();
        Assert.Equal(BlockResult.Success, await world.WriteAsync(0, VolumeWorld.Tagged(1, 1)));
        var before = disk.Flushes;

        world.Volume.BeginBurst();
        var flushes = Enumerable.Range(0, 5).Select(_ => world.Volume.FlushAsync(default).AsTask()).ToArray();
        var write = world.WriteAsync(1, VolumeWorld.Tagged(2, 1));
        Assert.Equal(before, disk.Flushes);
        world.Volume.EndBurst();
        foreach (var flush in flushes) Assert.Equal(BlockResult.Success, await flush);
        Assert.Equal(BlockResult.Success, await write);

        Assert.Equal(before + 1, disk.Flushes);
        world.CutPower();
        await world.OpenAsync();
        Assert.Equal((byte[])[.. VolumeWorld.Tagged(1, 1), .. VolumeWorld.Tagged(2, 1)], await world.ReadAsync(0, 2));
    }

    [Fact]
    public async Task Burst_WithForcedWrites_AcknowledgesThemOnlyWhenFlushed()
    {
        await using var world = await OpenedAsync();

        world.Volume.BeginBurst();
        var forced = world.WriteAsync(0, VolumeWorld.Tagged(1, 1), fua: true);
        var plain = world.WriteAsync(1, VolumeWorld.Tagged(2, 1));
        world.Volume.EndBurst();
        Assert.Equal(BlockResult.Success, await forced);
        world.Journals.Disks.Single().IgnoreFlushes = true;
        world.CutPower();
        await world.OpenAsync();

        Assert.Equal(BlockResult.Success, await plain);
        Assert.Equal(VolumeWorld.Tagged(1, 1), await world.ReadAsync(0, 1));
    }

    [Fact]
    public async Task Burst_OpenWhileTheVolumeCloses_EndsEveryCommand()
    {
        await using var world = await OpenedAsync();
        world.Volume.BeginBurst();
        var write = world.WriteAsync(0, VolumeWorld.Tagged(1, 1));
        var flush = world.Volume.FlushAsync(default).AsTask();

        await world.CloseAsync();

        Assert.Equal(BlockResult.Success, await write);
        Assert.Equal(BlockResult.Success, await flush);
        world.Volume.EndBurst();
    }

    [Fact]
    public async Task Bursts_OfSeveralRingsAtATime_LoseNoCommand()
    {
        await using var world = await OpenedAsync();
        world.Options.SealAfter = TimeSpan.FromHours(1);

        await Task.WhenAll(Enumerable.Range(0, 4).Select(ring => Task.Run(async () =>
        {
            for (var round = 0; round < 500; round++)
            {
                if (round % 3 != 0) world.Volume.BeginBurst();
                var write = world.WriteAsync((ulong)((ring * 8) + (round % 8)), VolumeWorld.Tagged(round, 1), fua: round % 5 == 0);
                var flush = world.Volume.FlushAsync(default).AsTask();
                if (round % 3 != 0) world.Volume.EndBurst();
                Assert.Equal(BlockResult.Success, await write);
                Assert.Equal(BlockResult.Success, await flush);
            }
        })));

        for (var ring = 0; ring < 4; ring++) Assert.Equal(VolumeWorld.Tagged(499, 1), await world.ReadAsync((ulong)((ring * 8) + (499 % 8)), 1));
    }

    /// <summary>The whole way of writes that wait for the end of their burst, from the CDB on; the journal is the one in memory, since a file's buffers are the kernel's.</summary>
    [Fact]
    public async Task Burst_OfCommands_AllocatesNothing()
    {
        const int Depth = 32;
        const int Blocks = 256;
        SynchronizationContext.SetSynchronizationContext(null); // The test runner's would take the continuations elsewhere, the engine's loops with them.
        var options = new VolumeOptions { SegmentBytes = 64 << 20, SealAfter = TimeSpan.FromHours(1) };
        await using var world = new VolumeWorld { BlockBytes = 4096 };
        await world.CreateAsync(Blocks * 4096);
        var journal = new JournalOptions { Directory = null, CapacityBytes = 1 << 30 };
        var opener = new VolumeOpener(world.Store, options, journal, "test", TimeProvider.System, new Random(1), NullLogger.Instance);
        await using var volume = await opener.OpenAsync(VolumeWorld.Name, default);
        var unit = new LogicalUnit(volume, new LogicalUnitOptions());
        using var memory = new NativeBuffer(4096);
        memory.Span.Fill(0xA5);
        var commands = Enumerable.Range(0, Depth).Select(_ => new ScsiCommand()).ToArray();
        var running = new ValueTask[Depth];
        var cdb = new byte[10];
        cdb[0] = 0x2A;
        cdb[8] = 1;
        var random = new Random(7);
        for (var i = 0; i < 200; i++) RunBurst();

        var allocated = Allocations.Least(() =>
        {
            for (var i = 0; i < 10; i++) RunBurst();
        });

        Assert.All(commands, command => Assert.Equal(ScsiStatus.Good, command.Status));
#if !DEBUG
        Assert.Equal(0, allocated);
#else
        Assert.True(allocated >= 0);
#endif

        void RunBurst()
        {
            unit.BeginBurst();
            for (var i = 0; i < Depth; i++)
            {
                cdb[5] = (byte)random.Next(Blocks);
                commands[i].Begin(cdb);
                commands[i].Data.Add(memory);
                running[i] = unit.ExecuteAsync(commands[i], CancellationToken.None);
            }

            unit.EndBurst();
            foreach (var command in running)
            {
                while (!command.IsCompleted) Thread.Yield(); // At first the engine's loops may still be on their way to where they wait.
                command.GetAwaiter().GetResult();
            }
        }
    }

    private static async Task<VolumeWorld> OpenedAsync()
    {
        var world = new VolumeWorld();
        await world.CreateAsync();
        world.Options.SealAfter = TimeSpan.FromHours(1); // Else superblocks are written, and flushed, in between.
        await world.OpenAsync();
        return world;
    }
}
