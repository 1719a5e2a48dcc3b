using Gateway.Backends.Core;
using Gateway.Tests.Shared;
using Gateway.Volumes.Checking;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Names;
using Gateway.Volumes.Tests.Leases;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Volumes.Tests.Names;

/// <summary>A volume has another name from one record on, and never none.</summary>
public class VolumeRenameTests
{
    private static readonly byte[] Content = VolumeWorld.Tagged(7, 8);

    [Fact]
    public async Task Rename_Volume_IsThereByItsNewNameAlone()
    {
        await using var world = await WrittenAsync();
        var catalog = new VolumeCatalog(world.Store, TimeProvider.System);

        await RenameAsync(world.Store, VolumeWorld.Name, "new");

        Assert.Equal(["new"], await catalog.ListAsync(default));
        Assert.Equal(VolumeWorld.Name, (await catalog.DescribeAsync("new", default)).Folder);
        Assert.Equal(Content, await ReadAsync(world, "new"));
        Assert.True((await new VolumeChecker(world.Store, "new").RunAsync(default)).IsClean);
        var gone = await Assert.ThrowsAsync<VolumeException>(() => ReadAsync(world, VolumeWorld.Name));
        Assert.Equal(VolumeErrorKind.NotFound, gone.Kind);
        Assert.Contains("is 'new' now", gone.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Rename_ThereAndBackManyTimes_EndsWhereItBegan()
    {
        await using var world = await WrittenAsync();

        for (var i = 0; i < 3; i++)
        {
            await RenameAsync(world.Store, VolumeWorld.Name, "new");
            await RenameAsync(world.Store, "new", VolumeWorld.Name);
        }

        Assert.Equal(Content, await ReadAsync(world, VolumeWorld.Name));
        Assert.Equal(VolumeErrorKind.NotFound, (await Assert.ThrowsAsync<VolumeException>(() => ReadAsync(world, "new"))).Kind);
        Assert.Equal([VolumeWorld.Name], await new VolumeCatalog(world.Store, TimeProvider.System).ListAsync(default));
    }

    /// <summary>A name that was given up can be had by another volume that is renamed; a new one is not made in the folder of the old.</summary>
    [Fact]
    public async Task Rename_GivenUpName_IsFreeForAnotherRenaming()
    {
        await using var world = await WrittenAsync();
        var catalog = new VolumeCatalog(world.Store, TimeProvider.System);
        await catalog.CreateAsync("other", new VolumeSpec(2 << 20), default);
        await RenameAsync(world.Store, VolumeWorld.Name, "new");

        await RenameAsync(world.Store, "other", VolumeWorld.Name);

        Assert.Equal(2 << 20, (await catalog.DescribeAsync(VolumeWorld.Name, default)).SizeBytes);
        Assert.Equal(Content, await ReadAsync(world, "new"));
        await RenameAsync(world.Store, VolumeWorld.Name, "third");
        Assert.Equal(VolumeErrorKind.AlreadyExists, (await Assert.ThrowsAsync<VolumeException>(() => catalog.CreateAsync(VolumeWorld.Name, new VolumeSpec(1 << 20), default))).Kind);
        await catalog.CreateAsync("other2", new VolumeSpec(1 << 20), default);
        Assert.Equal(["new", "other2", "third"], await catalog.ListAsync(default));
    }

    [Fact]
    public async Task Rename_NameOfAnotherVolume_IsRefused()
    {
        await using var world = await WrittenAsync();
        var catalog = new VolumeCatalog(world.Store, TimeProvider.System);
        await catalog.CreateAsync("a", new VolumeSpec(1 << 20), default);
        await catalog.CreateAsync("b", new VolumeSpec(1 << 20), default);
        await RenameAsync(world.Store, "b", "c");
        var before = world.Store.Blobs.Keys.ToHashSet();

        foreach (var taken in new[] { "a", "c" })
            Assert.Equal(VolumeErrorKind.AlreadyExists, (await Assert.ThrowsAsync<VolumeException>(() => RenameAsync(world.Store, VolumeWorld.Name, taken))).Kind);
        Assert.Equal(VolumeErrorKind.AlreadyExists, (await Assert.ThrowsAsync<VolumeException>(() => catalog.CreateAsync("c", new VolumeSpec(1 << 20), default))).Kind);
        Assert.Equal(VolumeErrorKind.NotFound, (await Assert.ThrowsAsync<VolumeException>(() => RenameAsync(world.Store, "nowhere", "d"))).Kind);
        Assert.Equal(VolumeErrorKind.InvalidArgument, (await Assert.ThrowsAsync<VolumeException>(() => RenameAsync(world.Store, "a", "A/b"))).Kind);

        Assert.Equal(before, world.Store.Blobs.Keys.ToHashSet());
    }

    [Fact]
    public async Task Rename_CutOffAfterAnyRequest_VolumeHasExactlyOneNameAndASecondRunEndsIt()
    {
        await using var world = await WrittenAsync();

        await Interruption.AfterEachRequestAsync(
            world.Store,
            store => RenameAsync(store, VolumeWorld.Name, "new"),
            async (bucket, ended) =>
            {
                var name = Assert.Single(await new VolumeCatalog(bucket, TimeProvider.System).ListAsync(default));
                if (ended) Assert.Equal("new", name);
                Assert.Equal(VolumeWorld.Name, await VolumeNames.ResolveAsync(bucket, name, default));
                var other = name == "new" ? VolumeWorld.Name : "new";
                Assert.Equal(VolumeErrorKind.NotFound, (await Assert.ThrowsAsync<VolumeException>(() => VolumeNames.LoadAsync(bucket, other, default))).Kind);
                Assert.Equal(VolumeErrorKind.NotFound, (await Assert.ThrowsAsync<VolumeException>(() => VolumeNames.ResolveAsync(bucket, other, default))).Kind);
            },
            async bucket => Assert.Equal(VolumeWorld.Name, (await VolumeNames.LoadAsync(bucket, "new", default)).Keys.VolumeName));
    }

    /// <summary>Of two volumes that shall have one name, one gets it, and the other keeps its own, wherever the second comes in between.</summary>
    [Fact]
    public async Task Rename_TwoToOneName_OneWinsAndTheOtherKeepsItsName()
    {
        for (var put = 0; put < 2; put++)
        {
            var bucket = new MemoryBlobStore();
            var catalog = new VolumeCatalog(bucket, TimeProvider.System);
            await catalog.CreateAsync("a", new VolumeSpec(1 << 20), default);
            await catalog.CreateAsync("b", new VolumeSpec(2 << 20), default);
            var (puts, other) = (put, (Exception?)null);
            var store = new HookedBlobStore(bucket) { BeforePut = async _ => other = puts-- == 0 ? await Record.ExceptionAsync(() => RenameAsync(bucket, "b", "new")) : other };

            var one = await Record.ExceptionAsync(() => RenameAsync(store, "a", "new"));

            Assert.Equal(1, (one is null ? 1 : 0) + (other is null ? 1 : 0));
            Assert.IsType<VolumeException>(one ?? other);
            Assert.Equal(one is null ? ["b", "new"] : (string[])["a", "new"], await catalog.ListAsync(default));
            Assert.Equal(one is null ? 1 << 20 : 2 << 20, (await catalog.DescribeAsync("new", default)).SizeBytes);
        }
    }

    /// <summary>A name that is being taken and a new volume of that name: never both.</summary>
    [Fact]
    public async Task Rename_WhileAVolumeOfThatNameIsCreated_NeverBothSucceed()
    {
        for (var put = 0; put < 2; put++)
        {
            var bucket = new MemoryBlobStore();
            var catalog = new VolumeCatalog(bucket, TimeProvider.System);
            await catalog.CreateAsync("a", new VolumeSpec(1 << 20), default);
            var (puts, created) = (put, (Exception?)null);
            var store = new HookedBlobStore(bucket)
            {
                BeforePut = async key => created = key.Value.StartsWith('.') || puts-- != 0 ? created : await Record.ExceptionAsync(() => catalog.CreateAsync("new", new VolumeSpec(2 << 20), default)),
            };

            var renamed = await Record.ExceptionAsync(() => RenameAsync(store, "a", "new"));

            Assert.False(created is null && renamed is null);
            var names = await catalog.ListAsync(default);
            Assert.Contains(renamed is null ? "new" : "a", names);
            if (created is null || renamed is null) Assert.Equal(renamed is null ? 1 << 20 : 2 << 20, (await catalog.DescribeAsync("new", default)).SizeBytes);
            else Assert.Equal(["a"], names);
        }
    }

    /// <summary>What was reserved for a record that somebody else's change has made by now is void: both the same renaming and another one go on.</summary>
    [Fact]
    public async Task Rename_CutOffThenResized_NameIsFreeAndCanBeHadAgain()
    {
        var bucket = new MemoryBlobStore();
        var catalog = new VolumeCatalog(bucket, TimeProvider.System);
        await catalog.CreateAsync("a", new VolumeSpec(1 << 20), default);
        await catalog.CreateAsync("b", new VolumeSpec(1 << 20), default);
        var store = new HookedBlobStore(bucket) { AfterPut = _ => throw new InvalidOperationException("cut off") };
        await Assert.ThrowsAsync<InvalidOperationException>(() => RenameAsync(store, "a", "new"));
        var reserved = await Assert.ThrowsAsync<VolumeException>(() => RenameAsync(bucket, "b", "new"));
        Assert.Contains("'tcmu-gateway volume rename STORE/a new' completes it", reserved.Message, StringComparison.Ordinal);
        Assert.Contains("was not completed", (await Assert.ThrowsAsync<VolumeException>(() => catalog.DescribeAsync("new", default))).Message, StringComparison.Ordinal);
        await catalog.ResizeAsync("a", 4 << 20, default);

        await RenameAsync(bucket, "b", "new");
        await RenameAsync(bucket, "a", "newer");

        Assert.Equal(["new", "newer"], await catalog.ListAsync(default));
        Assert.Equal(4 << 20, (await catalog.DescribeAsync("newer", default)).SizeBytes);
    }

    [Fact]
    public void Rename_ServedVolume_IsRefusedUntilItIsReleased() => LeaseWorld.Run(async world =>
    {
        var gateway = await world.ServingAsync("gateway");

        var refusal = await Assert.ThrowsAsync<VolumeException>(() => new VolumeRenamer(world.Bucket, world.Time).RunAsync(GatewayProcess.VolumeName, "new", default));
        Assert.Equal(VolumeErrorKind.OwnedElsewhere, refusal.Kind);
        Assert.Contains("gateway", refusal.Message, StringComparison.Ordinal);
        await gateway.Volume.DisposeAsync();
        await new VolumeRenamer(world.Bucket, world.Time).RunAsync(GatewayProcess.VolumeName, "new", default);

        Assert.Equal(["new"], await new VolumeCatalog(world.Bucket, world.Time).ListAsync(default));
    });

    [Fact]
    public async Task Alias_Damaged_IsToldAndNothingIsTakenForIt()
    {
        await using var world = await WrittenAsync();
        await RenameAsync(world.Store, VolumeWorld.Name, "new");
        var (name, whole) = world.Store.Blobs.Single(b => b.Key.StartsWith("new/alias/", StringComparison.Ordinal));
        for (var i = 0; i < whole.Length; i += 7)
        {
            var damaged = (byte[])whole.Clone();
            damaged[i] ^= 0x41;
            Assert.Throws<VolumeException>(() => AliasRecord.Decode(damaged, name));
        }

        world.Store.Blobs[name] = whole[..^5];
        Assert.Equal(VolumeErrorKind.Damaged, (await Assert.ThrowsAsync<VolumeException>(() => VolumeNames.LoadAsync(world.Store, "new", default))).Kind);
    }

    private static Task RenameAsync(IBlobStore store, string name, string newName) => new VolumeRenamer(store, TimeProvider.System).RunAsync(name, newName, default);

    private static async Task<VolumeWorld> WrittenAsync()
    {
        var world = new VolumeWorld();
        await world.CreateAsync();
        await world.OpenAsync();
        await world.WriteAsync(0, Content);
        await world.CloseAsync();
        return world;
    }

    private static async Task<byte[]> ReadAsync(VolumeWorld world, string name)
    {
        var opener = new VolumeOpener(world.Store, world.Options, world.JournalOptions, world.Journals, "test", TimeProvider.System, new Random(1), NullLogger.Instance);
        await using var volume = await opener.OpenAsync(name, default);
        return await VolumeWorld.ReadAsync(volume, 0, 8);
    }
}
