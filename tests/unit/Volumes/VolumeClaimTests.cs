using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Tests.Shared;
using Gateway.Tests.Shared.Stores;
using Xunit;

namespace Gateway.Volumes.Tests;

/// <summary>Openings that meet another writer, or their own earlier attempt, between any two of their steps.</summary>
public class VolumeClaimTests
{
    [Fact]
    public async Task Open_FailedClaimLandsLate_IsKnownAsOurs()
    {
        await using var world = new VolumeWorld();
        world.Options.SealAfter = TimeSpan.FromHours(1);
        await world.CreateAsync();
        await world.OpenAsync();
        await world.WriteAsync(0, VolumeWorld.Tagged(7, 8));
        world.Kill();
        var store = new LateClaimStore(world.Store);

        await Assert.ThrowsAsync<BlobStoreException>(() => world.OpenAsync(store));
        store.Lands = true;
        await world.OpenAsync(store);

        Assert.Equal(VolumeWorld.Tagged(7, 8), await world.ReadAsync(0, 8));
    }

    [Fact]
    public async Task Open_JournalOvertakenByALongerLog_IsKeptInsteadOfDropped()
    {
        await using var world = new VolumeWorld();
        world.Options.SealAfter = TimeSpan.FromHours(1);
        await world.CreateAsync();
        await world.OpenAsync();
        await world.WriteAsync(0, VolumeWorld.Tagged(1, 8));
        await world.Volume.FlushAsync(default);
        world.Kill();
        await using (var other = await NewOpener(world, world.Store).OpenAsync(VolumeWorld.Name, default))
        {
            for (ulong i = 0; i < 3; i++) await VolumeWorld.WriteAsync(other, 100 + i, VolumeWorld.Tagged(9, 1));
        }

        await world.OpenAsync();

        Assert.Equal(VolumeWorld.Tagged(9, 1), await world.ReadAsync(100, 1));
        Assert.Contains($"{world.Volume.Geometry.Id}.1.aside.journal", world.Journals.Names);
    }

    [Fact]
    public async Task Open_JournalOfAFormerOwnerThatIsAllInTheBucket_StartsAnew()
    {
        await using var world = await OpenedWithOneSegmentAsync();
        await world.CloseAsync();
        await using (var other = await NewOpener(world, world.Store).OpenAsync(VolumeWorld.Name, default))
        {
            await VolumeWorld.WriteAsync(other, 100, VolumeWorld.Tagged(9, 1));
        }

        for (var round = 0; round < 2; round++)
        {
            await world.OpenAsync();
            Assert.Equal(VolumeWorld.Tagged(9, 1), await world.ReadAsync(100, 1));
            await world.CloseAsync();
        }
    }

    [Fact]
    public async Task Open_FailsBeforeTheClaimWithANewJournal_SucceedsLater()
    {
        await using var world = await OpenedWithOneSegmentAsync();
        await world.CloseAsync();
        world.LoseJournal();
        var store = new FaultyBlobStore(world.Store, 1, TimeProvider.System)
        {
            BeforeRequest = (name, subject, _) => IsClaim(name, subject) ? throw new BlobStoreException(BlobErrorKind.Unavailable, "Away (by design of the test).") : default,
        };
        await Assert.ThrowsAsync<BlobStoreException>(() => world.OpenAsync(store));

        await world.OpenAsync();

        Assert.Equal(VolumeWorld.Tagged(1, 8), await world.ReadAsync(0, 8));
    }

    [Fact]
    public async Task Open_LateSegmentOfTheEpochBefore_DoesNotDisplaceWhatTheJournalHolds()
    {
        await using var world = new VolumeWorld();
        world.Options.SealAfter = TimeSpan.FromHours(1);
        await world.CreateAsync();
        await world.OpenAsync();
        await world.WriteAsync(0, VolumeWorld.Tagged(1, 8));
        await world.Volume.DrainAsync(default);
        var late = world.Store.Blobs.Single(b => b.Key.Contains("/log/", StringComparison.Ordinal));
        world.Store.Blobs.Remove(late.Key); // Still on its way, as far as the next opening can see.
        world.Kill();
        world.LoseJournal();
        await world.OpenAsync();
        await world.WriteAsync(0, VolumeWorld.Tagged(2, 8));
        world.Kill();
        world.Store.Blobs.Add(late);

        await world.OpenAsync();

        Assert.Equal(VolumeWorld.Tagged(2, 8), await world.ReadAsync(0, 8));
    }

    private static async Task<VolumeWorld> OpenedWithOneSegmentAsync()
    {
        var world = new VolumeWorld();
        await world.CreateAsync();
        await world.OpenAsync();
        await world.WriteAsync(0, VolumeWorld.Tagged(1, 8));
        await world.Volume.DrainAsync(default);
        return world;
    }

    private static bool IsClaim(string request, string subject) => request == "put" && subject.Contains("/epochs/", StringComparison.Ordinal);

    private static VolumeOpener NewOpener(VolumeWorld world, IBlobStore store) => world.NewOpener(new SimulatedJournalDirectory(), store);

    /// <summary>The first claim fails, and arrives just before the second.</summary>
    private sealed class LateClaimStore(MemoryBlobStore inner) : DelegatingBlobStore(inner)
    {
        private byte[]? _late;

        public bool Lands { get; set; }

        public override async ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken)
        {
            if (IsClaim("put", key.Value))
            {
                _late ??= content.ToArray();
                if (!Lands)
                {
                    throw new BlobStoreException(BlobErrorKind.Unavailable, "No answer (by design of the test).");
                }

                inner.Blobs.TryAdd(key.Value, _late);
            }

            await base.PutAsync(key, content, precondition, cancellationToken);
        }
    }
}
