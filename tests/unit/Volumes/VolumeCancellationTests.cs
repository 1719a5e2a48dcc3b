using Gateway.Scsi;
using Gateway.Tests.Shared.Stores;
using Gateway.Volumes.Tests.Leases;
using Gateway.Volumes.Tests.Reading;
using Xunit;

namespace Gateway.Volumes.Tests;

/// <summary>Commands that are cancelled while their volume waits for the store or for its lease.</summary>
public class VolumeCancellationTests
{
    private const int MiB = 1 << 20;
    private const ulong BehindTheHead = (1 << 20) / 512;

    [Fact]
    public async Task Read_CancelledWhileItsFrameIsFetched_EndsAtOnceAndTheFetchGoesOnForOthers()
    {
        await using var world = await ReadWorld.WrittenAsync(4 * MiB);
        var (asked, held) = (new TaskCompletionSource(), new TaskCompletionSource());
        world.Store.Before = _ =>
        {
            asked.TrySetResult();
            return held.Task;
        };
        using var cancellation = new CancellationTokenSource();
        using var buffer = new Scsi.Interop.NativeBuffer(4096);
        buffer.Span.Fill(0xEE);
        var list = new ScatterList();
        list.Add(buffer);
        var read = world.World.Volume.ReadAsync(new BlockRange(2 * MiB / 4096, 1), list, cancellation.Token).AsTask();
        await asked.Task;
        var other = world.ReadsRightAsync((2 * MiB) + 4096, 4096);

        cancellation.Cancel();

        Assert.Equal(BlockError.Aborted, (await read).Error);
        held.SetResult();
        Assert.True(await other);
        Assert.False(buffer.Span.ContainsAnyExcept((byte)0xEE)); // The frame came, but not to where nobody waits any more.
        Assert.True(await world.ReadsRightAsync(2 * MiB, 4096));
        Assert.Single(world.Store.Requests);
    }

    [Fact]
    public async Task Read_CancelledWhileItsMapLeafIsLoaded_EndsAtOnce()
    {
        await using var world = new VolumeWorld();
        await world.CreateAsync(2 * MiB);
        await world.OpenAsync();
        await world.WriteAsync(BehindTheHead, VolumeWorld.Tagged(1, 8));
        await world.CloseAsync();
        var store = new FaultyBlobStore(world.Store, 1, TimeProvider.System);
        await world.OpenAsync(store);
        var (asked, held) = (new TaskCompletionSource(), new TaskCompletionSource());
        store.BeforeRequest = async (_, _, _) =>
        {
            asked.TrySetResult();
            await held.Task;
        };
        using var cancellation = new CancellationTokenSource();
        var read = world.TryReadAsync(BehindTheHead, 8, cancellation.Token);
        await asked.Task;
        Assert.False(read.IsCompleted);

        cancellation.Cancel();

        Assert.Equal(BlockError.Aborted, (await read).Result.Error);
        held.SetResult();
        Assert.Equal(VolumeWorld.Tagged(1, 8), await world.ReadAsync(BehindTheHead, 8));
    }

    [Fact]
    public async Task Read_CancelledBeforeItBegan_WithMissesEndsAborted()
    {
        await using var world = await ReadWorld.WrittenAsync(4 * MiB);
        var held = new TaskCompletionSource();
        world.Store.Before = _ => held.Task;

        Assert.Equal(BlockError.Aborted, (await world.World.TryReadAsync(2 * MiB / 4096, 1, new CancellationToken(canceled: true))).Result.Error);

        held.SetResult();
    }

    /// <summary>What is held had its effect, but for reads and flushes; none of it is told late.</summary>
    [Fact]
    public void Held_ForTheLease_CancelledOnesEndAtOnce() => LeaseWorld.Run(async world =>
    {
        var writer = await world.ServingAsync("a");
        Assert.True((await writer.WriteAsync(1)).IsSuccess);
        writer.Store.Faults = new StoreFaults { Outage = true };
        await world.PassAsync(LeaseWorld.Lease);
        using var cancellation = new CancellationTokenSource();
        var write = writer.WriteAsync(2, lba: 8, cancellationToken: cancellation.Token);
        var read = writer.ReadErrorAsync(cancellationToken: cancellation.Token);
        var flush = writer.FlushAsync(cancellation.Token);
        var late = writer.WriteAsync(3, lba: 16, cancellationToken: cancellation.Token); // Waits before it begins.
        var patient = writer.WriteAsync(4, lba: 24);
        await world.PassAsync(TimeSpan.FromSeconds(1));
        Assert.DoesNotContain(new Task[] { write, read, flush, late, patient }, task => task.IsCompleted);
        var at = world.Time.GetTimestamp();

        cancellation.Cancel();
        BlockError[] ended = [(await write).Error, (await read).Error, (await flush).Error, (await late).Error];

        Assert.Equal([BlockError.StoreUnavailable, BlockError.Aborted, BlockError.Aborted, BlockError.Aborted], ended);
        Assert.Equal(at, world.Time.GetTimestamp());
        writer.Store.Faults = new StoreFaults();
        Assert.True((await patient).IsSuccess);
        Assert.Equal(VolumeWorld.Tagged(2, 8), await writer.ReadAsync(8));
        Assert.Equal(new byte[8 * VolumeWorld.BlockDefaultBytes], await writer.ReadAsync(16));
        await writer.Volume.DisposeAsync();
    });

    [Fact]
    public async Task Write_InPieces_CancelledAfterTheFirst_SaysNotThatItHadNoEffect()
    {
        await using var world = new VolumeWorld { BlockBytes = 4096 };
        world.JournalOptions.CapacityBytes = 12 * MiB;
        world.Options.SealAfter = TimeSpan.FromHours(1);
        await world.CreateAsync(32 * MiB);
        var store = new FaultyBlobStore(world.Store, 1, TimeProvider.System);
        await world.OpenAsync(store);
        var (asked, held) = (new TaskCompletionSource(), new TaskCompletionSource());
        store.BeforeRequest = async (_, _, _) =>
        {
            asked.TrySetResult();
            await held.Task;
        };
        using var cancellation = new CancellationTokenSource();
        var write = VolumeWorld.WriteAsync(world.Volume, 0, VolumeWorld.Tagged(7, 16 * MiB / 4096, 4096), cancellationToken: cancellation.Token);
        await asked.Task; // The first piece is in the journal, and what makes room for the second one hangs.

        cancellation.Cancel();

        Assert.Equal(BlockError.StoreUnavailable, (await write).Error);
        held.SetResult();
    }
}
