using Gateway.Backends.Core;
using Gateway.Tests.Shared;
using Gateway.Tests.Shared.Stores;
using Gateway.Transfer.Images;
using Gateway.Volumes;
using Gateway.Volumes.Checking;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Transfer.Tests;

/// <summary>A volume is the whole of its disk, or nobody may open it.</summary>
public sealed class VolumeImporterTests : IDisposable
{
    private const long Size = (24 << 20) + 512;

    private static readonly VolumeSpec Spec = new(Size, 512, VolumeCompression.Lz4);

    private readonly Folder _folder = new();
    private readonly MemoryBlobStore _store = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(512)]
    [InlineData(4096)]
    public async Task Run_ADisk_IsTheVolume(int blockBytes)
    {
        await using var image = RawImage.Open(_folder.WriteRaw("disk.raw", Size, 1));
        var last = default(TransferProgress);
        var importer = NewImporter(_store, progress: p => last = p);

        var outcome = await importer.RunAsync(image, "vol", Spec with { SizeBytes = 25 << 20, BlockSizeBytes = blockBytes }, default);

        Assert.True(outcome.Verified);
        Assert.Equal(0, outcome.ResumedAtBytes);
        Assert.InRange(outcome.DataBytes, 1, Size - 1); // Holes are not copied.
        Assert.Equal(new TransferProgress(TransferPhase.Verify, Size, Size, last.DataBytes), last);
        await AssertIsDiskAsync("disk.raw", 25 << 20);
        Assert.DoesNotContain(_store.Blobs.Keys, k => k.EndsWith("/import", StringComparison.Ordinal));
    }

    /// <summary>The process dies at any request; its own later ones with it.</summary>
    [Fact]
    public async Task Run_KilledAtAnyRequest_NobodyOpensItAndTheNextRunMakesItWhole()
    {
        var path = _folder.WriteRaw("disk.raw", Size, 2);
        await using var image = RawImage.Open(path);
        for (var requests = 3; ; requests += requests < 60 ? 3 : 17)
        {
            _store.Blobs.Clear();
            var left = requests;
            var died = new TaskCompletionSource();
            var forever = new TaskCompletionSource();
            var process = new FaultyBlobStore(_store, 1, TimeProvider.System)
            {
                BeforeRequest = (_, _, _) =>
                {
                    if (Interlocked.Decrement(ref left) >= 0) return default;
                    died.TrySetResult();
                    return new ValueTask(forever.Task);
                },
            };
            var run = NewImporter(process, TimeSpan.Zero).RunAsync(image, "vol", Spec, default);
            if (await Task.WhenAny(run, died.Task) == run)
            {
                await run;
                break;
            }

            if (_store.Blobs.ContainsKey("vol/volume/0000000002")) continue; // It was at its very end: the volume is whole.
            if (_store.Blobs.ContainsKey("vol/volume/0000000001"))
            {
                var refused = await Assert.ThrowsAsync<VolumeException>(() => OpenAsync(_store));
                Assert.Contains("imported", refused.Message, StringComparison.Ordinal);
            }

            await NewImporter(_store, TimeSpan.Zero).RunAsync(image, "vol", Spec, default);

            await AssertIsDiskAsync("disk.raw", Size);
        }
    }

    [Fact]
    public async Task Run_KilledOnceAPositionIsNoted_TheNextRunGoesOnThere()
    {
        var path = _folder.WriteRaw("disk.raw", Size, 2);
        await using var image = RawImage.Open(path);
        var noted = new TaskCompletionSource<long>(TaskCreationOptions.RunContinuationsAsynchronously);
        var forever = new TaskCompletionSource();
        var process = new FaultyBlobStore(_store, 1, TimeProvider.System)
        {
            BeforeRequest = async (_, _, _) =>
            {
                if (_store.Blobs.ContainsKey("vol/volume/0000000001") && (await new VolumeImports(_store, TimeProvider.System).BeginAsync("vol", Spec, image.Identity, default)).PositionBytes is > 0 and var position)
                    noted.TrySetResult(position);
                if (noted.Task.IsCompleted) await forever.Task;
            },
        };
        var run = NewImporter(process, TimeSpan.Zero).RunAsync(image, "vol", Spec, default);
        Assert.Same(noted.Task, await Task.WhenAny(run, noted.Task));

        var outcome = await NewImporter(_store, TimeSpan.Zero).RunAsync(image, "vol", Spec, default);

        Assert.Equal(await noted.Task, outcome.ResumedAtBytes);
        await AssertIsDiskAsync("disk.raw", Size);
    }

    [Fact]
    public async Task Run_Cancelled_ReleasesTheVolumeAndKeepsThePosition()
    {
        var path = _folder.WriteRaw("disk.raw", Size, 3);
        await using var image = RawImage.Open(path);
        using var stop = new CancellationTokenSource();
        var importer = NewImporter(_store, TimeSpan.FromTicks(1), p =>
        {
            if (p.PositionBytes > Size / 2) stop.Cancel();
        });

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => importer.RunAsync(image, "vol", Spec, stop.Token));

        // With its real lease, another would wait for half a minute if it had not been released.
        var waited = false;
        var next = new VolumeImporter(_store, Options, "next", TimeProvider.System, NullLogger.Instance) { Waits = _ => waited = true };
        var outcome = await next.RunAsync(image, "vol", Spec, default);
        Assert.False(waited);
        Assert.True(outcome.ResumedAtBytes > 0);
        await AssertIsDiskAsync("disk.raw", Size);
    }

    [Fact]
    public async Task Run_IntoAVolumeThatIsThere_LeavesItAlone()
    {
        await using var image = RawImage.Open(_folder.WriteRaw("disk.raw", Size, 4));
        await new VolumeCatalog(_store, TimeProvider.System).CreateAsync("vol", Spec, default);
        var before = _store.Blobs.Keys.Order().ToArray();

        var e = await Assert.ThrowsAsync<VolumeException>(() => NewImporter(_store).RunAsync(image, "vol", Spec, default));

        Assert.Equal(VolumeErrorKind.AlreadyExists, e.Kind);
        Assert.Equal(before, _store.Blobs.Keys.Order());
    }

    [Fact]
    public async Task Run_AnotherDiskOrAnotherShapeThanItBeganWith_IsRefused()
    {
        await using var image = RawImage.Open(_folder.WriteRaw("disk.raw", Size, 5));
        await new VolumeImports(_store, TimeProvider.System).BeginAsync("vol", Spec, image.Identity, default);
        await using var other = RawImage.Open(_folder.WriteRaw("other.raw", Size, 6));

        Assert.Equal(VolumeErrorKind.OwnedElsewhere, (await Assert.ThrowsAsync<VolumeException>(() => NewImporter(_store).RunAsync(other, "vol", Spec, default))).Kind);
        Assert.Equal(VolumeErrorKind.InvalidArgument, (await Assert.ThrowsAsync<VolumeException>(() => NewImporter(_store).RunAsync(image, "vol", Spec with { SizeBytes = Size + 512 }, default))).Kind);
        Assert.Equal(VolumeErrorKind.InvalidArgument, (await Assert.ThrowsAsync<VolumeException>(() => NewImporter(_store).RunAsync(image, "new", Spec with { SizeBytes = Size - 512 }, default))).Kind);
    }

    [Fact]
    public async Task Run_DiskIsChangedMeanwhile_IsNotFinished()
    {
        var path = _folder.WriteRaw("disk.raw", Size, 7);
        await using var image = RawImage.Open(path);
        var importer = NewImporter(_store, progress: _ => File.SetLastWriteTimeUtc(path, DateTime.UnixEpoch));

        var e = await Assert.ThrowsAsync<ImageException>(() => importer.RunAsync(image, "vol", Spec, default));

        Assert.Contains("changed", e.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<VolumeException>(() => OpenAsync(_store));
    }

    [Fact]
    public async Task Run_ReadsBackSomethingElse_IsNotFinished()
    {
        // Bytes change below the checks of file system and volume: only the comparison can tell.
        var path = _folder.WriteRaw("disk.raw", Size, 8);
        await using var image = new ForgetfulImage(RawImage.Open(path));

        var e = await Assert.ThrowsAsync<VolumeException>(() => NewImporter(_store).RunAsync(image, "vol", Spec, default));

        Assert.Contains("differs from the disk at byte 1048577 ", e.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<VolumeException>(() => OpenAsync(_store));
    }

    [Fact]
    public async Task WhileItIsImported_ResizingAndExportingAreRefusedAndRemovingIsNot()
    {
        await new VolumeImports(_store, TimeProvider.System).BeginAsync("vol", Spec, "something", default);
        var catalog = new VolumeCatalog(_store, TimeProvider.System);

        await Assert.ThrowsAsync<VolumeException>(() => catalog.ResizeAsync("vol", 64 << 20, default));
        await Assert.ThrowsAsync<VolumeException>(() => catalog.IdentifyAsync("vol", default));
        Assert.Equal("something", (await catalog.DescribeAsync("vol", default)).ImportOf);
        Assert.Equal(["vol"], await catalog.ListAsync(default));
        Assert.True((await new VolumeChecker(_store, "vol").RunAsync(default)).IsClean);
        var trash = new Volumes.Trash.VolumeTrash(_store, Options with { LeaseLength = TimeSpan.Zero }, "test", TimeProvider.System, _ => { }, NullLogger.Instance);
        await trash.RemoveAsync("vol", TimeSpan.FromDays(1), false, default);
        await trash.RestoreAsync("vol", default);
        await Assert.ThrowsAsync<VolumeException>(() => OpenAsync(_store));
        await trash.RemoveAsync("vol", TimeSpan.Zero, false, default);
        await trash.PurgeAsync("vol", new Progress<Volumes.Trash.PurgeProgress>(), default);
        Assert.Empty(_store.Blobs);
    }

    [Fact]
    public async Task Point_DamagedOrOfAnotherSource_IsTheBeginning()
    {
        var imports = new VolumeImports(_store, TimeProvider.System);
        await imports.BeginAsync("vol", Spec, "something", default);
        await imports.SaveAsync(new ImportPoint("vol", 4096, true), default);
        Assert.Equal(new ImportPoint("vol", 4096, true), await imports.BeginAsync("vol", Spec, "something", default));

        _store.Blobs["vol/import"][70] ^= 1;
        Assert.Equal(new ImportPoint("vol", 0, false), await imports.BeginAsync("vol", Spec, "something", default));
        _store.Blobs.Remove("vol/import");
        Assert.Equal(new ImportPoint("vol", 0, false), await imports.BeginAsync("vol", Spec, "something", default));
    }

    [Fact]
    public async Task Export_IsTheDiskAgainAndSparse()
    {
        await using (var image = RawImage.Open(_folder.WriteRaw("disk.raw", Size, 9))) await NewImporter(_store).RunAsync(image, "vol", Spec, default);
        await using var volume = await OpenAsync(_store);

        var outcome = await new VolumeExporter().RunAsync(volume, _folder.File("out.raw"), false, default);

        Assert.Equal(await File.ReadAllBytesAsync(_folder.File("disk.raw")), await File.ReadAllBytesAsync(_folder.File("out.raw")));
        Assert.InRange(outcome.DataBytes, 1, Size - 1);
        await using var exported = RawImage.Open(_folder.File("out.raw"));
        var holes = 0L;
        for (long position = 0; position < Size;)
        {
            var extent = await exported.FindAsync(position, default);
            if (extent.IsZero) holes += extent.LengthBytes;
            position += extent.LengthBytes;
        }

        Assert.True(holes > Size / 4, $"only {holes} bytes are holes");
        await Assert.ThrowsAsync<ImageException>(() => new VolumeExporter().RunAsync(volume, _folder.File("out.raw"), false, default));
        await new VolumeExporter().RunAsync(volume, _folder.File("out.raw"), true, default);
        using var stop = new CancellationTokenSource();
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => new VolumeExporter().RunAsync(volume, _folder.File("cut.raw"), false, stop.Token));
        Assert.Empty(Directory.GetFiles(_folder.Path, "cut*"));
    }

    private static VolumeOptions Options => new() { SegmentBytes = 1 << 20, CheckpointSegmentsMin = 2, CheckpointSegments = 6, RetryDelayMax = TimeSpan.FromMilliseconds(50) };

    private static VolumeImporter NewImporter(IBlobStore store, TimeSpan? saveEvery = null, Action<TransferProgress>? progress = null) =>
        new(store, Options, "test", TimeProvider.System, NullLogger.Instance)
        {
            LeaseLength = TimeSpan.Zero,
            SaveEvery = saveEvery ?? TimeSpan.FromSeconds(5),
            Progress = progress is null ? null : new Direct(progress),
        };

    private static Task<Volume> OpenAsync(IBlobStore store) =>
        new VolumeOpener(store, Options with { LeaseLength = TimeSpan.Zero }, new JournalOptions { Directory = null, CapacityBytes = JournalOptions.CapacityMinBytes }, "reader", TimeProvider.System, new Random(1), NullLogger.Instance).OpenAsync("vol", default);

    private async Task AssertIsDiskAsync(string raw, long volumeBytes)
    {
        Assert.True((await new VolumeChecker(_store, "vol").RunAsync(default)).IsClean);
        var path = _folder.File("read.raw");
        await using (var volume = await OpenAsync(_store))
        {
            Assert.Equal(volumeBytes, volume.SizeBytes);
            await new VolumeExporter().RunAsync(volume, path, true, default);
        }

        var (disk, read) = (await File.ReadAllBytesAsync(_folder.File(raw)), await File.ReadAllBytesAsync(path));
        Assert.True(read.AsSpan(0, disk.Length).SequenceEqual(disk));
        Assert.False(read.AsSpan(disk.Length).ContainsAnyExcept((byte)0));
    }

    private sealed class Direct(Action<TransferProgress> report) : IProgress<TransferProgress>
    {
        public void Report(TransferProgress value) => report(value);
    }

    /// <summary>The second time that it is read, one byte is another.</summary>
    private sealed class ForgetfulImage(DiskImage inner) : DiskImage
    {
        private int _reads;

        public override string Identity => inner.Identity;

        public override long SizeBytes => inner.SizeBytes;

        public override ValueTask<ImageExtent> FindAsync(long offsetBytes, CancellationToken cancellationToken) => new(new ImageExtent(SizeBytes - offsetBytes, false));

        public override async ValueTask ReadAsync(long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
        {
            await inner.ReadAsync(offsetBytes, destination, cancellationToken);
            if (offsetBytes == 1 << 20 && Interlocked.Increment(ref _reads) == 2) destination.Span[1] ^= 0x80;
        }

        public override async ValueTask DisposeAsync()
        {
            await inner.DisposeAsync();
            await base.DisposeAsync();
        }
    }
}
