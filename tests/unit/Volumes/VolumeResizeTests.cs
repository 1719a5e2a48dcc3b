using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Tests.Shared;
using Gateway.Tests.Shared.Stores;
using Gateway.Volumes.Checking;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Tests.Leases;
using Gateway.Volumes.Tests.Names;
using Xunit;

namespace Gateway.Volumes.Tests;

/// <summary>A volume grows while it is served: what is behind the old end is empty, can be written, and survives what the rest survives.</summary>
public class VolumeResizeTests
{
    private const long Small = 2 << 20;
    private const long Large = 5L << 30; // More pages of the map than one.
    private const ulong OldEnd = Small / VolumeWorld.BlockDefaultBytes;
    private const ulong NewEnd = Large / VolumeWorld.BlockDefaultBytes;

    [Fact]
    public async Task Resize_OpenVolume_TakesWritesUpToItsNewEnd()
    {
        await using var world = await WrittenAsync();

        Assert.True(await world.Volume.ResizeAsync(Large, default));
        Assert.False(await world.Volume.ResizeAsync(Large, default));

        Assert.Equal((NewEnd, Large), (world.Volume.Geometry.CapacityBlocks, world.Volume.SizeBytes));
        Assert.Equal(new byte[16 * 512], await world.ReadAsync(OldEnd, 16));
        Assert.Equal(new byte[16 * 512], await world.ReadAsync(NewEnd - 16, 16));
        await world.WriteAsync(OldEnd - 8, VolumeWorld.Tagged(2, 16));
        await world.WriteAsync(NewEnd - 8, VolumeWorld.Tagged(3, 8));
        await world.CloseAsync();
        world.LoseJournal();
        await world.OpenAsync();
        Assert.Equal(NewEnd, world.Volume.Geometry.CapacityBlocks);
        Assert.Equal(VolumeWorld.Tagged(1, 8), await world.ReadAsync(0, 8));
        Assert.Equal(VolumeWorld.Tagged(2, 16), await world.ReadAsync(OldEnd - 8, 16));
        Assert.Equal(VolumeWorld.Tagged(3, 8), await world.ReadAsync(NewEnd - 8, 8));
        await world.CloseAsync();
        Assert.True((await new VolumeChecker(world.Store, VolumeWorld.Name).RunAsync(default)).IsClean);
    }

    /// <summary>What only the journal has of the new blocks is replayed.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Resize_CrashBeforeTheNewBlocksAreInTheBucket_ReplaysThem(bool powerCut)
    {
        await using var world = await WrittenAsync();
        world.Options.SealAfter = TimeSpan.FromHours(1);
        await world.Volume.ResizeAsync(Large, default);
        await world.WriteAsync(NewEnd - 8, VolumeWorld.Tagged(3, 8), fua: true);

        if (powerCut) world.CutPower();
        else world.Kill();
        await world.OpenAsync();

        Assert.Equal(VolumeWorld.Tagged(3, 8), await world.ReadAsync(NewEnd - 8, 8));
        Assert.Equal(VolumeWorld.Tagged(1, 8), await world.ReadAsync(0, 8));
    }

    [Fact]
    public async Task Resize_CutOffAfterTheRecord_VolumeOpensAtTheNewSize()
    {
        await using var world = await WrittenAsync();
        var store = new HookedBlobStore(world.Store);
        await world.CloseAsync();
        await world.OpenAsync(store);
        store.AfterPut = key =>
        {
            if (key.Value.Contains("/volume/", StringComparison.Ordinal)) world.Kill();
            return Task.CompletedTask;
        };

        await Assert.ThrowsAnyAsync<Exception>(() => world.Volume.ResizeAsync(Large, new CancellationTokenSource(TimeSpan.FromMilliseconds(200)).Token));

        Assert.Equal(OldEnd, world.Volume.Geometry.CapacityBlocks);
        await world.OpenAsync();
        Assert.Equal(NewEnd, world.Volume.Geometry.CapacityBlocks);
        Assert.Equal(VolumeWorld.Tagged(1, 8), await world.ReadAsync(0, 8));
    }

    [Fact]
    public async Task Resize_OfAClosedVolumeCutOffAfterAnyRequest_HasOneOfBothSizes()
    {
        await using var world = await WrittenAsync();
        await world.CloseAsync();

        await Interruption.AfterEachRequestAsync(
            world.Store,
            store => new VolumeCatalog(store, TimeProvider.System).ResizeAsync(VolumeWorld.Name, Large, default),
            async (bucket, ended) => Assert.Contains((await new VolumeCatalog(bucket, TimeProvider.System).DescribeAsync(VolumeWorld.Name, default)).SizeBytes, ended ? [Large] : new[] { Small, Large }),
            async bucket => Assert.Equal(Large, (await new VolumeCatalog(bucket, TimeProvider.System).DescribeAsync(VolumeWorld.Name, default)).SizeBytes));
    }

    [Theory]
    [InlineData(Small - 512, "cannot be made smaller")]
    [InlineData(Small + 100, "not a multiple of the block size")]
    [InlineData(VolumeSpec.SizeMaxBytes + 512, "64 TiB")]
    public async Task Resize_SizeThatCannotBe_IsRefusedAndChangesNothing(long sizeBytes, string why)
    {
        await using var world = await WrittenAsync();
        var before = world.Store.Blobs.Keys.Count(k => k.Contains("/volume/", StringComparison.Ordinal));

        foreach (var resize in new Func<Task>[] { () => world.Volume.ResizeAsync(sizeBytes, default), () => new VolumeCatalog(world.Store, TimeProvider.System).ResizeAsync(VolumeWorld.Name, sizeBytes, default) })
        {
            var refusal = await Assert.ThrowsAsync<VolumeException>(resize);
            Assert.Equal(VolumeErrorKind.InvalidArgument, refusal.Kind);
            Assert.Contains(why, refusal.Message, StringComparison.Ordinal);
        }

        Assert.Equal(OldEnd, world.Volume.Geometry.CapacityBlocks);
        Assert.Equal(before, world.Store.Blobs.Keys.Count(k => k.Contains("/volume/", StringComparison.Ordinal)));
    }

    /// <summary>The daemon takes on what a command has made of its volume.</summary>
    [Fact]
    public async Task Refresh_GrownInTheBucketBySomebodyElse_TakesItOn()
    {
        await using var world = await WrittenAsync();
        Assert.False(await world.Volume.RefreshAsync(default));
        await new VolumeCatalog(world.Store, TimeProvider.System).ResizeAsync(VolumeWorld.Name, Large, default);

        Assert.True(await world.Volume.RefreshAsync(default));

        await world.WriteAsync(NewEnd - 8, VolumeWorld.Tagged(3, 8));
        Assert.Equal(VolumeWorld.Tagged(3, 8), await world.ReadAsync(NewEnd - 8, 8));
        Assert.Equal(VolumeErrorKind.InvalidArgument, (await Assert.ThrowsAsync<VolumeException>(() => world.Volume.ResizeAsync(Large / 2, default))).Kind);
    }

    [Fact]
    public async Task Resize_ClosedVolume_IsRefused()
    {
        await using var world = await WrittenAsync();
        await world.CloseAsync();

        await Assert.ThrowsAsync<VolumeException>(() => world.Volume.ResizeAsync(Large, default));

        Assert.Equal(Small, (await new VolumeCatalog(world.Store, TimeProvider.System).DescribeAsync(VolumeWorld.Name, default)).SizeBytes);
    }

    /// <summary>An opening that read the record before the owner grew, and claims after: it opens at the size that was acknowledged, with what was written there.</summary>
    [Fact]
    public async Task Resize_WhileAnotherGatewayOpens_IsSeenByIt()
    {
        await using var world = await WrittenAsync();
        var store = new HookedBlobStore(world.Store)
        {
            BeforePut = async key =>
            {
                if (!key.Value.Contains("/epochs/", StringComparison.Ordinal)) return;
                await world.Volume.ResizeAsync(Large, default);
                await world.WriteAsync(NewEnd - 8, VolumeWorld.Tagged(3, 8));
                await world.Volume.DrainAsync(default);
            },
        };

        await using var successor = await world.NewOpener(new SimulatedJournalDirectory(), store).OpenAsync(VolumeWorld.Name, default);

        Assert.Equal(NewEnd, successor.Geometry.CapacityBlocks);
        Assert.Equal(VolumeWorld.Tagged(3, 8), await VolumeWorld.ReadAsync(successor, NewEnd - 8, 8));
        Assert.Equal(VolumeWorld.Tagged(1, 8), await VolumeWorld.ReadAsync(successor, 0, 8));
    }

    /// <summary>Its segments may be listed before its new size is read: then they do not look damaged.</summary>
    [Fact]
    public async Task Resize_WhileTheLogIsBeingRead_IsNoDamage()
    {
        await using var world = await WrittenAsync();
        var store = new FaultyBlobStore(world.Store, 1, TimeProvider.System);
        var grown = false;
        store.BeforeRequest = async (request, subject, _) =>
        {
            if (grown || request != "list" || !subject.Contains("/log/", StringComparison.Ordinal)) return;
            grown = true;
            await world.Volume.ResizeAsync(Large, default);
            await world.WriteAsync(NewEnd - 8, VolumeWorld.Tagged(3, 8));
            await world.Volume.DrainAsync(default);
        };

        var info = await new VolumeCatalog(store, TimeProvider.System).DescribeAsync(VolumeWorld.Name, default);

        Assert.True(grown);
        Assert.Equal((Large, 2), (info.SizeBytes, info.LastWriteNumber));
    }

    /// <summary>A gateway that slept between its record and its look must not grow: its successor may serve the old size, and knows nothing of its writes.</summary>
    [Fact]
    public void Resize_FencedMeanwhile_DoesNotTakeEffect() => LeaseWorld.Run(async world =>
    {
        var first = await world.ServingAsync("first");
        await first.WriteAsync(1);
        await first.Volume.DrainAsync(default);
        first.Suspend();
        var resize = first.Volume.ResizeAsync(Large, default);
        var second = await world.ServingAsync("second");

        first.Resume();
        var failure = await Assert.ThrowsAsync<VolumeException>(() => resize);

        Assert.Equal(VolumeErrorKind.Fenced, failure.Kind);
        Assert.Equal(1 << 20, first.Volume.SizeBytes);
        Assert.Equal(VolumeWorld.Tagged(1, 8), await second.ReadAsync());
        Assert.Equal(second.Volume.SizeBytes < Large, await second.Volume.RefreshAsync(default));
        await Task.WhenAll(first.Volume.DisposeAsync().AsTask(), second.Volume.DisposeAsync().AsTask());
    });

    /// <summary>Growing step by step among writes, checkpoints and cleaning: every block is what was written last.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Resize_AmongWritesAndCrashes_EveryBlockIsWhatWasWritten(int seed)
    {
        var random = new Random(seed);
        await using var world = new VolumeWorld { Random = new Random(seed) };
        await world.CreateAsync(Small);
        var model = new Dictionary<ulong, long>();
        await world.OpenAsync();
        long size = Small, tag = 0;
        for (var round = 0; round < 12; round++)
        {
            for (var i = 0; i < 60; i++)
            {
                // Some places again and again, so that there is something to clean.
                var place = random.Next(3) == 0 ? (ulong)random.Next(8) : (ulong)random.NextInt64(size / 512 / 8);
                var lba = random.Next(5) == 0 ? (ulong)(size / 512) - 8 : place * 8;
                Assert.Equal(BlockResult.Success, await world.WriteAsync(lba, VolumeWorld.Tagged(++tag, 8)));
                model[lba] = tag;
            }

            var resize = world.Volume.ResizeAsync(size += random.NextInt64(1, 1 << 18) * 4096, default);
            for (var i = 0; i < 10; i++)
            {
                Assert.Equal(BlockResult.Success, await world.WriteAsync((ulong)i * 8, VolumeWorld.Tagged(++tag, 8)));
                model[(ulong)i * 8] = tag;
            }

            await resize;
            if (random.Next(3) != 0) continue;
            world.Kill();
            await world.OpenAsync();
            Assert.Equal(size, world.Volume.SizeBytes);
        }

        foreach (var (lba, written) in model) Assert.Equal(VolumeWorld.Tagged(written, 8), await world.ReadAsync(lba, 8));
        await world.CloseAsync();
        Assert.True((await new VolumeChecker(world.Store, VolumeWorld.Name).RunAsync(default)).IsClean);
    }

    private static async Task<VolumeWorld> WrittenAsync()
    {
        var world = new VolumeWorld();
        await world.CreateAsync(Small);
        await world.OpenAsync();
        await world.WriteAsync(0, VolumeWorld.Tagged(1, 8));
        await world.Volume.DrainAsync(default);
        return world;
    }
}
