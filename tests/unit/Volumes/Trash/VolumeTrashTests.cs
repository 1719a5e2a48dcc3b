using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Tests.Shared;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Journal;
using Gateway.Volumes.Leases;
using Gateway.Volumes.Log;
using Gateway.Volumes.Names;
using Gateway.Volumes.Tests.Leases;
using Gateway.Volumes.Tests.Names;
using Gateway.Volumes.Trash;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Volumes.Tests.Trash;

/// <summary>What is removed can be brought back until it is purged, and what is purged is gone as a whole.</summary>
public class VolumeTrashTests
{
    private static readonly TimeSpan Week = TimeSpan.FromDays(7);
    private static readonly byte[] Content = VolumeWorld.Tagged(7, 8);

    [Fact]
    public async Task Remove_ThenRestore_VolumeIsAsItWas()
    {
        await using var world = await WrittenAsync();
        var catalog = new VolumeCatalog(world.Store, TimeProvider.System);
        var trash = NewTrash(world.Store);

        await trash.RemoveAsync(VolumeWorld.Name, Week, false, default);

        Assert.Empty(await catalog.ListAsync(default));
        Assert.Equal(VolumeWorld.Name, Assert.Single(await trash.ListAsync(default)).Name);
        var refusal = await Assert.ThrowsAsync<VolumeException>(() => world.OpenAsync());
        Assert.Equal(VolumeErrorKind.NotFound, refusal.Kind);
        Assert.Contains("volume restore", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(VolumeErrorKind.AlreadyExists, (await Assert.ThrowsAsync<VolumeException>(() => world.CreateAsync())).Kind);
        await Assert.ThrowsAsync<VolumeException>(() => catalog.ResizeAsync(VolumeWorld.Name, 4 << 20, default));
        await Assert.ThrowsAsync<VolumeException>(() => new VolumeRenamer(world.Store, TimeProvider.System).RunAsync(VolumeWorld.Name, "new", default));

        await trash.RestoreAsync(VolumeWorld.Name, default);

        Assert.Empty(await trash.ListAsync(default));
        await world.OpenAsync();
        Assert.Equal(Content, await world.ReadAsync(0, 8));
    }

    /// <summary>A version that knows of no trash must not open what is in it.</summary>
    [Fact]
    public async Task Remove_Volume_IsAnnouncedAmongItsFeatures()
    {
        await using var world = await WrittenAsync();
        await NewTrash(world.Store).RemoveAsync(VolumeWorld.Name, Week, false, default);

        var (_, record) = await LogState.ReadNumberedVolumeAsync(world.Store, new VolumeKeys(VolumeWorld.Name), default);

        Assert.Contains("removed", record.Features);
        var unclear = RecordCodec.Encode(record with { Features = [] });
        Assert.Equal(VolumeErrorKind.Damaged, Assert.Throws<VolumeException>(() => RecordCodec.DecodeVolume(unclear, "record")).Kind);
    }

    [Fact]
    public void Remove_CutOffAfterAnyRequest_IsThereOrInTheTrashAndASecondRunEndsIt() => LeaseWorld.Run(async world =>
    {
        var gateway = await world.ServingAsync("gateway");
        await gateway.WriteAsync(1);
        await gateway.Volume.DisposeAsync();

        await Interruption.AfterEachRequestAsync(
            world.Bucket,
            store => Trash(store).RemoveAsync(GatewayProcess.VolumeName, Week, false, default),
            async (bucket, ended) =>
            {
                var (listed, trashed) = (await new VolumeCatalog(bucket, world.Time).ListAsync(default), await Trash(bucket).ListAsync(default));
                Assert.Equal(1, listed.Count + trashed.Count);
                if (ended) Assert.Single(trashed);
            },
            async bucket =>
            {
                Assert.True((await VolumeOwnership.ReadAsync(bucket, GatewayProcess.VolumeName, world.Time, default)).Released);
                await Trash(bucket).RestoreAsync(GatewayProcess.VolumeName, default);
                var second = new GatewayProcess("second", world.Time, bucket);
                await second.OpenAsync();
                Assert.Empty(second.Waits);
                Assert.Equal(VolumeWorld.Tagged(1, 8), await second.ReadAsync());
                await second.Volume.DisposeAsync();
            });

        VolumeTrash Trash(IBlobStore store) => new(store, new VolumeOptions(), "operator", world.Time, _ => { }, NullLogger.Instance);
    });

    [Fact]
    public async Task Restore_CutOffAfterAnyRequest_IsThereOrInTheTrashAndASecondRunEndsIt()
    {
        await using var world = await WrittenAsync();
        await NewTrash(world.Store).RemoveAsync(VolumeWorld.Name, Week, false, default);

        await Interruption.AfterEachRequestAsync(
            world.Store,
            store => NewTrash(store).RestoreAsync(VolumeWorld.Name, default),
            async (bucket, _) => Assert.Equal(1, (await new VolumeCatalog(bucket, TimeProvider.System).ListAsync(default)).Count + (await NewTrash(bucket).ListAsync(default)).Count),
            bucket => RestoreAndReadAsync(world, bucket));
    }

    /// <summary>Half a volume is never taken for one: by no opening, no listing, no restoration; and nothing of it is left in the end, its aliases included.</summary>
    [Fact]
    public async Task Purge_CutOffAfterAnyRequest_IsNeverAVolumeAgainAndLeavesNothing()
    {
        await using var world = await WrittenAsync();
        await new VolumeRenamer(world.Store, TimeProvider.System).RunAsync(VolumeWorld.Name, "new", default);
        await new VolumeRenamer(world.Store, TimeProvider.System).RunAsync("new", "newer", default);
        await NewTrash(world.Store).RemoveAsync("newer", TimeSpan.Zero, false, default);

        await Interruption.AfterEachRequestAsync(
            world.Store,
            store => NewTrash(store).PurgeExpiredAsync(true, null, default),
            async (bucket, ended) =>
            {
                Assert.Empty(await new VolumeCatalog(bucket, TimeProvider.System).ListAsync(default));
                foreach (var name in new[] { VolumeWorld.Name, "new", "newer" })
                    await Assert.ThrowsAsync<VolumeException>(() => new VolumeOpener(bucket, world.Options, world.JournalOptions, new SimulatedJournalDirectory(), "test", TimeProvider.System, new Random(1), NullLogger.Instance).OpenAsync(name, default));
                var trashed = await NewTrash(bucket).ListAsync(default);
                if (trashed is [{ Purging: true }]) Assert.Equal(VolumeErrorKind.NotFound, (await Assert.ThrowsAsync<VolumeException>(() => NewTrash(bucket).RestoreAsync("newer", default))).Kind);
                if (ended) Assert.Empty(bucket.Blobs);
            },
            async bucket =>
            {
                // An alias that was left behind leads nowhere: the names are free.
                Assert.DoesNotContain(bucket.Blobs.Keys, k => !k.Contains("/alias/", StringComparison.Ordinal));
                foreach (var name in new[] { VolumeWorld.Name, "new", "newer" }) await new VolumeCatalog(bucket, TimeProvider.System).CreateAsync(name, new VolumeSpec(1 << 20), default);
            });
    }

    /// <summary>A change that was on its way all the time a volume was removed and purged makes none of it again.</summary>
    [Fact]
    public async Task Purge_ChangeArrivesAfterIt_MakesNoVolume()
    {
        await using var world = await WrittenAsync();
        var store = new HookedBlobStore(world.Store)
        {
            BeforePut = async _ =>
            {
                await NewTrash(world.Store).RemoveAsync(VolumeWorld.Name, TimeSpan.Zero, false, default);
                await NewTrash(world.Store).PurgeAsync(VolumeWorld.Name, null, default);
            },
        };

        var failure = await Assert.ThrowsAsync<VolumeException>(() => new VolumeCatalog(store, TimeProvider.System).ResizeAsync(VolumeWorld.Name, 4 << 20, default));

        Assert.Contains("purged", failure.Message, StringComparison.Ordinal);
        Assert.Empty(world.Store.Blobs);
    }

    [Fact]
    public async Task Purge_AndRestoreAtTheSameMoment_OneOfThemWins()
    {
        await using var world = await WrittenAsync();
        await NewTrash(world.Store).RemoveAsync(VolumeWorld.Name, TimeSpan.Zero, false, default);
        var isFirst = true;
        var store = new HookedBlobStore(world.Store)
        {
            BeforePut = async _ =>
            {
                if (isFirst) await NewTrash(world.Store).RestoreAsync(VolumeWorld.Name, default);
                isFirst = false;
            },
        };

        var refusal = await Assert.ThrowsAsync<VolumeException>(() => NewTrash(store).PurgeAsync(VolumeWorld.Name, null, default));

        Assert.Contains("not in the trash", refusal.Message, StringComparison.Ordinal);
        await world.OpenAsync();
        Assert.Equal(Content, await world.ReadAsync(0, 8));
    }

    [Fact]
    public async Task PurgeExpired_TakesWhatIsDueAndNoMore()
    {
        var (bucket, time) = (new MemoryBlobStore(), new ManualTime());
        var catalog = new VolumeCatalog(bucket, time);
        var trash = new VolumeTrash(bucket, new VolumeOptions(), "test", time, _ => { }, NullLogger.Instance);
        foreach (var name in new[] { "day", "kept", "week" }) await catalog.CreateAsync(name, new VolumeSpec(1 << 20), default);
        await trash.RemoveAsync("day", TimeSpan.FromDays(1), false, default);
        await trash.RemoveAsync("week", Week, false, default);
        time.Advance(TimeSpan.FromHours(23));
        Assert.Empty(await trash.PurgeExpiredAsync(false, null, default));
        time.Advance(TimeSpan.FromHours(2));

        Assert.Equal("day", Assert.Single(await trash.PurgeExpiredAsync(false, null, default)).Name);

        Assert.Equal("week", Assert.Single(await trash.ListAsync(default)).Name);
        Assert.Equal(["kept"], await catalog.ListAsync(default));
        await Assert.ThrowsAsync<VolumeException>(() => trash.PurgeAsync("kept", null, default));
        Assert.Equal("week", (await trash.PurgeAsync("week", null, default)).Name);
        Assert.All(bucket.Blobs.Keys, k => Assert.StartsWith("kept/", k, StringComparison.Ordinal));
    }

    /// <summary>Whoever has read the volume's record before it was removed, and claims an epoch after, does not get to serve it.</summary>
    [Fact]
    public void Remove_WhileAnotherGatewayOpens_EitherIsFencedOrRefused() => LeaseWorld.Run(async world =>
    {
        var trash = new VolumeTrash(world.Bucket, new VolumeOptions(), "operator", world.Time, _ => { }, NullLogger.Instance);
        for (var put = 0; put < 3; put++)
        {
            var puts = put;
            var store = new HookedBlobStore(world.Bucket)
            {
                BeforePut = async key =>
                {
                    if (!key.Value.StartsWith('.') && puts-- == 0) await trash.RemoveAsync(GatewayProcess.VolumeName, Week, true, default);
                },
            };
            var opener = new VolumeOpener(store, new VolumeOptions(), new JournalOptions { CapacityBytes = 1 << 20 }, new SimulatedJournalDirectory(), "opener", world.Time, new Random(1), NullLogger.Instance);

            // Before its claim, it loses the epoch to the removal or finds the record; after it, it finds the record or the removal's epoch.
            var failure = await Assert.ThrowsAsync<VolumeException>(() => opener.OpenAsync(GatewayProcess.VolumeName, default));

            Assert.Contains(failure.Kind, new[] { VolumeErrorKind.Fenced, VolumeErrorKind.NotFound });
            Assert.Single(await trash.ListAsync(default));
            await trash.RestoreAsync(GatewayProcess.VolumeName, default);
        }
    });

    [Fact]
    public void Remove_ServedVolume_IsRefusedUnlessForcedAndThenFenced() => LeaseWorld.Run(async world =>
    {
        var gateway = await world.ServingAsync("gateway");
        await gateway.WriteAsync(1);
        await gateway.Volume.DrainAsync(default);
        var waits = new List<OpeningWait>();
        var trash = new VolumeTrash(world.Bucket, new VolumeOptions(), "operator", world.Time, waits.Add, NullLogger.Instance);

        var refusal = await Assert.ThrowsAsync<VolumeException>(() => trash.RemoveAsync(GatewayProcess.VolumeName, Week, false, default));
        Assert.Equal(VolumeErrorKind.OwnedElsewhere, refusal.Kind);
        Assert.Contains("--force", refusal.Message, StringComparison.Ordinal);
        Assert.Empty(await trash.ListAsync(default));
        var before = world.Time.Now;
        await trash.RemoveAsync(GatewayProcess.VolumeName, Week, true, default);

        Assert.InRange(world.Time.Now - before, LeaseWorld.SuccessorWait, LeaseWorld.SuccessorWait + TimeSpan.FromSeconds(10));
        Assert.NotEmpty(waits);
        Assert.Equal(BlockError.Standby, gateway.Volume.Readiness.Error);
        Assert.NotEqual(BlockResult.Success, await gateway.WriteAsync(2));
        await trash.RestoreAsync(GatewayProcess.VolumeName, default);
        var second = await world.ServingAsync("second");
        Assert.Empty(second.Waits);
        Assert.Equal(VolumeWorld.Tagged(1, 8), await second.ReadAsync());
        await Task.WhenAll(gateway.Volume.DisposeAsync().AsTask(), second.Volume.DisposeAsync().AsTask());
    });

    /// <summary>A removal gives up nothing: what only a host's journal holds is sent when the volume is back and that host opens it.</summary>
    [Fact]
    public void Remove_FlushedWritesInAJournal_AreThereAfterRestore() => LeaseWorld.Run(async world =>
    {
        var first = await world.ServingAsync("first");
        first.Options.SealAfter = TimeSpan.FromHours(1);
        await first.WriteAsync(1, fua: true);
        await world.PassAsync(TimeSpan.FromSeconds(1));
        var restarted = first.AfterKill(world.Bucket);
        var trash = new VolumeTrash(world.Bucket, new VolumeOptions(), "operator", world.Time, _ => { }, NullLogger.Instance);
        await trash.RemoveAsync(GatewayProcess.VolumeName, Week, true, default);
        await trash.RestoreAsync(GatewayProcess.VolumeName, default);

        Assert.Equal(VolumeErrorKind.OwnedElsewhere, (await Assert.ThrowsAsync<VolumeException>(() => world.ServingAsync("second"))).Kind);
        await restarted.OpenAsync();

        Assert.Equal(VolumeWorld.Tagged(1, 8), await restarted.ReadAsync());
        await restarted.Volume.DisposeAsync();
    });

    [Fact]
    public async Task Remove_DamagedVolume_NeedsForceAndCanBePurged()
    {
        await using var world = await WrittenAsync();
        foreach (var takeover in world.Store.Blobs.Keys.Where(k => k.Contains("/takeovers/", StringComparison.Ordinal)).ToArray()) world.Store.Blobs.Remove(takeover);
        var trash = NewTrash(world.Store);

        Assert.Contains("--force", (await Assert.ThrowsAsync<VolumeException>(() => trash.RemoveAsync(VolumeWorld.Name, Week, false, default))).Message, StringComparison.Ordinal);
        await trash.RemoveAsync(VolumeWorld.Name, Week, true, default);
        await trash.PurgeAsync(VolumeWorld.Name, null, default);

        Assert.Empty(world.Store.Blobs);
    }

    [Fact]
    public void LocalRemains_OfAPurgedVolume_AreRemovedUnlessInUse()
    {
        var folder = Directory.CreateTempSubdirectory("tcmu-gateway-remains-").FullName;
        try
        {
            var id = Guid.NewGuid();
            string[] names = [$"{id}.journal", $"{id}.3.aside.journal", $"{Guid.NewGuid()}.journal", $"{id}.cache"];
            foreach (var name in names) File.WriteAllText(Path.Combine(folder, name), "content");
            LocalRemains remains;
            using (File.Open(Path.Combine(folder, names[3]), FileMode.Open, FileAccess.ReadWrite, FileShare.None)) remains = LocalRemains.Remove(id, folder, folder);

            Assert.Equal([Path.Combine(folder, names[0])], remains.Removed);
            Assert.Equal([Path.Combine(folder, names[1]), Path.Combine(folder, names[3])], remains.Kept);
            Assert.Equal(names[1..].Order(StringComparer.Ordinal), Directory.EnumerateFiles(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static VolumeTrash NewTrash(IBlobStore store) => new(store, new VolumeOptions(), "test", TimeProvider.System, _ => { }, NullLogger.Instance);

    private static async Task RestoreAndReadAsync(VolumeWorld world, MemoryBlobStore bucket)
    {
        await NewTrash(bucket).RestoreAsync(VolumeWorld.Name, default);
        var opener = new VolumeOpener(bucket, world.Options, world.JournalOptions, new SimulatedJournalDirectory(), "test", TimeProvider.System, new Random(1), NullLogger.Instance);
        await using var volume = await opener.OpenAsync(VolumeWorld.Name, default);
        Assert.Equal(Content, await VolumeWorld.ReadAsync(volume, 0, 8));
    }

    private static async Task<VolumeWorld> WrittenAsync()
    {
        var world = new VolumeWorld();
        await world.CreateAsync();
        await world.OpenAsync();
        await world.WriteAsync(0, Content);
        await world.CloseAsync();
        return world;
    }
}
