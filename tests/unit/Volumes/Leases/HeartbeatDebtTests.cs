using Gateway.Backends.Core;
using Gateway.Tests.Shared.Stores;
using Gateway.Volumes.Leases;
using Xunit;

namespace Gateway.Volumes.Tests.Leases;

/// <summary>What the bucket knows of flushed writes that a journal holds alone, and what a takeover makes of it.</summary>
public class HeartbeatDebtTests
{
    /// <summary>A heartbeat is always older than the last flush, under load by much: what it names may long be in the bucket, and what came after is not.</summary>
    [Fact]
    public void Open_WritesThatTheHeartbeatNamesAreInTheBucketAndLaterOnesAreNot_IsRefused() => LeaseWorld.Run(async world =>
    {
        var first = await world.ServingAsync("first");
        first.Options.SealAfter = TimeSpan.FromHours(1);
        await first.WriteAsync(1);
        await first.FlushAsync();
        await world.PassAsync(TimeSpan.FromSeconds(1));
        first.Store.BeforeRequest = (name, subject, _) => name == "put" && subject.EndsWith("/heartbeat", StringComparison.Ordinal) ? throw Away() : default;
        await first.Volume.DrainAsync(default);
        await first.WriteAsync(2);
        await first.FlushAsync();
        first.Store.BeforeRequest = (_, _, _) => new ValueTask(new TaskCompletionSource().Task); // From now on it is gone.

        var refusal = await Assert.ThrowsAsync<VolumeException>(() => world.ServingAsync("second"));

        Assert.Equal((1, 0), (world.ReadHeartbeat().LastWriteFlushed, world.ReadHeartbeat().LastWriteInBucket));
        Assert.Equal(VolumeErrorKind.OwnedElsewhere, refusal.Kind);
        Assert.Contains("may hold flushed writes that never reached the bucket: those after 1", refusal.Message, StringComparison.Ordinal);
        Assert.Single(world.Epochs);
    });

    [Fact]
    public void Open_HeartbeatIsOfAnEarlierOwnerThanTheLast_IsRefused() => LeaseWorld.Run(async world =>
    {
        var first = await world.ServingAsync("first");
        await world.PassAsync(TimeSpan.FromSeconds(1));
        var old = world.Bucket.Blobs["vol/heartbeat"];
        first = first.AfterKill(world.Bucket);
        await first.OpenAsync();
        await world.PassAsync(TimeSpan.FromSeconds(1));
        first.Suspend();
        world.Bucket.Blobs["vol/heartbeat"] = old; // A request that was long on its way.

        var refusal = await Assert.ThrowsAsync<VolumeException>(() => world.ServingAsync("second"));

        Assert.Contains("may hold flushed writes", refusal.Message, StringComparison.Ordinal);
    });

    /// <summary>The owner cannot tell in its heartbeat what its journal holds, and closes when somebody has claimed the volume, who dies before it serves.</summary>
    [Fact]
    public void Open_OwnerReleasedAfterSomebodyElsesClaim_HeedsWhatItLeftBehind() => LeaseWorld.Run(async world =>
    {
        var first = await world.ServingAsync("first");
        await world.PassAsync(TimeSpan.FromSeconds(1));
        first.Store.BeforeRequest = (name, subject, _) => name == "put" && !subject.Contains("/releases/", StringComparison.Ordinal) ? throw Away() : default;
        await first.WriteAsync(1);
        await first.FlushAsync();
        var second = world.NewGateway("second");
        var opening = second.OpenAsync();
        while (world.Epochs.Count() < 2) await world.PassAsync(TimeSpan.FromMilliseconds(100));
        await first.Volume.DisposeAsync();
        second.Suspend();
        Assert.Equal((1, 0), (world.ReadRelease(1).LastWriteFlushed, world.ReadRelease(1).LastWriteInBucket));
        Assert.Equal((0, 0), (world.ReadHeartbeat().LastWriteFlushed, world.ReadHeartbeat().LastWriteInBucket));

        var refusal = await Assert.ThrowsAsync<VolumeException>(() => world.ServingAsync("third"));

        Assert.Contains("served by first", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("never reached the bucket: 1 to 1", refusal.Message, StringComparison.Ordinal);
        Assert.False(opening.IsCompleted);
    });

    [Fact]
    public void Open_SaysWhatItsJournalHoldsBeforeTheVolumeIsItsOwn() => LeaseWorld.Run(async world =>
    {
        var first = await world.ServingAsync("first");
        first.Options.SealAfter = TimeSpan.FromHours(1);
        await first.WriteAsync(1);
        await first.FlushAsync();
        var restarted = first.AfterKill(world.Bucket);
        HeartbeatRecord? said = null;
        restarted.Store.BeforeRequest = (name, subject, _) =>
        {
            if (name == "put" && subject.Contains("/takeovers/", StringComparison.Ordinal)) said = world.ReadHeartbeat();
            return default;
        };

        await restarted.OpenAsync();

        Assert.Equal((2, 1, 0), (said!.Epoch, said.LastWriteFlushed, said.LastWriteInBucket));
        await restarted.Volume.DisposeAsync();
    });

    [Fact]
    public void Heartbeat_StoreDidNotTakeIt_IsGivenAgainSoon() => LeaseWorld.Run(async world =>
    {
        var writer = await world.ServingAsync("a");
        writer.Options.SealAfter = TimeSpan.FromHours(1);
        await world.PassAsync(TimeSpan.FromSeconds(1));
        var failures = 0;
        writer.Store.BeforeRequest = (name, subject, _) => name == "put" && subject.EndsWith("/heartbeat", StringComparison.Ordinal) && failures++ == 0 ? throw Away() : default;

        await writer.WriteAsync(1);
        await writer.FlushAsync();
        await world.PassAsync(TimeSpan.FromSeconds(2));

        Assert.Equal((1, 0), (world.ReadHeartbeat().LastWriteFlushed, world.ReadHeartbeat().LastWriteInBucket));
        await writer.Volume.DisposeAsync();
    });

    /// <summary>The disk had flushed, but the flush that asked for it could not be acknowledged. The next one promises what is on the disk already.</summary>
    [Fact]
    public void Heartbeat_FlushOfWhatIsDurableAlready_IsToldOf() => LeaseWorld.Run(async world =>
    {
        var writer = await world.ServingAsync("a");
        writer.Options.SealAfter = TimeSpan.FromHours(1);
        writer.Store.Faults = new StoreFaults { Outage = true };
        await world.PassAsync(LeaseWorld.Lease);
        var held = new[] { writer.WriteAsync(1), writer.FlushAsync() };
        await world.PassAsync(writer.Options.CommandTimeout + TimeSpan.FromSeconds(1));
        Assert.All(await Task.WhenAll(held), outcome => Assert.False(outcome.IsSuccess));
        writer.Store.Faults = new StoreFaults();
        await world.PassAsync(TimeSpan.FromMinutes(1));
        Assert.Equal(0, world.ReadHeartbeat().LastWriteFlushed);

        Assert.True((await writer.FlushAsync()).IsSuccess);
        await world.PassAsync(TimeSpan.FromSeconds(1));

        Assert.Equal((1, 0), (world.ReadHeartbeat().LastWriteFlushed, world.ReadHeartbeat().LastWriteInBucket));
        await writer.Volume.DisposeAsync();
    });

    private static BlobStoreException Away() => new(BlobErrorKind.Unavailable, "Away (by design of the test).");
}
