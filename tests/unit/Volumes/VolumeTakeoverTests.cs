using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Tests.Shared;
using Xunit;

namespace Gateway.Volumes.Tests;

/// <summary>Openings that crash or race between any two of their steps: nothing that counted is left out, and nobody serves beside another.</summary>
public class VolumeTakeoverTests
{
    [Fact]
    public async Task Open_SegmentCountsBetweenListingAndClaim_IsTakenOver()
    {
        await using var world = await NewWorldAsync();
        var store = new HookedBlobStore(world.Store) { BeforePut = key => SlipInAsync(world, key) };

        await using var successor = await world.NewOpener(new SimulatedJournalDirectory(), store).OpenAsync(VolumeWorld.Name, default);

        Assert.Equal(VolumeWorld.Tagged(2, 8), await ReadAsync(successor, 8));
    }

    [Fact]
    public async Task Open_SuccessorDiesBetweenClaimAndTakeover_TheNextOneHasEverySegmentThatCounted()
    {
        await using var world = await NewWorldAsync();
        var store = new HookedBlobStore(world.Store) { BeforePut = key => SlipInAsync(world, key), AfterPut = _ => throw new IOException("The process died here (by design of the test).") };
        await Assert.ThrowsAsync<IOException>(() => world.NewOpener(new SimulatedJournalDirectory(), store).OpenAsync(VolumeWorld.Name, default));

        await using var next = await world.NewOpener(new SimulatedJournalDirectory()).OpenAsync(VolumeWorld.Name, default);

        Assert.Equal(3, next.Epoch);
        Assert.Equal(VolumeWorld.Tagged(2, 8), await ReadAsync(next, 8));
    }

    [Theory]
    [InlineData("/epochs/")]
    [InlineData("/takeovers/")]
    public async Task Open_OwnCrashAfterEachStep_ReplaysItsJournal(string step)
    {
        await using var world = await NewWorldAsync();
        await world.WriteAsync(16, VolumeWorld.Tagged(7, 8));
        world.Kill();
        var store = new HookedBlobStore(world.Store)
        {
            AfterPut = key =>
            {
                if (!key.Value.Contains(step, StringComparison.Ordinal)) return Task.CompletedTask;
                world.Kill();
                throw new IOException("The process died here (by design of the test).");
            },
        };
        await Assert.ThrowsAsync<IOException>(() => world.OpenAsync(store));

        await world.OpenAsync();

        Assert.Equal(VolumeWorld.Tagged(7, 8), await world.ReadAsync(16, 8));
        Assert.Equal(3, world.Volume.Epoch);
    }

    [Fact]
    public async Task Open_AnotherClaimsInBetween_GivesUpAndTheOtherServes()
    {
        await using var world = await NewWorldAsync();
        await world.CloseAsync();
        Volume? other = null;
        var store = new HookedBlobStore(world.Store)
        {
            AfterPut = async key =>
            {
                if (key.Value.Contains("/epochs/", StringComparison.Ordinal)) other = await world.NewOpener(new SimulatedJournalDirectory()).OpenAsync(VolumeWorld.Name, default);
            },
        };

        var refusal = await Assert.ThrowsAsync<VolumeException>(() => world.OpenAsync(store));

        Assert.Equal(VolumeErrorKind.Fenced, refusal.Kind);
        await using (other)
        {
            Assert.Equal(VolumeWorld.Tagged(1, 8), await ReadAsync(other!, 0));
            await other!.DrainAsync(default);
            Assert.True(other.Readiness.IsSuccess);
        }
    }

    [Fact]
    public async Task Open_ClaimOfAGatewayThatNeverServed_DoesNotOutdateTheJournal()
    {
        await using var world = await NewWorldAsync();
        await world.WriteAsync(16, VolumeWorld.Tagged(7, 8));
        world.Kill();
        var store = new HookedBlobStore(world.Store) { AfterPut = _ => throw new IOException("The process died here (by design of the test).") };
        await Assert.ThrowsAsync<IOException>(() => world.NewOpener(new SimulatedJournalDirectory(), store).OpenAsync(VolumeWorld.Name, default));

        await world.OpenAsync();

        Assert.Equal(VolumeWorld.Tagged(7, 8), await world.ReadAsync(16, 8));
    }

    /// <summary>A volume open under epoch 1, with one write in its bucket.</summary>
    private static async Task<VolumeWorld> NewWorldAsync()
    {
        var world = new VolumeWorld();
        world.Options.SealAfter = TimeSpan.FromHours(1);
        await world.CreateAsync();
        await world.OpenAsync();
        await world.WriteAsync(0, VolumeWorld.Tagged(1, 8));
        await world.Volume.DrainAsync(default);
        return world;
    }

    /// <summary>The old writer gets a segment in, and it counts, just before the claim.</summary>
    private static async Task SlipInAsync(VolumeWorld world, Backends.Core.BlobKey key)
    {
        if (!key.Value.Contains("/epochs/", StringComparison.Ordinal)) return;
        await world.WriteAsync(8, VolumeWorld.Tagged(2, 8));
        await world.Volume.DrainAsync(default);
    }

    private static async Task<byte[]> ReadAsync(Volume volume, ulong lba)
    {
        using var buffer = new NativeBuffer(8 * volume.Geometry.BlockLengthBytes);
        var list = new ScatterList();
        list.Add(buffer);
        Assert.Equal(BlockResult.Success, await volume.ReadAsync(new BlockRange(lba, 8), list, default));
        return buffer.Span.ToArray();
    }
}
