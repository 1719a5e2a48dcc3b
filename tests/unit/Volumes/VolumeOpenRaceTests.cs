using Gateway.Backends.Core;
using Xunit;

namespace Gateway.Volumes.Tests;

/// <summary>What an opening meets when the bucket changes between its looks.</summary>
public class VolumeOpenRaceTests
{
    [Fact]
    public async Task Open_CheckpointReplacedBetweenListingAndReading_ReadsTheNewOne()
    {
        await using var world = await CheckpointedAsync();
        var store = new VanishingCheckpoints(world.Store, reads: 1);

        await world.OpenAsync(store);

        Assert.Equal(1, store.Vanished);
        Assert.Equal(VolumeWorld.Tagged(7, 8), await world.ReadAsync(0, 8));
    }

    [Fact]
    public async Task Open_CheckpointListedButNotThere_CanBeTriedAgainAndChangesNothing()
    {
        await using var world = await CheckpointedAsync();
        var before = world.Store.Blobs.Keys.ToHashSet();

        var failure = await Assert.ThrowsAsync<BlobStoreException>(() => world.OpenAsync(new VanishingCheckpoints(world.Store, reads: int.MaxValue)));

        Assert.True(failure.IsTransient);
        Assert.Contains("vol/checkpoints/", failure.Message, StringComparison.Ordinal);
        Assert.Equal(before, world.Store.Blobs.Keys.ToHashSet());
        await world.OpenAsync();
        Assert.Equal(VolumeWorld.Tagged(7, 8), await world.ReadAsync(0, 8));
    }

    private static async Task<VolumeWorld> CheckpointedAsync()
    {
        var world = new VolumeWorld();
        await world.CreateAsync();
        await world.OpenAsync();
        await world.WriteAsync(0, VolumeWorld.Tagged(7, 8));
        await world.CloseAsync();
        Assert.Contains(world.Store.Blobs.Keys, k => k.StartsWith("vol/checkpoints/", StringComparison.Ordinal));
        return world;
    }

    /// <summary>A store whose listings show checkpoints that are gone when they are first asked for.</summary>
    private sealed class VanishingCheckpoints(IBlobStore inner, int reads) : DelegatingBlobStore(inner)
    {
        public int Vanished { get; private set; }

        public override ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
        {
            if (Vanished >= reads || !key.Value.StartsWith("vol/checkpoints/", StringComparison.Ordinal)) return base.ReadAsync(key, offsetBytes, destination, cancellationToken);
            Vanished++;
            throw new BlobStoreException(BlobErrorKind.NotFound, $"There is no blob '{key}'.");
        }
    }
}
