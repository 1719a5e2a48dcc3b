using Gateway.Scsi;
using Gateway.Volumes.Journal;
using Xunit;

namespace Gateway.Volumes.Tests.Journal;

/// <summary>What a write or flush waits for, and for how long.</summary>
public class JournalAppenderTests
{
    private static readonly TimeSpan CommandTimeout = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(1);

    [Fact]
    public async Task Write_BelowTheHighWaterMark_DoesNotWait()
    {
        await using var world = await CreateAsync(highWaterPercent: 50, ringPages: 100);

        await world.FillAsync(50);

        Assert.Equal(25, world.Batches.Count);
    }

    [Theory]
    [InlineData(58, 200)] // With the write 60 of 100 pages: a fifth of the way from the mark to the end.
    [InlineData(78, 600)]
    [InlineData(94, 920)]
    public async Task Write_AboveTheHighWaterMark_IsHeldBackTheMoreTheFullerItIs(int pages, int milliseconds)
    {
        await using var world = await CreateAsync(highWaterPercent: 50, ringPages: 100);
        await world.FillPastTheMarkAsync(pages);

        var write = world.WriteAsync();
        await world.WaitsAsync();

        world.Time.Advance(TimeSpan.FromMilliseconds(milliseconds) - Tick - Tick);
        Assert.False(write.IsCompleted);
        world.Time.Advance(Tick + Tick);
        Assert.Equal(BlockResult.Success, await write);
    }

    [Fact]
    public async Task Write_HeldBack_GoesOnWhenSpaceComesBack()
    {
        await using var world = await CreateAsync(highWaterPercent: 50, ringPages: 100);
        await world.FillPastTheMarkAsync(90);
        var write = world.WriteAsync();
        Assert.False(write.IsCompleted);

        world.Appender.Release(world.Appender.AppendedPosition);

        Assert.Equal(BlockResult.Success, await write); // The clock stands still.
    }

    [Fact]
    public async Task Write_JournalFull_CallsForSpaceAndGoesOnWhenThereIsSome()
    {
        await using var world = await CreateAsync(highWaterPercent: 100, ringPages: 20);
        await world.FillAsync(20);

        var write = world.WriteAsync();
        Assert.False(write.IsCompleted);
        Assert.Equal([true], world.SpaceCalls);
        world.Time.Advance(CommandTimeout - TimeSpan.FromSeconds(1));
        Assert.False(write.IsCompleted);
        world.Appender.Release(world.Batches[0].Batch.Header.EndPosition);

        Assert.Equal(BlockResult.Success, await write);
    }

    [Fact]
    public async Task Write_JournalFullToItsDeadline_EndsInJournalFullAndTheNextOneGetsItsOwnTime()
    {
        await using var world = await CreateAsync(highWaterPercent: 100, ringPages: 20);
        await world.FillAsync(20);
        var first = world.WriteAsync();
        world.Time.Advance(TimeSpan.FromSeconds(5));
        var second = world.WriteAsync();

        world.Time.Advance(CommandTimeout - TimeSpan.FromSeconds(5));
        Assert.Equal(BlockError.JournalFull, (await first).Error);
        await world.WaitsAsync();
        Assert.False(second.IsCompleted);
        world.Time.Advance(TimeSpan.FromSeconds(5));
        Assert.Equal(BlockError.JournalFull, (await second).Error);
        var stored = world.Batches.Count;
        world.Appender.Release(world.Appender.AppendedPosition);

        Assert.Equal(BlockResult.Success, await world.WriteAsync());
        Assert.Equal(stored + 1, world.Batches.Count); // What was refused has left nothing behind.
    }

    [Fact]
    public async Task Flush_WithTheBucketsDurability_EndsOnlyWhenTheBucketHasWhatItCovers()
    {
        await using var world = await CreateAsync(durability: Durability.Bucket);
        await world.WriteAsync();
        var before = world.Appender.AppendedPosition;
        await world.WriteAsync(blocks: 3);

        var flush = world.Appender.FlushAsync(default).AsTask();
        Assert.Equal([world.Appender.AppendedPosition], world.BucketCalls);
        var covered = world.Appender.AppendedPosition;
        await world.WriteAsync(); // Came later: the flush does not wait for it.

        world.Appender.Release(before);
        Assert.False(flush.IsCompleted);
        world.Appender.Release(covered);
        Assert.Equal(BlockResult.Success, await flush);
    }

    [Fact]
    public async Task ForcedWrite_WithTheBucketsDurability_EndsOnlyWhenItIsInTheBucket()
    {
        await using var world = await CreateAsync(durability: Durability.Bucket);

        var write = world.WriteAsync(fua: true);

        Assert.False(write.IsCompleted);
        Assert.Equal([world.Appender.AppendedPosition], world.BucketCalls);
        world.Appender.Release(world.Appender.AppendedPosition);
        Assert.Equal(BlockResult.Success, await write);
    }

    [Fact]
    public async Task Flush_BucketTooLate_EndsInTimeInStoreUnavailableAndTheNextOneSucceeds()
    {
        await using var world = await CreateAsync(durability: Durability.Bucket);
        await world.WriteAsync();
        var flush = world.Appender.FlushAsync(default).AsTask();
        world.Time.Advance(CommandTimeout - Tick);
        Assert.False(flush.IsCompleted);

        world.Time.Advance(Tick);

        Assert.Equal(BlockError.StoreUnavailable, (await flush).Error);
        world.Appender.Release(world.Appender.AppendedPosition);
        Assert.Equal(BlockResult.Success, await world.Appender.FlushAsync(default));
    }

    [Fact]
    public async Task Write_OfZeroes_TakesARecordAndNoData()
    {
        await using var world = await CreateAsync();

        Assert.Equal(BlockResult.Success, await world.WriteAsync(value: 0, blocks: 16));

        var (batch, records) = Assert.Single(world.Batches);
        Assert.Equal((JournalBatchHeader.PageBytes, 0), (batch.Header.LengthBytes, batch.DataBytes));
        Assert.Equal(new JournalRecord(0, 16, JournalRecordKind.Zero, 0, 0, 0), Assert.Single(records));
    }

    [Fact]
    public async Task Write_PartlyOfZeroes_KeepsTheDataOfTheRecordsThatHaveSome()
    {
        await using var world = await CreateAsync();
        var data = new byte[3 * JournalFile.RecordDataMaxBytes];
        data[JournalFile.RecordDataMaxBytes + 5] = 1; // One byte, in the second of three records.

        Assert.Equal(BlockResult.Success, await world.WriteAsync(data));

        var (batch, records) = Assert.Single(world.Batches);
        Assert.Equal([JournalRecordKind.Zero, JournalRecordKind.Data, JournalRecordKind.Zero], records.Select(record => record.Kind));
        Assert.Equal(JournalFile.RecordDataMaxBytes, batch.DataBytes);
    }

    private static Task<AppenderWorld> CreateAsync(int highWaterPercent = 100, int ringPages = 1000, Durability durability = Durability.Journal) =>
        AppenderWorld.CreateAsync(new VolumeOptions { HighWaterPercent = highWaterPercent, CommandTimeout = CommandTimeout, Durability = durability }, ringPages);
}
