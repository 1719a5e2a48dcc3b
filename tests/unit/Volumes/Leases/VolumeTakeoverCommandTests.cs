using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Tests.Shared.Stores;
using Gateway.Volumes.Leases;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Volumes.Tests.Leases;

/// <summary>An operator takes a volume from a gateway that did not release it.</summary>
public class VolumeTakeoverCommandTests
{
    [Fact]
    public void Takeover_OfALivingWriter_FencesItWaitsItsLeaseAndReleases() => LeaseWorld.Run(async world =>
    {
        var first = await world.ServingAsync("first");
        await first.WriteAsync(1);
        await first.Volume.DrainAsync(default);
        var waits = new List<OpeningWait>();
        var before = world.Time.Now;

        var outcome = await NewTakeover(world, world.Bucket, waits).RunAsync(GatewayProcess.VolumeName, false, default);

        Assert.InRange(world.Time.Now - before, LeaseWorld.SuccessorWait, LeaseWorld.SuccessorWait + TimeSpan.FromSeconds(10));
        Assert.Equal((2, "first", false, 0), (outcome.Epoch, outcome.From, outcome.WasReleased, outcome.LastWriteLost));
        Assert.True(waits.Count > 5);
        Assert.Equal(BlockError.Standby, first.Volume.Readiness.Error);
        var second = await world.ServingAsync("second");
        Assert.Empty(second.Waits);
        Assert.Equal(VolumeWorld.Tagged(1, 8), await second.ReadAsync());
        await Task.WhenAll(first.Volume.DisposeAsync().AsTask(), second.Volume.DisposeAsync().AsTask());
    });

    [Fact]
    public void Takeover_FlushedWritesLeftBehind_IsRefusedUnlessForced() => LeaseWorld.Run(async world =>
    {
        var first = await world.ServingAsync("first");
        first.Options.SealAfter = TimeSpan.FromHours(1);
        await first.WriteAsync(1, fua: true);
        await world.PassAsync(TimeSpan.FromSeconds(1));
        first.Suspend();

        var refusal = await Assert.ThrowsAsync<VolumeException>(() => NewTakeover(world, world.Bucket, []).RunAsync(GatewayProcess.VolumeName, false, default));
        Assert.Equal(VolumeErrorKind.OwnedElsewhere, refusal.Kind);
        Assert.Contains("--force", refusal.Message, StringComparison.Ordinal);
        Assert.Single(world.Epochs);

        var outcome = await NewTakeover(world, world.Bucket, []).RunAsync(GatewayProcess.VolumeName, true, default);
        Assert.Equal((1, 1), (outcome.FirstWriteLost, outcome.LastWriteLost));
        Assert.True(world.ReadRelease(2).Abandoned);
        var second = await world.ServingAsync("second");
        Assert.Empty(second.Waits);
        await second.Volume.DisposeAsync();
    });

    [Fact]
    public void Takeover_ThenTheOldHostComesBackFirst_NothingIsLostAfterAll() => LeaseWorld.Run(async world =>
    {
        var first = await world.ServingAsync("first");
        first.Options.SealAfter = TimeSpan.FromHours(1);
        await first.WriteAsync(1, fua: true);
        await world.PassAsync(TimeSpan.FromSeconds(1));
        var restarted = first.AfterKill(world.Bucket);
        await NewTakeover(world, world.Bucket, []).RunAsync(GatewayProcess.VolumeName, true, default);

        await restarted.OpenAsync();

        Assert.Equal(VolumeWorld.Tagged(1, 8), await restarted.ReadAsync());
        await restarted.Volume.DisposeAsync();
    });

    [Fact]
    public void Takeover_OfAWriterWithoutALease_NeedsTheOperatorsWord() => LeaseWorld.Run(async world =>
    {
        var first = world.NewGateway("first");
        first.Options.LeaseLength = TimeSpan.Zero;
        await first.OpenAsync();
        first.Suspend();

        await Assert.ThrowsAsync<VolumeException>(() => NewTakeover(world, world.Bucket, []).RunAsync(GatewayProcess.VolumeName, false, default));
        await NewTakeover(world, world.Bucket, []).RunAsync(GatewayProcess.VolumeName, true, default);

        var second = await world.ServingAsync("second");
        await second.Volume.DisposeAsync();
    });

    [Fact]
    public void Takeover_OfWhatIsReleasedOrWasNeverOpened_ChangesNothing() => LeaseWorld.Run(async world =>
    {
        Assert.True((await NewTakeover(world, world.Bucket, []).RunAsync(GatewayProcess.VolumeName, false, default)).WasReleased);
        var first = await world.ServingAsync("first");
        await first.Volume.DisposeAsync();
        var before = world.Bucket.Blobs.Keys.Order().ToArray();

        Assert.True((await NewTakeover(world, world.Bucket, []).RunAsync(GatewayProcess.VolumeName, true, default)).WasReleased);

        Assert.Equal(before, world.Bucket.Blobs.Keys.Order());
    });

    [Fact]
    public void Takeover_ClaimWhoseAnswerIsLost_EndsAndCanBeRunAgain() => LeaseWorld.Run(async world =>
    {
        var first = await world.ServingAsync("first");
        first.Suspend();
        var store = new FaultyBlobStore(world.Bucket, 1, world.Time)
        {
            AfterEffect = (name, subject, _) => name == "put" && subject.Contains("/epochs/", StringComparison.Ordinal) ? throw new BlobStoreException(BlobErrorKind.Unavailable, "No answer.") : default,
        };
        await Assert.ThrowsAsync<BlobStoreException>(() => NewTakeover(world, store, []).RunAsync(GatewayProcess.VolumeName, false, default));

        var outcome = await NewTakeover(world, world.Bucket, []).RunAsync(GatewayProcess.VolumeName, false, default);

        Assert.Equal(3, outcome.Epoch);
        var second = await world.ServingAsync("second");
        Assert.Empty(second.Waits);
        await second.Volume.DisposeAsync();
    });

    [Fact]
    public void Takeover_OwnerFlushesAfterTheCommandLooked_IsRefusedBeforeTheRelease() => LeaseWorld.Run(async world =>
    {
        var first = await world.ServingAsync("first");
        first.Options.SealAfter = TimeSpan.FromHours(1);
        await first.WriteAsync(1);
        await world.PassAsync(TimeSpan.FromSeconds(1));
        var takeover = NewTakeover(world, world.Bucket, []).RunAsync(GatewayProcess.VolumeName, false, default);
        await world.PassAsync(TimeSpan.FromMilliseconds(10));
        await first.FlushAsync();

        var refusal = await Assert.ThrowsAsync<VolumeException>(() => takeover);

        Assert.Equal(VolumeErrorKind.OwnedElsewhere, refusal.Kind);
        Assert.DoesNotContain(world.Bucket.Blobs.Keys, k => k.Contains("/releases/", StringComparison.Ordinal));
        await first.Volume.DisposeAsync();
    });

    private static VolumeTakeover NewTakeover(LeaseWorld world, IBlobStore store, List<OpeningWait> waits) =>
        new(store, new VolumeOptions(), "operator", world.Time, waits.Add, NullLogger.Instance);
}
