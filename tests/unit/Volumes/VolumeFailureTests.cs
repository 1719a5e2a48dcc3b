using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Tests.Shared;
using Gateway.Tests.Shared.Stores;
using Xunit;

namespace Gateway.Volumes.Tests;

/// <summary>Whatever breaks, by fault or by bug: every command ends, and what was acknowledged stays.</summary>
public class VolumeFailureTests
{
    /// <summary>The volume itself reads its first MiB when it opens.</summary>
    private const ulong BehindTheHead = (1 << 20) / VolumeWorld.BlockDefaultBytes;

    [Fact]
    public async Task Volume_DiskThrowsWhatItMustNot_EndsEveryCommandAndCloses()
    {
        await using var world = await OpenedAsync();
        world.Journals.Disks.Single().WriteFailure = new InvalidOperationException("A bug (by design of the test).");

        var writes = Enumerable.Range(0, 300).Select(i => world.WriteAsync((ulong)i, VolumeWorld.Tagged(1, 1), fua: i % 3 == 0)).ToArray();

        foreach (var write in writes) Assert.Equal(BlockError.Offline, (await write).Error);
        Assert.Equal(BlockError.Offline, (await world.Volume.FlushAsync(default)).Error);
        Assert.Equal(BlockError.Offline, world.Volume.Readiness.Error);
        await world.CloseAsync();
    }

    [Fact]
    public async Task Volume_StoreThrowsWhatItMustNot_IsTriedAgain()
    {
        await using var world = new VolumeWorld();
        await world.CreateAsync();
        var bugs = 0;
        var store = new FaultyBlobStore(world.Store, 1, TimeProvider.System);
        await world.OpenAsync(store);
        store.BeforeRequest = (_, _, _) => bugs++ switch
        {
            0 or 2 => throw new InvalidOperationException("A bug (by design of the test)."),
            1 => throw new TaskCanceledException("A timeout of its own (by design of the test)."),
            _ => default,
        };
        await world.WriteAsync(0, VolumeWorld.Tagged(1, 8));

        await world.Volume.DrainAsync(default);

        Assert.True(world.Volume.Readiness.IsSuccess);
        Assert.Contains(world.Store.Blobs.Keys, k => k.Contains("/log/", StringComparison.Ordinal));
    }

    /// <summary>Only a person can end these, and who knows when.</summary>
    [Theory]
    [InlineData(BlobErrorKind.AccessDenied)]
    [InlineData(BlobErrorKind.ContainerMissing)]
    [InlineData(BlobErrorKind.Rejected)]
    public async Task Volume_StoreRefusesManyTimes_UploadsTryAgainUntilItTakesThem(BlobErrorKind kind)
    {
        await using var world = new VolumeWorld();
        await world.CreateAsync();
        var refusals = 0;
        var store = new FaultyBlobStore(world.Store, 1, TimeProvider.System);
        await world.OpenAsync(store);
        store.BeforeRequest = (_, _, _) => Interlocked.Increment(ref refusals) <= 100 ? throw new BlobStoreException(kind, "By design of the test.") : default;
        await world.WriteAsync(0, VolumeWorld.Tagged(1, 8));

        await world.Volume.DrainAsync(default);

        Assert.True(refusals > 100);
        Assert.True(world.Volume.Readiness.IsSuccess);
    }

    [Fact]
    public async Task Volume_StoreThrowsWhatItMustNotOnARead_SaysSoAndRecovers()
    {
        await using var world = await OpenedAsync(2 << 20);
        await world.WriteAsync(BehindTheHead, VolumeWorld.Tagged(1, 8));
        await world.CloseAsync();
        var store = new FaultyBlobStore(world.Store, 1, TimeProvider.System);
        await world.OpenAsync(store);
        store.BeforeRequest = (_, _, _) => throw new InvalidOperationException("A bug (by design of the test).");

        Assert.Equal(BlockError.StoreUnavailable, (await world.TryReadAsync(BehindTheHead, 8)).Result.Error);
        store.BeforeRequest = null;
        Assert.Equal(VolumeWorld.Tagged(1, 8), await world.ReadAsync(BehindTheHead, 8));
    }

    [Fact]
    public async Task Volume_StoreDeafToCancellation_ReadEndsAtItsTimeout()
    {
        await using var world = await OpenedAsync(2 << 20);
        await world.WriteAsync(BehindTheHead, VolumeWorld.Tagged(1, 8));
        await world.CloseAsync();
        var store = new FaultyBlobStore(world.Store, 1, TimeProvider.System);
        world.Options.CommandTimeout = TimeSpan.FromMilliseconds(50);
        await world.OpenAsync(store);
        var never = new TaskCompletionSource();
        store.BeforeRequest = (_, _, _) => new ValueTask(never.Task);

        Assert.Equal(BlockError.StoreUnavailable, (await world.TryReadAsync(BehindTheHead, 8)).Result.Error);
        never.SetResult();
    }

    [Fact]
    public async Task Volume_EmptyWrites_LeaveALogThatOpens()
    {
        await using var world = await OpenedAsync();

        Assert.Equal(BlockResult.Success, await world.Volume.WriteAsync(new BlockRange(5, 0), new ScatterList(), true, default));
        Assert.Equal(BlockResult.Success, await world.Volume.ZeroAsync(new BlockRange(5, 0), false, default));
        await world.CloseAsync();
        world.LoseJournal();
        await world.OpenAsync();

        Assert.Equal(new byte[512], await world.ReadAsync(5, 1));
    }

    [Fact]
    public async Task Volume_MoreZeroedExtentsThanASegmentMayHold_MakesSeveralSegmentsThatOpen()
    {
        const int Extents = (1 << 20) + 1000;
        await using var world = await OpenedAsync(sizeBytes: 2L * Extents * 512, journalBytes: 64 << 20);
        world.Options.SealAfter = TimeSpan.FromHours(1);
        var pending = new ValueTask<BlockResult>[4096];
        for (var i = 0; i < Extents; i += pending.Length)
        {
            for (var j = 0; j < pending.Length; j++) pending[j] = world.Volume.ZeroAsync(new BlockRange((ulong)Math.Min(i + j, Extents - 1) * 2, 1), false, default);
            foreach (var zero in pending) Assert.Equal(BlockResult.Success, await zero);
        }

        await world.CloseAsync();
        world.LoseJournal();
        await world.OpenAsync();

        Assert.Equal(new byte[512], await world.ReadAsync(0, 1));
    }

    [Fact]
    public async Task Volume_DrainOfAFencedVolume_DoesNotClaimSuccess()
    {
        await using var world = await OpenedAsync();
        world.Options.SealAfter = TimeSpan.FromHours(1);
        await using var successor = await world.NewOpener(new SimulatedJournalDirectory()).OpenAsync(VolumeWorld.Name, default);
        await world.WriteAsync(0, VolumeWorld.Tagged(1, 8));

        await Assert.ThrowsAsync<VolumeException>(() => world.Volume.DrainAsync(default));

        Assert.Equal(BlockError.Standby, world.Volume.Readiness.Error);
    }

    [Theory]
    [InlineData(512, (5 << 20) + 512)]
    [InlineData(4096, (5 << 20) + 4096)]
    public async Task Volume_SizeNoMultipleOfASpan_ServesItsLastBlockAndRangesAcrossSpans(int blockBytes, long sizeBytes)
    {
        await using var world = new VolumeWorld { BlockBytes = blockBytes };
        world.JournalOptions.CapacityBytes = 32 << 20;
        await world.CreateAsync(sizeBytes);
        await world.OpenAsync();
        var data = new byte[sizeBytes - blockBytes];
        new Random(5).NextBytes(data);

        await world.WriteAsync(1, data);
        Assert.Equal(data, await world.ReadAsync(1, data.Length / blockBytes));
        await world.Volume.ZeroAsync(new BlockRange(3, 7), false, default);
        data.AsSpan(2 * blockBytes, 7 * blockBytes).Clear();
        await world.CloseAsync();
        world.LoseJournal();
        await world.OpenAsync();

        Assert.Equal(data, await world.ReadAsync(1, data.Length / blockBytes));
    }

    [Fact]
    public async Task Volume_ZeroOfMoreThanFourGiBAtTheEndOfTheLargestVolume_IsOneExtent()
    {
        await using var world = await OpenedAsync(sizeBytes: VolumeSpec.SizeMaxBytes);
        var last = (ulong)(VolumeSpec.SizeMaxBytes / 512) - 1;
        const uint Blocks = 10 << 21;
        await world.WriteAsync(last, VolumeWorld.Tagged(3, 1));
        await world.WriteAsync(last - Blocks, VolumeWorld.Tagged(4, 1));
        await world.Volume.DrainAsync(default);

        await world.Volume.ZeroAsync(new BlockRange(last - Blocks + 1, Blocks), false, default);
        await world.CloseAsync();
        world.LoseJournal();
        await world.OpenAsync();

        Assert.Equal(new byte[512], await world.ReadAsync(last, 1));
        Assert.Equal(VolumeWorld.Tagged(4, 1), await world.ReadAsync(last - Blocks, 1));
    }

    private static async Task<VolumeWorld> OpenedAsync(long sizeBytes = 1 << 20, long journalBytes = 1 << 20)
    {
        var world = new VolumeWorld();
        world.JournalOptions.CapacityBytes = journalBytes;
        await world.CreateAsync(sizeBytes);
        await world.OpenAsync();
        return world;
    }
}
