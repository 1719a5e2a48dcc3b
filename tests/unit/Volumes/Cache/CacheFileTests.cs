using Gateway.Tests.Shared;
using Gateway.Volumes.Cache;
using Gateway.Volumes.Map;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Volumes.Tests.Cache;

public class CacheFileTests
{
    private const int FrameBytes = 100_000;
    private const int Regions = 8;
    private const int RegionBytes = 256 << 10;

    private readonly SimulatedJournalDirectory _directory = new();
    private readonly Guid _volume = new("11111111-2222-3333-4444-555555555555");
    private readonly Dictionary<long, Guid> _nonces = [];
    private int _files;

    [Fact]
    public async Task CacheFile_FramesOffered_ComeBackAfterACleanStop()
    {
        var file = await OpenedAsync();
        for (var i = 0; i < 7; i++) await OfferAsync(file, i);
        await file.DisposeAsync();

        file = await OpenedAsync();

        for (var i = 0; i < 7; i++) Assert.Equal(Frame(i), await ReadAsync(file, i));
        await file.DisposeAsync();
    }

    [Fact]
    public async Task CacheFile_Killed_HasWhatWasInFullRegions()
    {
        var file = await OpenedAsync();
        for (var i = 0; i < 7; i++) await OfferAsync(file, i); // Two frames fill a region of 256 KiB.
        await file.DisposeAsync();
        var disk = _directory.Disks.Single();
        disk.Rot(4096 + (3 * RegionBytes), RegionBytes); // The last region did not get there.

        file = await OpenedAsync();

        for (var i = 0; i < 6; i++) Assert.Equal(Frame(i), await ReadAsync(file, i));
        Assert.Null(await ReadAsync(file, 6));
        await file.DisposeAsync();
    }

    [Fact]
    public async Task CacheFile_BucketSetBackToAnotherHistory_StartsAnew()
    {
        var file = await OpenedAsync();
        for (var i = 0; i < 6; i++) await OfferAsync(file, i);
        await file.DisposeAsync();
        _nonces[_nonces.Keys.Max()] = Guid.NewGuid();

        file = await OpenedAsync();

        Assert.Equal(0, file.Count);
        await file.DisposeAsync();
    }

    [Fact]
    public async Task CacheFile_OfAnotherSizeOrVolume_StartsAnew()
    {
        var file = await OpenedAsync();
        for (var i = 0; i < 6; i++) await OfferAsync(file, i);
        await file.DisposeAsync();

        file = await OpenedAsync(regions: Regions + 1);

        Assert.Equal(0, file.Count);
        Assert.True(file.IsServing);
        await file.DisposeAsync();
    }

    [Fact]
    public async Task CacheFile_Full_TakesAFrameWhenItComesForTheSecondTime()
    {
        var file = await OpenedAsync();
        for (var i = 0; i < 2 * Regions; i++) await OfferAsync(file, i);
        Assert.Equal(2 * Regions, await CountAsync(file, 2 * Regions));

        await OfferAsync(file, 100);
        await OfferAsync(file, 101);
        Assert.Null(await ReadAsync(file, 100));
        await OfferAsync(file, 100);
        await OfferAsync(file, 101);
        await OfferAsync(file, 102, isPrecious: true);
        await file.DisposeAsync();

        file = await OpenedAsync();
        Assert.Equal(Frame(100), await ReadAsync(file, 100));
        Assert.Equal(Frame(101), await ReadAsync(file, 101));
        Assert.Equal(Frame(102), await ReadAsync(file, 102));
        await file.DisposeAsync();
    }

    [Fact]
    public async Task CacheFile_ReusedAllOver_KeepsWhatIsRead()
    {
        var file = await OpenedAsync();
        for (var i = 0; i < 2 * Regions; i++) await OfferAsync(file, i);

        for (var i = 0; i < 100; i++)
        {
            await OfferAsync(file, 1000 + i, isPrecious: true);
            if (i % 4 == 0) await ReadAsync(file, 1);
        }

        Assert.Equal(Frame(1), await ReadAsync(file, 1));
        Assert.Null(await ReadAsync(file, 0));
        Assert.InRange(file.Count, Regions, 2 * Regions);
        await file.DisposeAsync();
    }

    [Fact]
    public async Task CacheFile_DiskFails_SwitchesItselfOff()
    {
        foreach (var reading in new[] { true, false })
        {
            var directory = new SimulatedJournalDirectory();
            var file = await OpenedAsync(directory: directory);
            for (var i = 0; i < 4; i++) await OfferAsync(file, i);
            Assert.Equal(Frame(0), await ReadAsync(file, 0));
            if (reading) directory.Disks.Single().ReadFailure = new IOException("Input/output error (by design of the test).");
            else directory.Disks.Single().WriteFailure = new IOException("No space left on device (by design of the test).");

            if (reading) Assert.Null(await ReadAsync(file, 0));
            for (var i = 10; i < 20 && !reading; i++) await OfferAsync(file, i, wait: false);
            while (!file.IsOff) await Task.Yield();

            Assert.Null(await ReadAsync(file, 0));
            file.Offer(Key(50), Frame(50));
            Assert.Equal(0, file.Count);
            await file.DisposeAsync();
        }
    }

    [Fact]
    public async Task CacheFile_ItemsFailTheirCheckAgainAndAgain_SwitchesItselfOff()
    {
        var file = await OpenedAsync();
        for (var i = 0; i < 200 && !file.IsOff; i++)
        {
            await OfferAsync(file, i, isPrecious: true);
            if (i < 3 || await ReadAsync(file, i - 3) is null) continue;
            file.Drop(Key(i - 3));
        }

        Assert.True(file.IsOff);
        await file.DisposeAsync();
    }

    [Fact]
    public async Task CacheFile_NoRoomForIt_IsOffAndNothingElse()
    {
        var file = await OpenedAsync(regions: 1, wait: false);
        while (!file.IsOff) await Task.Yield();

        Assert.Null(await ReadAsync(file, 0));
        await file.DisposeAsync();
    }

    private async Task<CacheFile> OpenedAsync(int regions = Regions, SimulatedJournalDirectory? directory = null, bool wait = true)
    {
        var epoch = ++_files;
        _nonces[epoch] = Guid.NewGuid();
        var history = new CacheHistory(epoch, _nonces[epoch], (e, _) => Task.FromResult<Guid?>(_nonces.TryGetValue(e, out var nonce) ? nonce : null));
        var options = new VolumeOptions { CacheFileBytes = 4096 + (regions * RegionBytes) };
        var file = new CacheFile(directory ?? _directory, _volume, "vol", history, options, Guid.NewGuid(), TimeProvider.System, NullLogger.Instance);
        file.Start();
        while (wait && !file.IsServing)
        {
            Assert.False(file.IsOff);
            await Task.Yield();
        }

        return file;
    }

    private static FrameKey Key(int number) => FrameKey.Of(new SegmentLocation(number + 1, 4096, FrameBytes));

    private static byte[] Frame(int number)
    {
        var frame = new byte[FrameBytes];
        new Random(number).NextBytes(frame);
        return frame;
    }

    /// <summary>Offers a frame, and waits until it is no longer on its way to the disk because of those before it.</summary>
    private static async Task OfferAsync(CacheFile file, int number, bool isPrecious = false, bool wait = true)
    {
        file.Offer(Key(number), Frame(number), isPrecious);
        while (wait && !file.IsIdle && !file.IsOff) await Task.Yield();
    }

    private static async Task<int> CountAsync(CacheFile file, int expected)
    {
        file.Offer(Key(-1), Frame(0), isPrecious: true); // Seals the region before.
        while (file.Count < expected) await Task.Yield();
        return file.Count;
    }

    private static async Task<byte[]?> ReadAsync(CacheFile file, int number)
    {
        var buffer = new byte[FrameBytes];
        return await file.TryReadAsync(Key(number), buffer) == CacheFileRead.Done ? buffer : null;
    }
}
