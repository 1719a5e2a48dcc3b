using Gateway.Scsi;
using Gateway.Tests.Shared.Stores;
using Xunit;

namespace Gateway.Volumes.Tests.Leases;

/// <summary>What a writer acknowledges when it cannot know whether it still owns the volume.</summary>
public class FencingTests
{
    [Fact]
    public void Writer_WakesAfterItsSuccessorServes_AcknowledgesNothing() => LeaseWorld.Run(async world =>
    {
        var old = await world.ServingAsync("old");
        await old.WriteAsync(1);
        await old.Volume.DrainAsync(default);
        old.Suspend();
        var successor = await world.ServingAsync("new");
        await successor.WriteAsync(2);

        old.Resume();
        var outcomes = await Task.WhenAll(old.WriteAsync(3), old.WriteAsync(4, fua: true), old.FlushAsync(), old.ReadErrorAsync());

        Assert.All(outcomes, o => Assert.Equal(BlockError.Standby, o.Error));
        Assert.Equal(VolumeWorld.Tagged(2, 8), await successor.ReadAsync());
        Assert.Equal(BlockError.Standby, old.Volume.Readiness.Error);
        await Task.WhenAll(old.Volume.DisposeAsync().AsTask(), successor.Volume.DisposeAsync().AsTask());
    });

    [Fact]
    public void Writer_SuspendedWithAWriteOnItsWay_DoesNotAcknowledgeIt() => LeaseWorld.Run(async world =>
    {
        var old = await world.ServingAsync("old");
        old.Store.Faults = new StoreFaults { Outage = true };
        await world.PassAsync(LeaseWorld.Lease);
        var write = old.WriteAsync(1); // Held: its authority has ended.
        old.Suspend();
        old.Store.Faults = new StoreFaults();
        var successor = await world.ServingAsync("new");

        old.Resume();

        Assert.NotEqual(BlockError.None, (await write).Error);
        Assert.Equal(new byte[8 * 512], await successor.ReadAsync());
        await Task.WhenAll(old.Volume.DisposeAsync().AsTask(), successor.Volume.DisposeAsync().AsTask());
    });

    [Fact]
    public void Writer_StoreAwayForLessThanTheLease_NoticesNothing() => LeaseWorld.Run(async world =>
    {
        var writer = await world.ServingAsync("a");
        await world.PassAsync(TimeSpan.FromMinutes(10));
        writer.Store.Faults = new StoreFaults { Outage = true };
        await world.PassAsync(TimeSpan.FromSeconds(60));

        var before = world.Time.Now;
        Assert.True((await writer.WriteAsync(1, fua: true)).IsSuccess);
        Assert.True((await writer.FlushAsync()).IsSuccess);
        Assert.True((await writer.ReadErrorAsync()).IsSuccess);

        Assert.InRange(world.Time.Now - before, TimeSpan.Zero, TimeSpan.FromSeconds(1));
        await writer.Volume.DisposeAsync();
    });

    [Fact]
    public void Writer_StoreAwayForLongerThanTheLease_EndsCommandsInTimeAndGoesOnAfterwards() => LeaseWorld.Run(async world =>
    {
        var writer = await world.ServingAsync("a");
        writer.Store.Faults = new StoreFaults { Outage = true };
        await world.PassAsync(LeaseWorld.Lease);

        var before = world.Time.Now;
        var outcomes = await Task.WhenAll(writer.WriteAsync(1), writer.WriteAsync(2, 8, fua: true), writer.ReadErrorAsync());
        Assert.All(outcomes, o => Assert.Equal(BlockError.StoreUnavailable, o.Error));
        Assert.InRange(world.Time.Now - before, writer.Options.CommandTimeout - TimeSpan.FromSeconds(1), writer.Options.CommandTimeout + TimeSpan.FromSeconds(1));

        var held = writer.WriteAsync(3);
        await world.PassAsync(TimeSpan.FromSeconds(5));
        Assert.False(held.IsCompleted);
        writer.Store.Faults = new StoreFaults();

        Assert.True((await held).IsSuccess);
        Assert.Equal(VolumeWorld.Tagged(3, 8), await writer.ReadAsync());
        Assert.True(writer.Volume.Readiness.IsSuccess);
        await writer.Volume.DisposeAsync();
    });

    [Fact]
    public void Writer_LookThatAnswersAfterItsTime_GivesNoAuthority() => LeaseWorld.Run(async world =>
    {
        var old = await world.ServingAsync("old");
        // From now on every answer takes longer than a look may, and the store answers as of when it was asked.
        old.Store.AfterEffect = (name, subject, cancellation) => subject.Contains("/epochs/", StringComparison.Ordinal) ? new(Task.Delay(LeaseWorld.SuccessorWait * 3, world.Time, CancellationToken.None)) : default;
        await world.PassAsync(LeaseWorld.Lease);

        Assert.Equal(BlockError.StoreUnavailable, (await old.WriteAsync(1)).Error);
        old.Store.AfterEffect = null;
        Assert.True((await old.WriteAsync(2)).IsSuccess);
        await old.Volume.DisposeAsync();
    });

    [Fact]
    public void IdleWriter_ClaimedElsewhere_NoticesByItself() => LeaseWorld.Run(async world =>
    {
        var old = await world.ServingAsync("old");
        old.Options.LeaseLength = TimeSpan.Zero;
        var other = world.NewGateway("other");
        other.Options.LeaseLength = TimeSpan.Zero; // Its operator vouches for what is not so.
        await other.OpenAsync();

        await world.PassAsync(TimeSpan.FromSeconds(41));

        Assert.Equal(BlockError.Standby, old.Volume.Readiness.Error);
        await Task.WhenAll(old.Volume.DisposeAsync().AsTask(), other.Volume.DisposeAsync().AsTask());
    });

    [Fact]
    public void Writer_AfterItsRecordAndTheNextWereRemoved_KnowsThatItIsFenced() => LeaseWorld.Run(async world =>
    {
        var old = await world.ServingAsync("old");
        old.Suspend();
        var successor = await world.ServingAsync("new");
        world.Bucket.Blobs.Remove("vol/epochs/0000000001");
        world.Bucket.Blobs.Remove("vol/epochs/0000000002"); // As sweeping does, when there are many more.

        old.Resume();

        Assert.Equal(BlockError.Standby, (await old.WriteAsync(3)).Error);
        await Task.WhenAll(old.Volume.DisposeAsync().AsTask(), successor.Volume.DisposeAsync().AsTask());
    });

    [Fact]
    public void Writer_ManyHoursOfTraffic_NeverWaits() => LeaseWorld.Run(async world =>
    {
        var writer = await world.ServingAsync("a");
        for (var i = 0; i < 200; i++)
        {
            await world.PassAsync(TimeSpan.FromSeconds(37));
            var before = world.Time.Now;
            Assert.True((await writer.WriteAsync(i, fua: i % 2 == 0)).IsSuccess);
            Assert.InRange(world.Time.Now - before, TimeSpan.Zero, TimeSpan.FromMilliseconds(500));
        }

        await writer.Volume.DisposeAsync();
    });
}
