using Gateway.Tests.Shared;
using Gateway.Volumes.Leases;
using Xunit;

namespace Gateway.Volumes.Tests.Leases;

/// <summary>What a person is shown of journals, those that are kept aside above all.</summary>
public sealed class JournalInspectorTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("tcmu-gateway-journals-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Show_JournalKeptAside_TellsItsWritesAndWhichAreInTheBucket()
    {
        await using var world = new VolumeWorld();
        world.Options.SealAfter = TimeSpan.FromHours(1);
        await world.CreateAsync();
        await world.OpenAsync();
        await world.WriteAsync(0, VolumeWorld.Tagged(1, 8));
        await world.Volume.DrainAsync(default);
        await world.WriteAsync(64, VolumeWorld.Tagged(2, 8));
        await world.WriteAsync(128, VolumeWorld.Tagged(3, 16));
        world.Kill();
        await using (var other = await world.NewOpener(new SimulatedJournalDirectory()).OpenAsync(VolumeWorld.Name, default)) await VolumeWorld.WriteAsync(other, 200, VolumeWorld.Tagged(9, 1));
        await world.OpenAsync();
        var id = world.Volume.Geometry.Id;
        foreach (var disk in world.Journals.Disks) await File.WriteAllBytesAsync(Path.Combine(_folder, disk.Name), disk.AfterKill());
        foreach (var name in world.Journals.Names.Where(n => n.Contains("aside", StringComparison.Ordinal))) await File.WriteAllBytesAsync(Path.Combine(_folder, name), ((SimulatedDisk)world.Journals.Open(name)).AfterKill());

        var aside = Path.Combine(_folder, $"{id}.1.aside.journal");
        var journals = await JournalInspector.ListAsync(_folder, id);
        var report = await JournalInspector.ReadAsync(aside, (world.Store, VolumeWorld.Name), default);

        Assert.Contains(journals, j => j.KeptAside && j.File == aside && j.Epoch == 1);
        Assert.Equal([aside], JournalInspector.KeptAside(_folder, id));
        Assert.Null(report.Damage);
        Assert.Equal([(2L, 64ul, 8u), (3L, 128ul, 16u)], report.Batches.SelectMany(b => b.Writes).Select(w => (w.Write, w.Lba, w.Blocks)));
        Assert.All(report.Batches, b => Assert.False(b.InBucket));
    }

    [Fact]
    public async Task Show_JournalWhoseSuperblockIsBehind_KnowsWhatTheBucketHas()
    {
        await using var world = new VolumeWorld();
        world.Options.SealAfter = TimeSpan.FromHours(1);
        await world.CreateAsync();
        await world.OpenAsync();
        await world.WriteAsync(0, VolumeWorld.Tagged(1, 8));
        var file = Path.Combine(_folder, "copy.journal");
        await File.WriteAllBytesAsync(file, world.Journals.Disks.Single().AfterKill());
        await world.Volume.DrainAsync(default);

        var report = await JournalInspector.ReadAsync(file, (world.Store, VolumeWorld.Name), default);

        Assert.True(Assert.Single(report.Batches).InBucket);
        Assert.Null(Assert.Single((await JournalInspector.ReadAsync(file, null, default)).Batches).InBucket);
    }

    [Fact]
    public async Task Show_FileThatIsNone_SaysSo()
    {
        var file = Path.Combine(_folder, "x.journal");
        await File.WriteAllBytesAsync(file, new byte[10_000]);

        var refusal = await Assert.ThrowsAsync<VolumeException>(() => JournalInspector.ReadAsync(file, null, default));

        Assert.Equal(VolumeErrorKind.Foreign, refusal.Kind);
        Assert.Empty(await JournalInspector.ListAsync(_folder, null));
        Assert.Empty(await JournalInspector.ListAsync(Path.Combine(_folder, "none"), null));
    }

    [Fact]
    public void KeepAside_NameThatIsTaken_TakesTheNext()
    {
        var directory = new SimulatedJournalDirectory();
        var id = Guid.NewGuid();
        for (var i = 0; i < 3; i++)
        {
            directory.Create(JournalShelf.NameOf(id), 4096).Dispose();
            JournalShelf.KeepAside(directory, id, 7);
        }

        Assert.Equal([$"{id}.7.2.aside.journal", $"{id}.7.3.aside.journal", $"{id}.7.aside.journal"], directory.Names.Order(StringComparer.Ordinal));
    }
}
