using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Tests.Shared;
using Gateway.Tests.Shared.Stores;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Tests.Frames;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Volumes.Tests;

public class VolumeTests
{
    [Fact]
    public async Task Volume_NeverWritten_ReadsZeroes()
    {
        await using var world = await OpenedAsync();

        Assert.Equal(new byte[64 * 512], await world.ReadAsync(100, 64));
    }

    [Fact]
    public async Task Volume_ReopenedFromTheBucketAlone_HoldsWhatWasWritten()
    {
        await using var world = await OpenedAsync();
        await world.WriteAsync(10, VolumeWorld.Tagged(1, 300));
        await world.WriteAsync(20, VolumeWorld.Tagged(2, 5));
        await world.Volume.ZeroAsync(new BlockRange(100, 50), false, default);
        await world.CloseAsync();
        world.LoseJournal();

        await world.OpenAsync();

        Assert.Equal(VolumeWorld.Tagged(1, 10), await world.ReadAsync(10, 10));
        Assert.Equal(VolumeWorld.Tagged(2, 5), await world.ReadAsync(20, 5));
        Assert.Equal(new byte[50 * 512], await world.ReadAsync(100, 50));
        Assert.Equal(VolumeWorld.Tagged(1, 160), await world.ReadAsync(150, 160));
        Assert.Equal(new byte[512], await world.ReadAsync(310, 1));
    }

    [Fact]
    public async Task Volume_FlushWithNothingNew_DoesNotTouchTheDisk()
    {
        await using var world = await OpenedAsync();
        await world.WriteAsync(0, VolumeWorld.Tagged(1, 1));
        await world.Volume.FlushAsync(default);
        var disk = world.Journals.Disks.Single();
        var flushes = disk.Flushes;

        await world.Volume.FlushAsync(default);

        Assert.Equal(flushes, disk.Flushes);
    }

    [Fact]
    public async Task Volume_ForcedWrite_IsFlushedBeforeItCompletes()
    {
        await using var world = await OpenedAsync();

        await world.WriteAsync(0, VolumeWorld.Tagged(5, 8), fua: true);
        world.Journals.Disks.Single().IgnoreFlushes = true;
        world.CutPower();
        await world.OpenAsync();

        Assert.Equal(VolumeWorld.Tagged(5, 8), await world.ReadAsync(0, 8));
    }

    [Fact]
    public async Task Volume_FlushFails_GoesOfflineInsteadOfTryingAgain()
    {
        await using var world = await OpenedAsync();
        await world.WriteAsync(0, VolumeWorld.Tagged(1, 1));
        var disk = world.Journals.Disks.Single();
        disk.FailFlushes = true;

        Assert.Equal(BlockError.Offline, (await world.Volume.FlushAsync(default)).Error);
        disk.FailFlushes = false;
        Assert.Equal(BlockError.Offline, (await world.Volume.FlushAsync(default)).Error);
        Assert.Equal(BlockError.Offline, (await world.WriteAsync(0, VolumeWorld.Tagged(2, 1))).Error);
        Assert.Equal(BlockError.Offline, world.Volume.Readiness.Error);
    }

    [Fact]
    public async Task Volume_WriteLongerThanAnyRecord_ReadsBackWhole()
    {
        await using var world = await OpenedAsync(sizeBytes: 64 << 20, journalBytes: 32 << 20);
        var data = new byte[9 << 20];
        new Random(4).NextBytes(data);

        Assert.Equal(BlockResult.Success, await world.WriteAsync(3, data));

        Assert.Equal(data, await world.ReadAsync(3, data.Length / 512));
    }

    [Fact]
    public async Task Volume_MoreWrittenThanTheJournalHolds_WaitsForTheStoreAndGoesOn()
    {
        await using var world = await OpenedAsync();

        for (var i = 0; i < 200; i++) Assert.Equal(BlockResult.Success, await world.WriteAsync((ulong)(i % 20 * 100), VolumeWorld.Tagged(i, 100)));

        Assert.Equal(VolumeWorld.Tagged(199, 100), await world.ReadAsync(1900, 100));
    }

    [Fact]
    public async Task Volume_SegmentsAreBeingCounted_LaterOnesTravelMeanwhile()
    {
        await using var world = new VolumeWorld();
        world.Options.UploadWindow = 2;
        await world.CreateAsync();
        var store = new FaultyBlobStore(world.Store, 1, TimeProvider.System);
        await world.OpenAsync(store);
        var keys = new VolumeKeys(VolumeWorld.Name);
        var (puts, travelling, count) = (0, new TaskCompletionSource(), new TaskCompletionSource());
        store.BeforeRequest = async (name, key, _) =>
        {
            if (key.StartsWith(keys.EpochPrefix, StringComparison.Ordinal)) await count.Task;
            if (name == "put" && key.StartsWith(keys.LogPrefix, StringComparison.Ordinal) && Interlocked.Increment(ref puts) == 5) travelling.SetResult();
        };
        for (var i = 0; i < 6; i++) Assert.Equal(BlockResult.Success, await world.WriteAsync((ulong)(i * 200), VolumeWorld.Tagged(i + 1, 160)));

        await travelling.Task;
        var drained = world.Volume.DrainAsync(default);
        Assert.False(drained.IsCompleted);
        count.SetResult();
        await drained;
        world.LoseJournal();
        world.Kill();
        await world.OpenAsync();

        for (var i = 0; i < 6; i++) Assert.Equal(VolumeWorld.Tagged(i + 1, 160), await world.ReadAsync((ulong)(i * 200), 160));
    }

    [Fact]
    public async Task Volume_JournalFullWithTheStoreAway_EndsInJournalFullAndRecovers()
    {
        await using var world = new VolumeWorld();
        world.Options.CommandTimeout = TimeSpan.FromMilliseconds(200);
        await world.CreateAsync();
        var store = new SwitchableStore(world.Store);
        await world.OpenAsync(store);
        store.IsAway = true;
        var result = BlockResult.Success;
        var acknowledged = 0;
        while (result.IsSuccess)
        {
            result = await world.WriteAsync((ulong)(acknowledged % 20 * 100), VolumeWorld.Tagged(acknowledged + 1, 100));
            if (result.IsSuccess) acknowledged++;
        }

        Assert.Equal(BlockError.JournalFull, result.Error);
        Assert.Equal(VolumeWorld.Tagged(acknowledged, 100), await world.ReadAsync((ulong)((acknowledged - 1) % 20 * 100), 100));
        store.IsAway = false;
        await world.Volume.DrainAsync(default);

        Assert.Equal(BlockResult.Success, await world.WriteAsync(0, VolumeWorld.Tagged(1, 100)));
    }

    [Fact]
    public async Task Volume_ReadMissWithTheStoreAway_SaysSoAndTheRestWorks()
    {
        const ulong Lba = 4096; // Behind the first MiB, which is read after each opening, and stays in memory.
        await using var world = new VolumeWorld();
        await world.CreateAsync(4 << 20);
        await world.OpenAsync();
        await world.WriteAsync(Lba, VolumeWorld.Tagged(1, 8));
        await world.CloseAsync();
        var store = new SwitchableStore(world.Store);
        await world.OpenAsync(store);
        store.IsAway = true;

        Assert.Equal(BlockError.StoreUnavailable, (await world.TryReadAsync(Lba, 8)).Result.Error);
        Assert.Equal(BlockResult.Success, await world.WriteAsync(Lba + 4, VolumeWorld.Tagged(2, 1)));
        Assert.Equal(VolumeWorld.Tagged(2, 1), await world.ReadAsync(Lba + 4, 1));
        store.IsAway = false;
        Assert.Equal(VolumeWorld.Tagged(1, 4), await world.ReadAsync(Lba, 4));
    }

    [Fact]
    public async Task Volume_FrameDamagedInTheBucket_IsCorruptAtItsLbaAndNowhereElse()
    {
        await using var world = await OpenedAsync();
        await world.WriteAsync(0, VolumeWorld.Tagged(1, 8));
        await world.Volume.DrainAsync(default);
        await world.WriteAsync(500, VolumeWorld.Tagged(2, 8));
        await world.CloseAsync();
        var segment = world.Store.Blobs.Keys.Where(k => k.Contains("/log/", StringComparison.Ordinal)).Max(StringComparer.Ordinal)!;
        var blob = world.Store.Blobs[segment];
        blob[Array.LastIndexOf(blob, (byte)2)] ^= 0x40;
        await world.OpenAsync();

        var (result, _) = await world.TryReadAsync(498, 10);

        Assert.Equal(new BlockResult(BlockError.Corrupt, 500), result);
        Assert.Equal(VolumeWorld.Tagged(1, 8), await world.ReadAsync(0, 8));
    }

    [Fact]
    public async Task Volume_OpenedElsewhere_StopsAndKeepsItsJournal()
    {
        await using var world = await OpenedAsync();
        await world.WriteAsync(0, VolumeWorld.Tagged(1, 8));
        await using var successor = await world.NewOpener(new SimulatedJournalDirectory()).OpenAsync(VolumeWorld.Name, default);

        while ((await world.WriteAsync(8, VolumeWorld.Tagged(2, 8))).IsSuccess) { }

        Assert.Equal(BlockError.Standby, world.Volume.Readiness.Error);
        Assert.Equal(BlockError.Standby, (await world.TryReadAsync(0, 8)).Result.Error);
        Assert.True(successor.Readiness.IsSuccess);
    }

    [Fact]
    public async Task Volume_PutAnsweredLateOrTwice_CountsOnce()
    {
        await using var world = new VolumeWorld { FailureRate = 0.2, Random = new Random(11) };
        await world.CreateAsync();
        await world.OpenAsync();
        for (var i = 0; i < 10; i++) await world.WriteAsync((ulong)(i * 128), VolumeWorld.Tagged(i + 1, 128));

        await world.Volume.DrainAsync(default);
        await world.CloseAsync();
        world.LoseJournal();
        await world.OpenAsync();

        for (var i = 0; i < 10; i++) Assert.Equal(VolumeWorld.Tagged(i + 1, 128), await world.ReadAsync((ulong)(i * 128), 128));
    }

    [Fact]
    public async Task Volume_SegmentMissingInTheMiddleWithoutJournal_OpensAtThePrefixBeforeIt()
    {
        await using var world = await OpenedAsync();
        for (var i = 0; i < 4; i++)
        {
            await world.WriteAsync((ulong)(i * 8), VolumeWorld.Tagged(i + 1, 8));
            await world.Volume.DrainAsync(default);
        }

        world.Kill();
        world.LoseJournal();
        world.Store.Blobs.Remove(new VolumeKeys(VolumeWorld.Name).Segment(new SegmentId(1, 3)).Value);
        await world.OpenAsync();

        Assert.Equal(VolumeWorld.Tagged(2, 8), await world.ReadAsync(8, 8));
        Assert.Equal(new byte[16 * 512], await world.ReadAsync(16, 16));
        // The fourth segment is a leftover now: the new epoch's own third one takes its place in the log.
        await world.WriteAsync(0, VolumeWorld.Tagged(9, 8));
        await world.CloseAsync();
        world.LoseJournal();
        await world.OpenAsync();
        Assert.Equal(VolumeWorld.Tagged(9, 8), await world.ReadAsync(0, 8));
        Assert.Equal(new byte[16 * 512], await world.ReadAsync(16, 16));
    }

    [Fact]
    public async Task Volume_BlocksWrittenAgainAndAgain_GoToTheBucketOnce()
    {
        await using var world = await OpenedAsync();
        world.Options.SealAfter = TimeSpan.FromHours(1);

        for (var i = 0; i < 12; i++) await world.WriteAsync(0, SampleData.Noise(4096, i));
        await world.Volume.DrainAsync(default);

        Assert.InRange(world.Store.Blobs.Where(b => b.Key.Contains("/log/", StringComparison.Ordinal)).Sum(b => b.Value.Length), 4096, 6000);
    }

    [Fact]
    public async Task Volume_WritesInSteadyState_AllocateNothingInTheCallersThread()
    {
        // On a real file: the append may run in the caller's thread, and the simulated disk keeps a copy of all that it is given.
        var folder = Directory.CreateTempSubdirectory("tcmu-gateway-").FullName;
        await using var world = new VolumeWorld();
        await world.CreateAsync();
        var journal = new JournalOptions { Directory = folder, CapacityBytes = 64 << 20, AllowUnsafeFileSystem = true };
        await using var volume = await new VolumeOpener(world.Store, world.Options, journal, "test", TimeProvider.System, new Random(1), NullLogger.Instance).OpenAsync(VolumeWorld.Name, default);
        using var buffer = new Scsi.Interop.NativeBuffer(4096);
        var list = new ScatterList();
        list.Add(buffer);
        await WriteManyAsync(volume, list, 500);

        var pending = new ValueTask<BlockResult>[64];
        var least = long.MaxValue;
        for (var round = 0; round < 20 && least > 0; round++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            for (var i = 0; i < pending.Length; i++) pending[i] = volume.WriteAsync(new BlockRange((ulong)i * 8, 8), list, false, default);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before); // The runtime's own work, and a queue that grows, come and go.
            foreach (var write in pending) await write;
        }

        Assert.Equal(0, least);
        await volume.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }

    private static async Task WriteManyAsync(Volume volume, ScatterList list, int count)
    {
        for (var round = 0; round < count / 100; round++)
        {
            var pending = new ValueTask<BlockResult>[100];
            for (var i = 0; i < pending.Length; i++) pending[i] = volume.WriteAsync(new BlockRange((ulong)i * 8, 8), list, false, default);
            foreach (var write in pending) await write;
        }
    }

    private static async Task<VolumeWorld> OpenedAsync(long sizeBytes = 1 << 20, long journalBytes = 1 << 20)
    {
        var world = new VolumeWorld();
        world.JournalOptions.CapacityBytes = journalBytes;
        await world.CreateAsync(sizeBytes);
        await world.OpenAsync();
        return world;
    }

    /// <summary>A store that can be away.</summary>
    private sealed class SwitchableStore(IBlobStore inner) : DelegatingBlobStore(inner)
    {
        public bool IsAway { get; set; }

        public override ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
        {
            CheckReach();
            return base.ReadAsync(key, offsetBytes, destination, cancellationToken);
        }

        public override ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken)
        {
            CheckReach();
            return base.PutAsync(key, content, precondition, cancellationToken);
        }

        public override ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken)
        {
            CheckReach();
            return base.GetLengthAsync(key, cancellationToken);
        }

        private void CheckReach()
        {
            if (IsAway) throw new BlobStoreException(BlobErrorKind.Unavailable, "The store is away (by design of the test).");
        }
    }
}
