using Gateway.Scsi;
using Gateway.Tests.Shared;
using Gateway.Tests.Shared.Stores;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Volumes.Tests;

/// <summary>What a flush is worth, with each durability, when the machine is lost.</summary>
public class VolumeDurabilityTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Bucket_MachineLostAfterAFlushOrAForcedWrite_HoldsWhatWasAcknowledged(bool forced)
    {
        await using var world = await OpenedAsync(Durability.Bucket);
        Assert.Equal(BlockResult.Success, await world.WriteAsync(0, VolumeWorld.Tagged(1, 4), fua: forced));
        if (!forced) Assert.Equal(BlockResult.Success, await world.Volume.FlushAsync(default));

        world.Kill();
        world.LoseJournal();
        await world.OpenAsync();

        Assert.Equal(VolumeWorld.Tagged(1, 4), await world.ReadAsync(0, 4));
    }

    [Fact]
    public async Task Bucket_StoreAway_FlushWaitsForIt()
    {
        await using var world = new VolumeWorld();
        world.Options.Durability = Durability.Bucket;
        await world.CreateAsync();
        var store = new FaultyBlobStore(world.Store, 1, TimeProvider.System);
        await world.OpenAsync(store);
        var back = new TaskCompletionSource();
        var asked = new TaskCompletionSource();
        store.BeforeRequest = async (_, _, _) =>
        {
            asked.TrySetResult();
            await back.Task;
        };
        await world.WriteAsync(0, VolumeWorld.Tagged(1, 4));

        var flush = world.Volume.FlushAsync(default).AsTask();
        await asked.Task;
        Assert.False(flush.IsCompleted);
        back.SetResult();

        Assert.Equal(BlockResult.Success, await flush);
    }

    [Fact]
    public async Task Journal_Flush_AsksNothingOfTheStore()
    {
        await using var world = new VolumeWorld();
        await world.CreateAsync();
        world.Options.SealAfter = TimeSpan.FromHours(1);
        var store = new FaultyBlobStore(world.Store, 1, TimeProvider.System);
        await world.OpenAsync(store);
        store.BeforeRequest = (_, _, _) => throw new InvalidOperationException("Nothing should be asked (by design of the test).");
        await world.WriteAsync(0, VolumeWorld.Tagged(1, 4));

        Assert.Equal(BlockResult.Success, await world.Volume.FlushAsync(default));

        store.BeforeRequest = null;
        world.CutPower();
        await world.OpenAsync();
        Assert.Equal(VolumeWorld.Tagged(1, 4), await world.ReadAsync(0, 4));
    }

    [Fact]
    public async Task NoJournalDirectory_FlushGoesToTheBucketWhateverIsConfigured()
    {
        var store = new MemoryBlobStore();
        await new VolumeCatalog(store, TimeProvider.System).CreateAsync(VolumeWorld.Name, new VolumeSpec(1 << 20, 512), default);
        var options = new VolumeOptions { Durability = Durability.Journal, SealAfter = TimeSpan.FromHours(1), CloseTimeout = TimeSpan.Zero, LeaseLength = TimeSpan.Zero };
        var lost = await NewOpener().OpenAsync(VolumeWorld.Name, default);
        Assert.Equal(BlockResult.Success, await VolumeWorld.WriteAsync(lost, 0, VolumeWorld.Tagged(1, 4)));
        Assert.Equal(VolumeWorld.Tagged(1, 4), await VolumeWorld.ReadAsync(lost, 0, 4)); // From memory.
        Assert.Equal(BlockResult.Success, await lost.FlushAsync(default));
        Assert.Equal(BlockResult.Success, await VolumeWorld.WriteAsync(lost, 100, VolumeWorld.Tagged(2, 4)));

        // Another gateway takes over what the bucket has; the first one never learns of it.
        await using (var volume = await NewOpener().OpenAsync(VolumeWorld.Name, default))
        {
            Assert.Equal(VolumeWorld.Tagged(1, 4), await VolumeWorld.ReadAsync(volume, 0, 4));
            Assert.Equal(new byte[4 * 512], await VolumeWorld.ReadAsync(volume, 100, 4)); // Nobody was promised that.
        }

        await lost.DisposeAsync();

        VolumeOpener NewOpener() =>
            new(store, options, new JournalOptions { Directory = null, CapacityBytes = 1 << 20 }, "test", TimeProvider.System, new Random(1), NullLogger.Instance);
    }

    private static async Task<VolumeWorld> OpenedAsync(Durability durability)
    {
        var world = new VolumeWorld();
        world.Options.Durability = durability;
        world.Options.SealAfter = TimeSpan.FromHours(1); // So that nothing but the flush brings it to the bucket.
        await world.CreateAsync();
        await world.OpenAsync();
        return world;
    }
}
