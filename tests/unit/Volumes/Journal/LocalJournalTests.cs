using System.Security.Cryptography;
using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Tests.Shared;
using Gateway.Volumes.Interop;
using Gateway.Volumes.Journal;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Gateway.Volumes.Tests.Journal;

/// <summary>Journals in real files: where they may be, who may have them, and how their space is made ready.</summary>
public sealed class LocalJournalTests : IDisposable
{
    private const string MemoryFolder = "/dev/shm"; // A tmpfs on every Linux.

    private readonly string _folder = Directory.CreateTempSubdirectory("journal-tests-").FullName;
    private readonly string _volatileFolder = Path.Combine(MemoryFolder, $"journal-tests-{Environment.ProcessId}-{RandomNumberGenerator.GetHexString(8)}");
    private readonly MemoryBlobStore _store = new();
    private readonly EventLog _log = new();

    [Fact]
    public async Task Open_DirectoryInMemory_IsRefusedBeforeAnythingIsClaimed()
    {
        await CreateVolumeAsync();
        var blobs = _store.Blobs.Count;

        var refusal = await Assert.ThrowsAsync<VolumeException>(() => OpenAsync(_volatileFolder, allowUnsafe: false));

        Assert.Equal(VolumeErrorKind.InvalidArgument, refusal.Kind);
        Assert.Contains("tmpfs", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("journal.allowUnsafeFileSystem", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(blobs, _store.Blobs.Count);
        Assert.Empty(Directory.EnumerateFiles(_volatileFolder));
    }

    [Fact]
    public async Task Open_DirectoryInMemoryThatIsAllowed_ServesAndWarns()
    {
        await CreateVolumeAsync();

        await using (var volume = await OpenAsync(_volatileFolder, allowUnsafe: true))
        {
            Assert.Equal(BlockResult.Success, await VolumeWorld.WriteAsync(volume, 3, VolumeWorld.Tagged(1, 2), fua: true));
            Assert.Equal(VolumeWorld.Tagged(1, 2), await VolumeWorld.ReadAsync(volume, 3, 2));
        }

        Assert.Contains("JournalUnsafe", _log.Events);
    }

    [Fact]
    public async Task Open_JournalServedByAnother_IsRefusedAndTheOtherGoesOn()
    {
        await CreateVolumeAsync();
        await using var volume = await OpenAsync(_folder);
        await VolumeWorld.WriteAsync(volume, 0, VolumeWorld.Tagged(1, 1));

        var refusal = await Assert.ThrowsAsync<VolumeException>(() => OpenAsync(_folder));

        Assert.Equal(VolumeErrorKind.LocalDisk, refusal.Kind);
        Assert.Contains("by another process", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(BlockResult.Success, await VolumeWorld.WriteAsync(volume, 1, VolumeWorld.Tagged(2, 1), fua: true));
        await volume.DrainAsync(default); // Nobody fenced it.
    }

    [Fact]
    public async Task Open_ManyRaceForTheSameNewJournal_OneServesAndItsJournalIsWhole()
    {
        const int Rivals = 6;
        await CreateVolumeAsync();

        var rivals = await Task.WhenAll(Enumerable.Range(0, Rivals).Select(_ => Task.Run(TryOpenAsync)));

        var winner = Assert.Single(rivals, volume => volume is not null)!;
        Assert.Equal(BlockResult.Success, await VolumeWorld.WriteAsync(winner, 7, VolumeWorld.Tagged(9, 1), fua: true));
        Assert.Single(Directory.EnumerateFiles(_folder));
        await winner.DisposeAsync();
        await using var again = await OpenAsync(_folder);
        Assert.Equal(VolumeWorld.Tagged(9, 1), await VolumeWorld.ReadAsync(again, 7, 1));
    }

    [Fact]
    public async Task DiskFile_WrittenWhileItsSpaceIsFilled_KeepsEveryWriteAndZeroesTheRest()
    {
        const int Pages = 2048; // 16 steps of the filling.
        var path = Path.Combine(_folder, "file");
        using var page = new NativeBuffer(4096);
        var list = new ScatterList();
        list.Add(page);
        var written = new HashSet<int>();
        var random = new Random(4);
        using (var disk = DiskFile.Create(path, Pages * 4096L))
        {
            do
            {
                var at = random.Next(Pages);
                page.Span.Fill((byte)(1 + (at % 255)));
                await disk.WriteAsync(list, at * 4096L);
                written.Add(at);
            }
            while (!disk.IsFilled || written.Count < Pages / 4);
            await disk.FlushAsync();
        }

        using (var disk = DiskFile.Open(path)) Assert.True(disk.IsFilled); // Nothing was left unwritten: no flush pays for it later.
        var content = await File.ReadAllBytesAsync(path);
        for (var at = 0; at < Pages; at++)
        {
            var expected = written.Contains(at) ? (byte)(1 + (at % 255)) : (byte)0;
            if (content.AsSpan(at * 4096, 4096).ContainsAnyExcept(expected)) Assert.Fail($"Page {at} does not hold {expected:X2}.");
        }
    }

    public void Dispose()
    {
        Directory.Delete(_folder, recursive: true);
        if (Directory.Exists(_volatileFolder)) Directory.Delete(_volatileFolder, recursive: true);
    }

    private async Task CreateVolumeAsync() => await new VolumeCatalog(_store, TimeProvider.System).CreateAsync(VolumeWorld.Name, new VolumeSpec(1 << 20, 512), default);

    /// <remarks>What the temporary folder is on is not what most of these tests are about.</remarks>
    private Task<Volume> OpenAsync(string folder, bool allowUnsafe = true)
    {
        var journal = new JournalOptions { Directory = folder, AllowUnsafeFileSystem = allowUnsafe, CapacityBytes = 1 << 20 };
        return new VolumeOpener(_store, new VolumeOptions(), journal, "test", TimeProvider.System, new Random(1), _log).OpenAsync(VolumeWorld.Name, default);
    }

    private async Task<Volume?> TryOpenAsync()
    {
        try
        {
            return await OpenAsync(_folder);
        }
        catch (VolumeException e) when (e.Kind == VolumeErrorKind.LocalDisk)
        {
            return null;
        }
    }

    private sealed class EventLog : ILogger
    {
        private readonly Lock _gate = new();
        private readonly List<string> _events = [];

        public string[] Events
        {
            get
            {
                lock (_gate) return [.. _events];
            }
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (_gate) _events.Add(eventId.Name ?? "");
        }
    }
}
