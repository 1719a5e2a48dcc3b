using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Tests.Shared;
using Gateway.Tests.Shared.Stores;
using Gateway.Volumes.Formats;
using Xunit;

namespace Gateway.Volumes.Tests.Checkpoints;

/// <summary>Checkpoints, cleaning and removal of a whole volume: space comes back, whatever fails on the way, and nothing that is needed goes.</summary>
public class HousekeepingTests
{
    private const int Blocks = 2048;

    /// <summary>Behind the first MiB, which the volume itself reads whenever it changes.</summary>
    private const int First = (1 << 20) / VolumeWorld.BlockDefaultBytes;
    private static readonly VolumeKeys Keys = new(VolumeWorld.Name);

    [Fact]
    public async Task Housekeeping_AfterAnExceptionThatNobodyExpected_GoesOn()
    {
        await using var world = await NewWorldAsync();
        var store = new FaultyBlobStore(world.Store, 1, TimeProvider.System);
        var failures = 0;
        await world.OpenAsync(store);
        store.BeforeRequest = (name, _, _) => name == "list" && failures < 2 && ++failures > 0 ? throw new InvalidOperationException("A bug (by design of the test).") : default;

        await OverwriteAsync(world, 1);
        var old = Segments(world);
        // Each makes segments free, so that checkpoints follow, and with them looks for leftovers: how many share a checkpoint is a matter of time.
        for (var tag = 2; tag == 2 || failures < 2; tag++) await OverwriteAsync(world, tag);

        await UntilAsync(world, () => !Segments(world).Intersect(old).Any());
        Assert.True(world.Volume!.Readiness.IsSuccess);
    }

    [Fact]
    public async Task Housekeeping_SweepThatFails_IsMadeAgainAtRest()
    {
        await using var world = await NewWorldAsync();
        var leftover = Keys.Segment(new SegmentId(1, 999)).Value;
        var store = new FaultyBlobStore(world.Store, 1, TimeProvider.System);
        var failures = 0;
        await world.OpenAsync(store);
        world.Store.Blobs[leftover] = [1, 2, 3];
        store.BeforeRequest = (name, key, _) => name == "list" && key == Keys.LogPrefix && ++failures == 1 ? throw new BlobStoreException(BlobErrorKind.Unavailable, "By design of the test.") : default;

        await OverwriteAsync(world, 1);
        await OverwriteAsync(world, 2);

        await UntilAsync(world, () => failures > 1 && !world.Store.Blobs.ContainsKey(leftover));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Removal_OfASegmentWhoseIndexIsDamaged_IsRefusedAndOthersGoOn(bool isTruncated)
    {
        await using var world = await NewWorldAsync();
        var store = new FaultyBlobStore(world.Store, 1, TimeProvider.System);
        await world.OpenAsync(store);
        await OverwriteAsync(world, 1);
        var damaged = Segments(world)[^1];
        var content = world.Store.Blobs[damaged].ToArray();
        content[SegmentHeader.HeaderLengthBytes + 3] ^= 1;
        world.Store.Blobs[damaged] = isTruncated ? content[..100] : content;
        var asked = 0;
        store.BeforeRequest = (name, key, _) =>
        {
            if (name == "read" && key == damaged) Interlocked.Increment(ref asked);
            return default;
        };

        for (var tag = 2; tag < 6; tag++)
        {
            var old = Segments(world);
            await OverwriteAsync(world, tag);
            await UntilAsync(world, () => asked > 0 && Segments(world).Intersect(old).SequenceEqual([damaged]));
        }

        Assert.Equal(2, asked); // Once more, since the transfer may have gone wrong, but not again and again.
        await AssertContentAsync(world, 5);
    }

    [Fact]
    public async Task Removal_WithoutAGracePeriod_OfWhatTheStoreDoesNotDelete_DoesNotSpin()
    {
        await using var world = await NewWorldAsync();
        (world.Options.RemoveAfter, world.Options.RetryDelayMax) = (TimeSpan.Zero, TimeSpan.FromHours(1));
        var store = new FaultyBlobStore(world.Store, 1, TimeProvider.System);
        var failed = 0;
        store.BeforeRequest = (name, key, _) => name == "delete" && key.StartsWith(Keys.LogPrefix, StringComparison.Ordinal) && Interlocked.Increment(ref failed) > 0
            ? throw new BlobStoreException(BlobErrorKind.AccessDenied, "By design of the test.") : default;
        await world.OpenAsync(store);

        await OverwriteAsync(world, 1);
        await OverwriteAsync(world, 2);
        await UntilAsync(world, () => failed > 0);
        await OverwriteAsync(world, 3);
        await world.CloseAsync();

        Assert.InRange(failed, 1, world.Store.Blobs.Keys.Count(k => k.StartsWith(Keys.LogPrefix, StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Takeover_BetweenTheLookAndTheDelete_LosesNothing()
    {
        await using var world = await NewWorldAsync();
        var store = new FaultyBlobStore(world.Store, 1, TimeProvider.System);
        await world.OpenAsync(store);
        await OverwriteAsync(world, 1);
        var (reached, release) = (new TaskCompletionSource(), new TaskCompletionSource());
        store.BeforeRequest = async (name, _, _) =>
        {
            if (name != "delete") return;
            reached.TrySetResult();
            await release.Task; // Deaf to cancellation, as a request on its way is.
        };
        await OverwriteAsync(world, 2);
        await reached.Task;
        await using var successor = await world.NewOpener(new SimulatedJournalDirectory()).OpenAsync(VolumeWorld.Name, default);

        release.SetResult();
        await world.Volume!.DisposeAsync();

        for (var lba = 0; lba < Blocks; lba += 64) Assert.Equal(VolumeWorld.Tagged(2, 64), await VolumeWorld.ReadAsync(successor, (ulong)(First + lba), 64));
    }

    [Fact]
    public async Task Cleaning_OfBlocksOverwrittenAndTrimmedMeanwhile_KeepsTheNewerState()
    {
        await using var world = await NewWorldAsync();
        world.Options.CleanAbove = 0.05;
        (world.Options.CheckpointSegmentsMin, world.Options.CheckpointSegments, world.Options.CheckpointIdle) = (int.MaxValue, int.MaxValue, TimeSpan.FromHours(1));
        var store = new FaultyBlobStore(world.Store, 1, TimeProvider.System);
        var (reached, release) = (new TaskCompletionSource(), new TaskCompletionSource());
        await world.OpenAsync(store);
        await OverwriteAsync(world, 1);
        store.BeforeRequest = async (name, key, cancellationToken) =>
        {
            if (name != "read" || !key.StartsWith(Keys.LogPrefix, StringComparison.Ordinal)) return;
            reached.TrySetResult(); // The cleaner reads a victim.
            await release.Task.WaitAsync(cancellationToken);
        };
        for (var lba = 0; lba < Blocks; lba += 4) await world.WriteAsync((ulong)(First + lba), VolumeWorld.Tagged(2, 1));
        await reached.Task;

        await world.WriteAsync(First + 1, VolumeWorld.Tagged(3, 1));
        Assert.Equal(BlockResult.Success, await world.Volume.ZeroAsync(new BlockRange(First + 2, 1), true, default));
        await world.Volume.DrainAsync(default);
        await world.WriteAsync(First + 3, VolumeWorld.Tagged(3, 1)); // Not in the bucket yet when the survivors are.
        release.SetResult();
        await UntilAsync(world, () => Segments(world).Any(name => SegmentHeader.Parse(world.Store.Blobs[name].AsSpan(0, SegmentHeader.HeaderLengthBytes), name).Kind == SegmentKind.Moved));

        foreach (var reopened in new[] { false, true })
        {
            if (reopened)
            {
                await world.CloseAsync();
                world.LoseJournal();
                await world.OpenAsync();
            }

            var found = await world.ReadAsync(First, 8);
            Assert.Equal([2, 3, 0, 3, 2, 1, 1, 1], Enumerable.Range(0, 8).Select(i => BitConverter.ToInt64(found, i * VolumeWorld.BlockDefaultBytes)));
        }
    }

    [Fact]
    public async Task Cleaning_OfAVolumeAtRest_ComesToItsEnd()
    {
        await using var world = await NewWorldAsync();
        world.Options.CleanAbove = 0.1;
        var store = new FaultyBlobStore(world.Store, 1, TimeProvider.System);
        await world.OpenAsync(store);
        await OverwriteAsync(world, 1);
        for (var lba = 0; lba < Blocks; lba += 2) await world.WriteAsync((ulong)(First + lba), VolumeWorld.Tagged(2, 1));

        await UntilAsync(world, () => world.Volume.GarbageShare <= 0.1);

        for (var lba = 0; lba < Blocks; lba += 64)
        {
            byte[] expected = [.. Enumerable.Range(0, 64).SelectMany(i => VolumeWorld.Tagged(i % 2 == 0 ? 2 : 1, 1))];
            Assert.Equal(expected, await world.ReadAsync((ulong)(First + lba), 64));
        }
    }

    private static async Task<VolumeWorld> NewWorldAsync()
    {
        var world = new VolumeWorld();
        world.Options.RemoveAfter = TimeSpan.FromMilliseconds(1);
        world.Options.CleanAbove = 1;
        await world.CreateAsync((First + Blocks) * VolumeWorld.BlockDefaultBytes);
        await world.OpenAsync();
        await OverwriteAsync(world, 0xFF);
        await world.CloseAsync();
        return world;
    }

    /// <summary>All of the volume, in a handful of segments.</summary>
    private static async Task OverwriteAsync(VolumeWorld world, long tag)
    {
        for (var lba = 0; lba < Blocks; lba += 128) Assert.Equal(BlockResult.Success, await world.WriteAsync((ulong)(First + lba), VolumeWorld.Tagged(tag, 128)));
        await world.Volume.DrainAsync(default);
    }

    private static async Task AssertContentAsync(VolumeWorld world, long tag)
    {
        for (var lba = 0; lba < Blocks; lba += 64) Assert.Equal(VolumeWorld.Tagged(tag, 64), await world.ReadAsync((ulong)(First + lba), 64));
    }

    private static string[] Segments(VolumeWorld world) => [.. world.Store.Blobs.Keys.Where(k => k.StartsWith(Keys.LogPrefix, StringComparison.Ordinal)).Order(StringComparer.Ordinal)];

    /// <summary>Waits for the requests of the volume's own housekeeping; the runner's hang timeout ends what never happens.</summary>
    private static async Task UntilAsync(VolumeWorld world, Func<bool> condition)
    {
        while (!condition())
        {
            Assert.True(world.Volume.Readiness.IsSuccess);
            await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System);
        }
    }
}
