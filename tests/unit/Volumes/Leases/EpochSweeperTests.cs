using Gateway.Volumes.Formats;
using Gateway.Volumes.Leases;
using Xunit;

namespace Gateway.Volumes.Tests.Leases;

/// <summary>The records that openings leave behind, and when they go.</summary>
public class EpochSweeperTests
{
    private const int Openings = 150;

    private static readonly VolumeKeys Keys = new(GatewayProcess.VolumeName);

    [Fact]
    public void Checkpoint_AfterManyOpenings_RemovesTheOldestRecordsInOrder() => LeaseWorld.Run(async world =>
    {
        ClaimOften(world);
        var writer = world.NewGateway("a");
        writer.Options.CheckpointSegmentsMin = writer.Options.CheckpointSegments = 1;
        writer.Options.LeaseLength = TimeSpan.Zero;
        var removed = new List<string>();
        writer.Store.AfterEffect = (name, subject, _) =>
        {
            if (name == "delete" && subject.Contains("/epochs/", StringComparison.Ordinal)) removed.Add(subject);
            return default;
        };
        await writer.OpenAsync();

        await writer.WriteAsync(1);
        await writer.Volume.DrainAsync(default);
        await world.PassAsync(TimeSpan.FromSeconds(1));

        // 151 is ours; it and the 99 before it stay.
        Assert.Equal(Openings + 1 - EpochSweeper.KeptEpochs, removed.Count);
        Assert.Equal(removed.Order(StringComparer.Ordinal), removed);
        Assert.Equal(Keys.Epoch(52).Value, world.Epochs.First());
        Assert.Equal(EpochSweeper.KeptEpochs, world.Epochs.Count());
        await writer.Volume.DisposeAsync();
        var next = await world.ServingAsync("b");
        Assert.Equal(VolumeWorld.Tagged(1, 8), await next.ReadAsync());
        await next.Volume.DisposeAsync();
    });

    /// <summary>The store fails in the middle: nothing behind the failure is removed, and the next checkpoint goes on.</summary>
    [Fact]
    public void Checkpoint_RemovalFails_GoesOnAtTheSameRecordNextTime() => LeaseWorld.Run(async world =>
    {
        ClaimOften(world);
        var writer = world.NewGateway("a");
        writer.Options.CheckpointSegmentsMin = writer.Options.CheckpointSegments = 1;
        writer.Options.LeaseLength = TimeSpan.Zero;
        var failures = 0;
        writer.Store.BeforeRequest = (name, subject, _) => name == "delete" && subject.EndsWith(Keys.Epoch(7).Value, StringComparison.Ordinal) && failures++ == 0
            ? throw new Backends.Core.BlobStoreException(Backends.Core.BlobErrorKind.Unavailable, "Away (by design of the test).") : default;
        await writer.OpenAsync();

        await writer.WriteAsync(1);
        await writer.Volume.DrainAsync(default);
        await world.PassAsync(TimeSpan.FromMilliseconds(100));
        Assert.Equal(Keys.Epoch(7).Value, world.Epochs.First());
        await world.PassAsync(TimeSpan.FromMinutes(1));
        await writer.WriteAsync(2);
        await writer.Volume.DrainAsync(default);
        await world.PassAsync(TimeSpan.FromMinutes(1));

        Assert.Equal(Keys.Epoch(52).Value, world.Epochs.First());
        await writer.Volume.DisposeAsync();
    });

    /// <summary>A fenced writer that slept while the record after its own was made and removed again finds its own gone.</summary>
    [Fact]
    public void Look_NextRecordIsGoneAgain_FindsItsOwnGone() => LeaseWorld.Run(async world =>
    {
        ClaimOften(world);
        for (var epoch = 1; epoch <= 10; epoch++) world.Bucket.Blobs.Remove(Keys.Epoch(epoch).Value);

        Assert.True(await EpochLook.IsSupersededAsync(world.Bucket, Keys, 5, null, default));
        Assert.False(await EpochLook.IsSupersededAsync(world.Bucket, Keys, Openings, null, default));
    });

    private static void ClaimOften(LeaseWorld world)
    {
        for (var epoch = 1; epoch <= Openings; epoch++)
        {
            var claim = new EpochRecord { Epoch = epoch, Owner = "long ago", Nonce = Guid.NewGuid(), LeaseSeconds = 0, JournalId = Guid.NewGuid(), CreatedAt = DateTimeOffset.UnixEpoch };
            world.Bucket.Blobs[Keys.Epoch(epoch).Value] = RecordCodec.Encode(claim, world.VolumeId);
        }
    }
}
