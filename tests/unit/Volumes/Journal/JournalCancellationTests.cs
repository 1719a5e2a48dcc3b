using Gateway.Scsi;
using Gateway.Tests.Shared;
using Gateway.Volumes.Journal;
using Xunit;

namespace Gateway.Volumes.Tests.Journal;

/// <summary>Writes and flushes that are cancelled while they wait: they end at once, on a clock that stands still, and have no effect later.</summary>
public class JournalCancellationTests
{
    [Fact]
    public async Task Write_CancelledWhileTheJournalIsFull_IsNeverWritten()
    {
        await using var world = await FullAsync();
        using var cancellation = new CancellationTokenSource();
        var write = world.WriteAsync(0xEE, cancellationToken: cancellation.Token);
        Assert.False(write.IsCompleted);
        var before = world.Batches.Count;

        cancellation.Cancel();

        Assert.Equal(BlockError.Aborted, (await write).Error);
        world.Appender.Release(world.Appender.AppendedPosition);
        Assert.Equal(BlockResult.Success, await world.WriteAsync());
        Assert.Equal(before + 1, world.Batches.Count);
    }

    [Fact]
    public async Task Write_CancelledBehindOneThatWaits_LeavesTheQueueAndTheOthersGoOn()
    {
        await using var world = await FullAsync();
        using var cancellation = new CancellationTokenSource();
        var first = world.WriteAsync();
        var second = world.WriteAsync(blocks: 2, cancellationToken: cancellation.Token);
        var third = world.WriteAsync();
        var before = world.Batches.Count;

        cancellation.Cancel();

        Assert.Equal(BlockError.Aborted, (await second).Error);
        Assert.False(first.IsCompleted || third.IsCompleted);
        world.Appender.Release(world.Appender.AppendedPosition);
        Assert.Equal(BlockResult.Success, await first);
        Assert.Equal(BlockResult.Success, await third);
        Assert.All(world.Batches.Skip(before).SelectMany(batch => batch.Records), record => Assert.Equal(1u, record.Blocks));
    }

    [Fact]
    public async Task Write_CancelledInABatchThatWaits_TheRestOfTheBatchIsWritten()
    {
        await using var world = await FullAsync();
        using var cancellation = new CancellationTokenSource();
        world.Appender.BeginBurst();
        var first = world.WriteAsync(cancellationToken: cancellation.Token);
        var second = world.WriteAsync(blocks: 2);
        world.Appender.EndBurst();
        var before = world.Batches.Count;

        cancellation.Cancel();

        Assert.Equal(BlockError.Aborted, (await first).Error);
        world.Appender.Release(world.Appender.AppendedPosition);
        Assert.Equal(BlockResult.Success, await second);
        Assert.Equal(2u, Assert.Single(Assert.Single(world.Batches.Skip(before)).Records).Blocks);
    }

    [Fact]
    public async Task Write_CancelledWhileHeldBack_EndsAtOnce()
    {
        await using var world = await AppenderWorld.CreateAsync(new VolumeOptions { HighWaterPercent = 50 }, 100);
        await world.FillPastTheMarkAsync(90);
        using var cancellation = new CancellationTokenSource();
        var write = world.WriteAsync(cancellationToken: cancellation.Token);
        Assert.False(write.IsCompleted);

        cancellation.Cancel();

        Assert.Equal(BlockError.Aborted, (await write).Error);
    }

    [Fact]
    public async Task Flush_CancelledWhileTheBucketIsAwaited_IsAborted()
    {
        await using var world = await AppenderWorld.CreateAsync(new VolumeOptions { Durability = Durability.Bucket }, 100);
        await world.WriteAsync();
        using var cancellation = new CancellationTokenSource();
        var cancelled = world.Appender.FlushAsync(cancellation.Token).AsTask();
        var other = world.Appender.FlushAsync(default).AsTask();

        cancellation.Cancel();

        Assert.Equal(BlockError.Aborted, (await cancelled).Error);
        Assert.False(other.IsCompleted);
        world.Appender.Release(world.Appender.AppendedPosition);
        Assert.Equal(BlockResult.Success, await other);
    }

    [Fact]
    public async Task ForcedWrite_CancelledWhileTheBucketIsAwaited_SaysNotThatItHadNoEffect()
    {
        await using var world = await AppenderWorld.CreateAsync(new VolumeOptions { Durability = Durability.Bucket }, 100);
        using var cancellation = new CancellationTokenSource();
        var write = world.WriteAsync(fua: true, cancellationToken: cancellation.Token);
        Assert.False(write.IsCompleted);

        cancellation.Cancel();

        Assert.Equal(BlockError.StoreUnavailable, (await write).Error);
        Assert.Single(world.Batches); // It is written: reads see it, and the next flush makes it durable.
    }

    [Fact]
    public async Task Write_CancelledAfterItEnded_HasNoBearingOnThoseThatComeLater()
    {
        await using var world = await AppenderWorld.CreateAsync(new VolumeOptions { Durability = Durability.Bucket }, 100);
        using var cancellation = new CancellationTokenSource();
        var first = world.WriteAsync(fua: true, cancellationToken: cancellation.Token);
        world.Appender.Release(world.Appender.AppendedPosition);
        Assert.Equal(BlockResult.Success, await first);
        var second = world.WriteAsync(fua: true); // With the same request object.
        await world.AppendedAsync(2);

        cancellation.Cancel();

        Assert.False(second.IsCompleted);
        world.Appender.Release(world.Appender.AppendedPosition);
        Assert.Equal(BlockResult.Success, await second);
    }

    [Fact]
    public void Request_WatchesATokenThatLastsAsLongAsItsCommand_AllocatesNothing()
    {
        using var cancellation = new CancellationTokenSource();
        var request = new AppendRequest(static _ => { }, static () => { });

        var allocated = Allocations.Least(() =>
        {
            for (var i = 0; i < 100; i++)
            {
                var result = request.Begin(default, null, false, 0, cancellation.Token);
                request.WatchCancellation();
                request.Complete(BlockResult.Success);
                result.GetAwaiter().GetResult();
            }
        });

        Assert.Equal(0, allocated);
    }

    private static async Task<AppenderWorld> FullAsync()
    {
        var world = await AppenderWorld.CreateAsync(new VolumeOptions { HighWaterPercent = 100 }, 20);
        await world.FillAsync(20);
        return world;
    }
}
