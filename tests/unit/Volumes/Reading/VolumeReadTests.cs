using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Tests.Shared;
using Gateway.Volumes.Cache;
using Gateway.Volumes.Formats;
using Xunit;

namespace Gateway.Volumes.Tests.Reading;

public class VolumeReadTests
{
    private const int MiB = 1 << 20;
    private const int FrameBytes = 128 << 10;

    [Fact]
    public async Task Read_OneMiBInOneSegment_IsOneRequest()
    {
        await using var world = await ReadWorld.WrittenAsync(8 * MiB);

        Assert.True(await world.ReadsRightAsync(2 * MiB, MiB));

        Assert.Equal(8 * (FrameBytes + 32), Assert.Single(world.Store.Requests).LengthBytes);
    }

    [Fact]
    public async Task Read_EightMiB_IsSeveralRequestsAtOnce()
    {
        await using var world = await ReadWorld.WrittenAsync(16 * MiB);
        var all = new TaskCompletionSource();
        world.Store.Before = async _ =>
        {
            if (world.Store.Requests.Count >= 7) all.TrySetResult(); // The first MiB is pinned.
            await all.Task;
        };

        Assert.True(await world.ReadsRightAsync(0, 8 * MiB));

        Assert.Equal(7, world.Store.Requests.Count);
        Assert.Equal(7, world.Store.InFlightMax);
    }

    [Fact]
    public async Task Read_MoreRequestsThanTheWindow_WaitForTheirTurn()
    {
        await using var world = await ReadWorld.WrittenAsync(16 * MiB, o => o.ReadWindow = 2);
        var two = new TaskCompletionSource();
        world.Store.Before = async _ =>
        {
            if (world.Store.Requests.Count >= 2) two.TrySetResult();
            await two.Task;
        };

        Assert.True(await world.ReadsRightAsync(MiB, 8 * MiB));

        Assert.True(world.Store.Requests.Count >= 8);
        Assert.Equal(2, world.Store.InFlightMax);
    }

    [Fact]
    public async Task Read_SameFrameAtTheSameTime_IsOneRequest()
    {
        await using var world = await ReadWorld.WrittenAsync(4 * MiB);
        var held = new TaskCompletionSource();
        world.Store.Before = _ => held.Task;

        var reads = Enumerable.Range(0, 32).Select(i => world.ReadsRightAsync((2 * MiB) + (i * 4096), 4096)).ToArray();
        held.SetResult();

        Assert.All(await Task.WhenAll(reads), Assert.True);
        Assert.Single(world.Store.Requests);
        Assert.True(await world.ReadsRightAsync(2 * MiB, FrameBytes));
        Assert.Single(world.Store.Requests);
    }

    [Fact]
    public async Task Read_WarmInMemory_AllocatesNothingAndEndsAtOnce()
    {
        await using var world = await ReadWorld.WrittenAsync(4 * MiB);
        await world.ReadsRightAsync(MiB, 3 * MiB);
        using var buffer = new NativeBuffer(4096);
        var list = new ScatterList();
        list.Add(buffer);
        var random = new Random(1);
        var ended = true;

        var allocated = Allocations.Least(() =>
        {
            for (var i = 0; i < 200; i++)
            {
                var read = world.World.Volume.ReadAsync(new BlockRange((ulong)random.Next(4 * MiB / 4096), 1), list, default);
                ended &= read.IsCompletedSuccessfully;
            }
        });

        Assert.True(ended);
        Assert.Equal(0, allocated);
    }

    [Fact]
    public async Task Read_Sequentially_IsFewLargeRequests()
    {
        await using var world = await ReadWorld.WrittenAsync(64 * MiB, o => o.ReadAheadBytes = 32 << 20);

        for (var at = 0; at < 64 * MiB; at += FrameBytes) Assert.True(await world.ReadsRightAsync(at, FrameBytes));

        // 64 MiB in frames are 512 requests; in requests of 4 MiB, two for each segment, 16; before that the window grows.
        // A reader that memory serves faster than a busy machine fetches for it asks for some frames by itself.
        Assert.InRange(world.Store.Requests.Count, 16, 256);
        Assert.Equal(world.Store.Requests.Count, world.Store.Requests.Distinct().Count());
        Assert.InRange(world.Store.Requests.Sum(r => (long)r.LengthBytes), 62L * MiB, 65L * MiB);
    }

    [Fact]
    public async Task Read_SeveralSequentialReadersTakingTurns_EachIsReadAheadFor()
    {
        await using var world = await ReadWorld.WrittenAsync(64 * MiB, o => o.ReadAheadBytes = 32 << 20);

        for (var at = 0; at < 16 * MiB; at += 64 << 10)
            for (var reader = 0; reader < 4; reader++) Assert.True(await world.ReadsRightAsync((reader * 16 * MiB) + at, 64 << 10));

        // Each but the last is read ahead for beyond its quarter, into what the next has read already: by 4 MiB at most.
        Assert.InRange(world.Store.Requests.Count, 16, 256);
        Assert.InRange(world.Store.Requests.Sum(r => (long)r.LengthBytes), 62L * MiB, (64L + (3 * 5)) * MiB);
    }

    [Fact]
    public async Task Read_AtRandom_FetchesNothingBeyondWhatIsAskedFor()
    {
        await using var world = await ReadWorld.WrittenAsync(32 * MiB, o => o.ReadAheadBytes = 32 << 20);
        var random = new Random(5);
        var frames = new HashSet<int>();

        for (var i = 0; i < 300; i++)
        {
            var at = random.Next(256, 32 * MiB / 4096) * 4096;
            frames.Add(at / FrameBytes);
            Assert.True(await world.ReadsRightAsync(at, 4096));
        }

        Assert.Equal(frames.Count, world.Store.Requests.Count);
    }

    [Fact]
    public async Task Read_FrameSpoiledOnItsWay_IsReadAgain()
    {
        await using var world = await ReadWorld.WrittenAsync(4 * MiB);
        var spoiled = 0;
        world.Store.After = (_, bytes) =>
        {
            if (Interlocked.Increment(ref spoiled) == 1) bytes.Span[200_000] ^= 1;
        };

        Assert.True(await world.ReadsRightAsync(2 * MiB, MiB));

        Assert.Equal(2, world.Store.Requests.Count);
        Assert.Equal(FrameBytes + 32, world.Store.Requests.Last().LengthBytes);
    }

    [Fact]
    public async Task Read_FrameDamagedInTheStore_IsCorruptAtItsFirstBlockAsked()
    {
        await using var world = await ReadWorld.WrittenAsync(4 * MiB);
        world.Store.After = (request, bytes) =>
        {
            if (request.LengthBytes > FrameBytes + 32) bytes.Span[200_000] ^= 1; // The second frame of eight.
            else bytes.Span[100] ^= 1;
        };

        var (result, _) = await world.World.TryReadAsync(2 * MiB / 4096, MiB / 4096);

        Assert.Equal(new BlockResult(BlockError.Corrupt, (2 * MiB / 4096) + (FrameBytes / 4096)), result);
        world.Store.After = null;
        Assert.True(await world.ReadsRightAsync(2 * MiB, MiB));
    }

    [Fact]
    public async Task Read_StoreSilent_EndsWithinTheTimeoutAndLaterReadsWork()
    {
        await using var world = await ReadWorld.WrittenAsync(4 * MiB, o => o.CommandTimeout = TimeSpan.FromMilliseconds(100));
        var held = new TaskCompletionSource();
        world.Store.Before = _ => held.Task;

        var (result, data) = await world.World.TryReadAsync(2 * MiB / 4096, MiB / 4096);

        Assert.Equal(BlockError.StoreUnavailable, result.Error);
        world.Store.Before = null;
        world.World.Options.CommandTimeout = TimeSpan.FromSeconds(20);
        Assert.True(await world.ReadsRightAsync(2 * MiB, MiB));
        held.SetResult();
        Assert.All(data, b => Assert.Equal(0xEE, b));
    }

    [Fact]
    public async Task Read_FirstMiBInAnOutage_IsServedFromMemory()
    {
        await using var world = await ReadWorld.WrittenAsync(8 * MiB, o => o.CacheBytes = 0);
        world.Store.Before = _ => throw new BlobStoreException(BlobErrorKind.Unavailable, "Away (by design of the test).");

        for (var at = 0; at < MiB; at += 4096) Assert.True(await world.ReadsRightAsync(at, 4096));

        Assert.Equal(BlockError.StoreUnavailable, (await world.World.TryReadAsync(2 * MiB / 4096, 1)).Result.Error);
    }

    [Fact]
    public async Task Read_FirstMiBRewrittenAndSentThenAnOutage_IsServedAsRewritten()
    {
        await using var world = await ReadWorld.WrittenAsync(8 * MiB, o => o.CacheBytes = 0);
        var data = VolumeWorld.Tagged(77, 5, 4096);
        await world.World.WriteAsync(3, data);
        await world.HeadPinnedAsync();

        await world.World.Volume.DrainAsync(default);
        world.Store.Before = _ => throw new BlobStoreException(BlobErrorKind.Unavailable, "Away (by design of the test).");

        Assert.Equal(data, await world.World.ReadAsync(3, 5));
        Assert.True(await world.ReadsRightAsync(0, 3 * 4096));
        Assert.True(await world.ReadsRightAsync(8 * 4096, MiB - (8 * 4096)));
    }

    [Fact]
    public async Task Read_BlocksReadWhileInTheJournal_StayCachedWhenTheyAreSent()
    {
        await using var world = await ReadWorld.WrittenAsync(8 * MiB);
        var data = VolumeWorld.Tagged(5, 16, 4096);
        await world.World.WriteAsync(1000, data);
        Assert.Equal(data, await world.World.ReadAsync(1000, 16));

        await world.World.Volume.DrainAsync(default);

        Assert.Equal(data, await world.World.ReadAsync(1000, 16));
        Assert.Empty(world.Store.Requests);
    }

    [Fact]
    public async Task Read_BlocksWrittenAgainAndAgain_AlwaysTheLastContent()
    {
        await using var world = await ReadWorld.WrittenAsync(4 * MiB, o =>
        {
            o.CacheBytes = 1 << 20;
            o.ReadAheadBytes = 1 << 20;
            o.CacheFileBytes = 2 << 20;
            o.SegmentBytes = 64 << 10;
            o.SealAfter = TimeSpan.FromMilliseconds(1);
        });
        var random = new Random(9);
        var expected = world.Content;
        for (var i = 0; i < 1500; i++)
        {
            var (lba, blocks) = (random.Next(1000), random.Next(1, 24));
            if (i % 3 == 0)
            {
                var data = VolumeWorld.Tagged(i + 1, blocks, 4096);
                data.CopyTo(expected, lba * 4096);
                await world.World.WriteAsync((ulong)lba, data);
            }
            else
            {
                Assert.True(await world.ReadsRightAsync(lba * 4096L, blocks * 4096));
            }
        }
    }

    [Fact]
    public async Task Read_AfterCleanRestart_ComesFromTheCacheFile()
    {
        await using var world = await WithCacheFileAsync();

        Assert.True(await world.ReadsRightAsync(2 * MiB, 512 << 10));

        Assert.Empty(world.Store.Requests);
    }

    [Fact]
    public async Task Read_CacheFileRotted_GivesTheBucketsBytes()
    {
        await using var world = await WithCacheFileAsync(disk =>
        {
            // Every sector of the frames, but not the tables: the frames are still found there.
            for (var at = 4096L; at < 4096 + (2 << 20); at += 1 << 20) disk.Rot(at + CacheRegionTable.TableBytes(1 << 20), (1 << 20) - CacheRegionTable.TableBytes(1 << 20));
        });

        Assert.True(await world.ReadsRightAsync(2 * MiB, 512 << 10));

        Assert.NotEmpty(world.Store.Requests);
    }

    [Fact]
    public async Task RangeFetcher_BlobOfTheStore_ComesProvedAndOnceIfThereIsAFile()
    {
        await using var world = await ReadWorld.WrittenAsync(4 * MiB, o => o.CacheFileBytes = 2 << 20);
        while (!world.World.Volume.Reader.IsFileServing) await Task.Yield();
        var blob = new VolumeKeys(VolumeWorld.Name).Segment(new SegmentId(1, 1));
        var whole = world.World.Store.Blobs[blob.Value];
        var checks = 0;

        bool Check(ReadOnlyMemory<byte> content)
        {
            checks++;
            return checks > 1 && content.Span.SequenceEqual(whole.AsSpan(1000, 5000));
        }

        var ranges = world.World.Volume.Reader.Ranges;
        Assert.Equal((BlockError.None, 5000), await LengthAsync(ranges.FetchAsync(blob, 1000, 5000, Check)));
        Assert.Equal(2, world.Store.Requests.Count); // The first failed the check.
        Assert.Equal((BlockError.Corrupt, 0), await LengthAsync(ranges.FetchAsync(blob, 2000, 5000, Check)));
        Assert.Equal((BlockError.Corrupt, 0), await LengthAsync(ranges.FetchAsync(blob, whole.Length - 10, 5000, _ => true)));
        Assert.Equal((BlockError.Corrupt, 0), await LengthAsync(ranges.FetchAsync(new BlobKey("no/such/blob"), 0, 10, _ => true)));

        static async Task<(BlockError, int)> LengthAsync(ValueTask<(BlockError Error, byte[] Content)> fetch)
        {
            var (error, content) = await fetch;
            return (error, content.Length);
        }
    }

    /// <summary>A volume that was opened, read from 2 MiB for 512 KiB into its cache file, closed, and opened again.</summary>
    private static async Task<ReadWorld> WithCacheFileAsync(Action<SimulatedDisk>? whileClosed = null)
    {
        var world = await ReadWorld.WrittenAsync(4 * MiB, o => o.CacheFileBytes = 32 << 20); // In regions of 1 MiB.
        await FileServingAsync(world);
        Assert.True(await world.ReadsRightAsync(2 * MiB, 512 << 10)); // With the pinned MiB less than two regions: all of it is taken in.
        await world.World.CloseAsync();
        whileClosed?.Invoke(world.World.Journals.Disks.Single(d => d.Name.EndsWith(".cache", StringComparison.Ordinal)));
        await world.ReopenAsync();
        await FileServingAsync(world);
        return world;
    }

    private static async Task FileServingAsync(ReadWorld world)
    {
        while (!world.World.Volume.Reader.IsFileServing) await Task.Yield();
    }
}
