using Gateway.Scsi;
using Gateway.Tests.Shared.Stores;
using Gateway.Volumes.Leases;
using Xunit;

namespace Gateway.Volumes.Tests.Leases;

/// <summary>When a gateway opens a volume that another one served, and what it waits for.</summary>
public class TakeoverTests
{
    [Fact]
    public void Open_AfterACleanClose_IsAtOnce() => LeaseWorld.Run(async world =>
    {
        var first = await world.ServingAsync("first");
        await first.WriteAsync(1);
        await first.Volume.DisposeAsync();
        var before = world.Time.Now;

        var second = await world.ServingAsync("second");

        Assert.InRange(world.Time.Now - before, TimeSpan.Zero, TimeSpan.FromSeconds(1));
        Assert.Equal(VolumeWorld.Tagged(1, 8), await second.ReadAsync());
        Assert.Empty(second.Waits);
        await second.Volume.DisposeAsync();
    });

    [Fact]
    public void Open_WithTheJournalOfAKilledProcess_IsAtOnce() => LeaseWorld.Run(async world =>
    {
        var first = await world.ServingAsync("first");
        await first.WriteAsync(1, fua: true);
        var restarted = first.AfterKill(world.Bucket);
        var before = world.Time.Now;

        await restarted.OpenAsync();

        Assert.InRange(world.Time.Now - before, TimeSpan.Zero, TimeSpan.FromSeconds(1));
        Assert.Equal(VolumeWorld.Tagged(1, 8), await restarted.ReadAsync());
        await restarted.Volume.DisposeAsync();
    });

    /// <summary>What a planned restart waits for, beside the upload of what was not there yet: requests one after the other. On a store far away they are the stall.</summary>
    [Fact]
    public void Restart_Planned_TakesFewRequestsInARow() => LeaseWorld.Run(async world =>
    {
        var request = TimeSpan.FromMilliseconds(100);
        var gateway = world.NewGateway("first");
        await gateway.OpenAsync();
        await gateway.WriteAsync(1, fua: true);
        gateway.Store.BeforeRequest = (_, _, cancellation) => new(Task.Delay(request, world.Time, cancellation));
        var stoppedAt = world.Time.Now;

        await gateway.Volume.DisposeAsync();
        var closedAt = world.Time.Now;
        await gateway.OpenAsync();
        var openedAt = world.Time.Now;

        Assert.InRange((closedAt - stoppedAt) / request, 1, 6);
        Assert.InRange((openedAt - closedAt) / request, 1, 28);
        await gateway.Volume.DisposeAsync();
    });

    [Fact]
    public void Open_AfterAKillElsewhere_WaitsForSilenceAndForTheLease() => LeaseWorld.Run(async world =>
    {
        var first = await world.ServingAsync("first");
        await first.WriteAsync(1);
        await first.Volume.DrainAsync(default);
        first.Suspend();
        var before = world.Time.Now;

        var second = await world.ServingAsync("second");

        Assert.InRange(world.Time.Now - before, LeaseWorld.SuccessorWait * 2, (LeaseWorld.SuccessorWait * 2) + TimeSpan.FromSeconds(30));
        Assert.Equal(VolumeWorld.Tagged(1, 8), await second.ReadAsync());
        Assert.Contains(second.Waits, w => w.Error == BlockError.BecomingReady);
        Assert.Contains(second.Waits, w => w.Error == BlockError.HandingOver);
        await second.Volume.DisposeAsync();
    });

    [Fact]
    public void Open_WhileAnotherServes_StandsByWithoutClaiming() => LeaseWorld.Run(async world =>
    {
        var first = await world.ServingAsync("first");
        var second = world.NewGateway("second");
        using var stop = new CancellationTokenSource();
        var opening = second.OpenAsync(stop.Token);

        await world.PassAsync(TimeSpan.FromMinutes(30));

        Assert.False(opening.IsCompleted);
        Assert.Equal(BlockError.Standby, second.Waits[^1].Error);
        Assert.Matches("^first serves it \\(epoch 1, last sign of life .+Z by its clock\\)\\. This gateway takes over when .+ 'tcmu-gateway volume takeover ", second.Waits[^1].Reason);
        Assert.Single(world.Epochs);
        Assert.True((await first.WriteAsync(1)).IsSuccess);

        await first.Volume.DisposeAsync();
        await opening;
        Assert.Equal(VolumeWorld.Tagged(1, 8), await second.ReadAsync());
        await second.Volume.DisposeAsync();
    });

    [Fact]
    public void Open_OwnerAndTakerBothCutOffFromTheStore_TakesNothingOver() => LeaseWorld.Run(async world =>
    {
        var first = await world.ServingAsync("first");
        var second = world.NewGateway("second");
        using var stop = new CancellationTokenSource();
        var opening = second.OpenAsync(stop.Token);
        await world.PassAsync(TimeSpan.FromSeconds(60));

        (first.Store.Faults, second.Store.Faults) = (new StoreFaults { Outage = true }, new StoreFaults { Outage = true });
        await world.PassAsync(TimeSpan.FromHours(1));
        (first.Store.Faults, second.Store.Faults) = (new StoreFaults(), new StoreFaults());
        await world.PassAsync(TimeSpan.FromMinutes(10));

        Assert.Single(world.Epochs);
        Assert.True((await first.WriteAsync(1)).IsSuccess);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => opening);
        await first.Volume.DisposeAsync();
    });

    [Fact]
    public void Open_TwoTakersAtOnce_OneServesAndTheOtherStandsBy() => LeaseWorld.Run(async world =>
    {
        var first = await world.ServingAsync("first");
        first.Suspend();
        var takers = new[] { world.NewGateway("second"), world.NewGateway("third") };
        using var stop = new CancellationTokenSource();
        var openings = takers.Select(t => ReopenAsync(t, world, stop.Token)).ToArray();

        var winner = await Task.WhenAny(openings);
        await winner;
        await world.PassAsync(TimeSpan.FromMinutes(20));

        Assert.Equal(1, openings.Count(o => o.IsCompleted));
        var server = takers[Array.IndexOf(openings, winner)];
        Assert.True((await server.WriteAsync(5)).IsSuccess);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await openings.Single(o => o != winner));
        await server.Volume.DisposeAsync();
    });

    [Fact]
    public void Open_PolicyNever_LeavesItToAnOperator() => LeaseWorld.Run(async world =>
    {
        var first = await world.ServingAsync("first");
        first.Suspend();
        var second = world.NewGateway("second");
        second.Options.Takeover = TakeoverPolicy.Never;

        var refusal = await Assert.ThrowsAsync<VolumeException>(() => second.OpenAsync());

        Assert.Equal(VolumeErrorKind.OwnedElsewhere, refusal.Kind);
        Assert.Contains("volume takeover", refusal.Message, StringComparison.Ordinal);
        Assert.Single(world.Epochs);
    });

    [Fact]
    public void Open_LastWriterHadNoLease_LeavesItToAnOperator() => LeaseWorld.Run(async world =>
    {
        var first = world.NewGateway("first");
        first.Options.LeaseLength = TimeSpan.Zero;
        await first.OpenAsync();
        first.Suspend();

        var refusal = await Assert.ThrowsAsync<VolumeException>(() => world.ServingAsync("second"));

        Assert.Equal(VolumeErrorKind.OwnedElsewhere, refusal.Kind);
        Assert.Contains("without a lease", refusal.Message, StringComparison.Ordinal);
    });

    [Fact]
    public void Open_FlushedWritesLeftBehind_IsRefusedAndSaysWhoHasThem() => LeaseWorld.Run(async world =>
    {
        var first = await NewDirtyAsync(world);
        first.Suspend();

        var refusal = await Assert.ThrowsAsync<VolumeException>(() => world.ServingAsync("second"));

        Assert.Equal(VolumeErrorKind.OwnedElsewhere, refusal.Kind);
        Assert.Contains("served by first", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("2 to 3", refusal.Message, StringComparison.Ordinal);
        Assert.Single(world.Epochs);

        var restarted = first.AfterKill(world.Bucket);
        await restarted.OpenAsync();
        Assert.Equal(VolumeWorld.Tagged(3, 8), await restarted.ReadAsync());
        await restarted.Volume.DisposeAsync();
    });

    [Fact]
    public void Open_ReleasedWithWritesThatNeverLeftTheJournal_IsRefused() => LeaseWorld.Run(async world =>
    {
        var first = await NewDirtyAsync(world);
        first.Store.BeforeRequest = (name, subject, _) => name == "put" && subject.Contains("/log/", StringComparison.Ordinal)
            ? throw new Backends.Core.BlobStoreException(Backends.Core.BlobErrorKind.Unavailable, "Away (by design of the test).") : default;
        await first.Volume.DisposeAsync();

        var refusal = await Assert.ThrowsAsync<VolumeException>(() => world.ServingAsync("second"));

        Assert.Contains("2 to 4", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(1, world.ReadRelease(1).LastWriteInBucket);
    });

    [Fact]
    public void Heartbeat_JournalTurnsDirtyAndClean_SaysSoAtOnce() => LeaseWorld.Run(async world =>
    {
        var writer = await world.ServingAsync("a");
        writer.Options.SealAfter = TimeSpan.FromSeconds(20);
        await writer.WriteAsync(1);
        await world.PassAsync(TimeSpan.FromSeconds(1));
        Assert.Equal(0, world.ReadHeartbeat().LastWriteFlushed);

        await writer.FlushAsync();
        await world.PassAsync(TimeSpan.FromSeconds(1));
        Assert.Equal((1, 1, 0), (world.ReadHeartbeat().LastWrite, world.ReadHeartbeat().LastWriteFlushed, world.ReadHeartbeat().LastWriteInBucket));

        await writer.Volume.DrainAsync(default);
        await world.PassAsync(TimeSpan.FromSeconds(1));
        Assert.Equal((1, 1), (world.ReadHeartbeat().LastWriteFlushed, world.ReadHeartbeat().LastWriteInBucket));
        await writer.Volume.DisposeAsync();
    });

    [Fact]
    public void Close_ReleasePutWhoseAnswerIsLost_CountsAsDone() => LeaseWorld.Run(async world =>
    {
        var writer = await world.ServingAsync("a");
        var puts = 0;
        writer.Store.AfterEffect = (name, subject, _) =>
        {
            if (name != "put" || !subject.Contains("/releases/", StringComparison.Ordinal)) return default;
            puts++;
            throw new Backends.Core.BlobStoreException(Backends.Core.BlobErrorKind.Unavailable, "No answer (by design of the test).");
        };

        await writer.Volume.DisposeAsync();

        Assert.True(puts >= 1);
        Assert.Equal("a", world.ReadRelease(1).Owner);
        var next = await world.ServingAsync("b");
        Assert.Empty(next.Waits);
        await next.Volume.DisposeAsync();
    });

    /// <summary>A service manager that waits for longer kills the process; the host's other volumes wait for its end.</summary>
    [Fact]
    public void Close_StoreAway_EndsSoonAndTheJournalKeepsTheWrites() => LeaseWorld.Run(async world =>
    {
        var writer = await world.ServingAsync("a");
        writer.Store.BeforeRequest = (_, _, cancellation) => new(Task.Delay(Timeout.InfiniteTimeSpan, world.Time, cancellation)); // A black hole.
        await writer.WriteAsync(7, fua: true);
        var before = world.Time.Now;

        await writer.Volume.DisposeAsync();
        var after = world.Time.Now;
        writer.Store.BeforeRequest = null;
        await writer.OpenAsync();

        Assert.InRange(after - before, TimeSpan.Zero, writer.Options.CloseTimeout + TimeSpan.FromSeconds(1.5));
        Assert.Equal(VolumeWorld.Tagged(7, 8), await writer.ReadAsync());
        await writer.Volume.DisposeAsync();
    });

    [Fact]
    public void Close_OfAFencedWriter_ReleasesNothing() => LeaseWorld.Run(async world =>
    {
        var old = await world.ServingAsync("old");
        old.Suspend();
        var successor = await world.ServingAsync("new");
        old.Resume();
        await old.WriteAsync(1);

        await old.Volume.DisposeAsync();

        Assert.DoesNotContain("vol/releases/0000000001", world.Bucket.Blobs.Keys);
        await successor.Volume.DisposeAsync();
        Assert.Contains("vol/releases/0000000002", world.Bucket.Blobs.Keys);
    });

    [Fact]
    public void Open_OldWriterGetsASegmentInJustBeforeTheClaim_IsTakenOver() => LeaseWorld.Run(async world =>
    {
        var old = await world.ServingAsync("old");
        old.Suspend();
        var successor = world.NewGateway("new");
        successor.Store.BeforeRequest = async (name, subject, _) =>
        {
            if (name != "put" || !subject.Contains("/epochs/", StringComparison.Ordinal)) return;
            old.Resume();
            Assert.True((await old.WriteAsync(7, cancellationToken: CancellationToken.None)).IsSuccess); // Its owner still, and the store says so.
            await old.Volume.DrainAsync(default);
        };
        var before = world.Time.Now;

        await successor.OpenAsync();

        Assert.Equal(VolumeWorld.Tagged(7, 8), await successor.ReadAsync());
        Assert.InRange(world.Time.Now - before, LeaseWorld.SuccessorWait * 2, TimeSpan.MaxValue);
        Assert.Equal(BlockError.Standby, (await old.WriteAsync(8)).Error);
        await Task.WhenAll(old.Volume.DisposeAsync().AsTask(), successor.Volume.DisposeAsync().AsTask());
    });

    [Fact]
    public void Open_TakerDiesWhileItWaitsOutTheLease_TheNextOneStillKnowsWhatIsLeftBehind() => LeaseWorld.Run(async world =>
    {
        var first = await world.ServingAsync("first");
        await first.WriteAsync(1);
        await first.Volume.DrainAsync(default);
        first.Suspend();
        var second = world.NewGateway("second");
        var opening = second.OpenAsync();
        while (world.Epochs.Count() < 2) await world.PassAsync(TimeSpan.FromSeconds(10));
        first.Options.SealAfter = TimeSpan.FromHours(1);
        await world.PassAsync(TimeSpan.FromSeconds(20));
        Assert.Equal("second", world.ReadHandover().Owner);
        // A heartbeat of the first, on its way since long ago, arrives: it had flushed more than it said before.
        world.Bucket.Blobs["vol/heartbeat"] = LeaseCodec.Encode(world.ReadHeartbeat() with { LastWriteFlushed = 5, Beat = Guid.NewGuid() }, world.VolumeId);
        await world.PassAsync(TimeSpan.FromSeconds(20));
        Assert.Equal(("first", 5), (world.ReadHeartbeat().Owner, world.ReadHeartbeat().LastWriteFlushed));
        second.Suspend();

        var refusal = await Assert.ThrowsAsync<VolumeException>(() => world.ServingAsync("third"));

        Assert.Contains("served by first", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("2 to 5", refusal.Message, StringComparison.Ordinal);
        Assert.False(opening.IsCompleted);
    });

    [Fact]
    public void Reopen_AfterAnotherGatewayServed_KeepsTheOldJournalAside() => LeaseWorld.Run(async world =>
    {
        var first = await world.ServingAsync("first");
        first.Options.SealAfter = TimeSpan.FromHours(1);
        await first.WriteAsync(1); // Never flushed: nobody promised to keep it.
        first.Suspend();
        var second = await world.ServingAsync("second");
        await second.WriteAsync(2, 16);
        await second.Volume.DisposeAsync();

        var restarted = first.AfterKill(world.Bucket);
        await restarted.OpenAsync();

        Assert.Equal(new byte[8 * 512], await restarted.ReadAsync());
        Assert.Equal(VolumeWorld.Tagged(2, 8), await restarted.ReadAsync(16));
        Assert.Contains($"{world.VolumeId}.1.aside.journal", restarted.Journals.Names);
        await restarted.Volume.DisposeAsync();
    });

    /// <summary>A gateway with one write in the bucket, and writes 2 and 3, flushed, and 4, not flushed, in its journal alone.</summary>
    private static async Task<GatewayProcess> NewDirtyAsync(LeaseWorld world)
    {
        var gateway = await world.ServingAsync("first");
        await gateway.WriteAsync(1);
        await gateway.Volume.DrainAsync(default);
        gateway.Options.SealAfter = TimeSpan.FromHours(1);
        await gateway.WriteAsync(2, 8);
        await gateway.WriteAsync(3);
        await gateway.FlushAsync();
        await gateway.WriteAsync(4, 24);
        await world.PassAsync(TimeSpan.FromSeconds(1));
        return gateway;
    }

    private static async Task ReopenAsync(GatewayProcess gateway, LeaseWorld world, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                await gateway.OpenAsync(cancellationToken);
                return;
            }
            catch (VolumeException e) when (e.Kind == VolumeErrorKind.Fenced)
            {
                await world.PassAsync(TimeSpan.FromSeconds(1));
            }
        }
    }
}
