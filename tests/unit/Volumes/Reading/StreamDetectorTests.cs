using Gateway.Scsi;
using Gateway.Volumes.Reading;
using Xunit;

namespace Gateway.Volumes.Tests.Reading;

public class StreamDetectorTests
{
    private const int BlockBytes = 4096;
    private const ulong Capacity = 1 << 20;

    [Fact]
    public void StreamDetector_SequentialReads_FetchesFurtherAheadUpToItsShareOfTheRoom()
    {
        var streams = new StreamDetector(BlockBytes, Capacity, 32 << 20);
        ulong ahead = 0, widest = 0, first = 0;
        for (ulong lba = 0; lba < 40_000; lba += 16)
        {
            var advice = streams.Observe(new BlockRange(lba, 16));
            if (advice.AheadBlocks > 0)
            {
                Assert.True(advice.AheadLba >= ahead);
                ahead = advice.AheadLba + advice.AheadBlocks;
                streams.Issued(advice, ahead);
                if (first == 0) first = advice.AheadBlocks;
            }

            widest = Math.Max(widest, ahead - Math.Min(ahead, lba + 16));
        }

        Assert.Equal((256UL << 10) / BlockBytes, first);
        Assert.Equal((20UL << 20) / BlockBytes, widest);
    }

    [Fact]
    public void StreamDetector_RandomReads_FetchNothingAhead()
    {
        var streams = new StreamDetector(BlockBytes, Capacity, 32 << 20);
        var random = new Random(1);

        for (var i = 0; i < 10_000; i++)
        {
            var advice = streams.Observe(new BlockRange((ulong)random.NextInt64((long)Capacity - 1), 1));
            Assert.Equal(0UL, advice.AheadBlocks);
            Assert.False(advice.IsStream);
        }
    }

    [Fact]
    public void StreamDetector_EightReadersTakingTurns_AreToldApart()
    {
        var streams = new StreamDetector(BlockBytes, Capacity, 32 << 20);
        var ahead = new ulong[StreamDetector.StreamsMax];
        for (ulong step = 0; step < 100; step++)
        {
            for (ulong reader = 0; reader < StreamDetector.StreamsMax; reader++)
            {
                var advice = streams.Observe(new BlockRange((reader * 100_000) + (step * 32), 32));
                Assert.Equal(step >= 2, advice.IsStream);
                if (advice.AheadBlocks == 0) continue;
                Assert.Equal(reader, advice.AheadLba / 100_000);
                ahead[reader] = advice.AheadLba + advice.AheadBlocks;
                streams.Issued(advice, ahead[reader]);
                // Each may use its share of three quarters of the room.
                Assert.InRange(ahead[reader] - (reader * 100_000) - ((step + 1) * 32), 0UL, (ulong)((32 << 20) * 3 / 4 / 8 / BlockBytes) * (step < 3 ? 8UL : 1));
            }
        }

        Assert.All(ahead, a => Assert.NotEqual(0UL, a));
    }

    [Fact]
    public void StreamDetector_ReadsOfAStreamInAnotherOrder_DoNotEndIt()
    {
        var streams = new StreamDetector(BlockBytes, Capacity, 32 << 20);
        for (ulong lba = 0; lba < 64; lba += 8) streams.Observe(new BlockRange(lba, 8));

        streams.Observe(new BlockRange(72, 8)); // 64 comes later.
        streams.Observe(new BlockRange(64, 8));
        var advice = streams.Observe(new BlockRange(80, 8));

        Assert.True(advice.IsStream);
    }

    [Fact]
    public void StreamDetector_WhatWasFetchedIsGone_FetchesLess()
    {
        var streams = new StreamDetector(BlockBytes, Capacity, 32 << 20);
        ulong lba = 0, widest = 0, late = 0;
        for (var i = 0; i < 3000; i++, lba += 16)
        {
            var advice = streams.Observe(new BlockRange(lba, 16));
            if (i >= 1000) streams.Lost(advice);
            if (advice.AheadBlocks == 0) continue;
            streams.Issued(advice, advice.AheadLba + advice.AheadBlocks);
            if (i < 1000) widest = Math.Max(widest, advice.AheadBlocks);
            else if (i >= 2000) late = Math.Max(late, advice.AheadBlocks);
        }

        Assert.True(late <= (512UL << 10) / BlockBytes && widest > late, $"{widest} blocks, then {late}.");
    }

    [Fact]
    public void StreamDetector_TooLittleRoom_FetchesNothingAhead()
    {
        var streams = new StreamDetector(BlockBytes, Capacity, 256 << 10);

        for (ulong lba = 0; lba < 10_000; lba += 16) Assert.Equal(0UL, streams.Observe(new BlockRange(lba, 16)).AheadBlocks);
    }

    [Fact]
    public void StreamDetector_EndOfTheVolume_NothingBeyondIt()
    {
        var streams = new StreamDetector(BlockBytes, 1000, 32 << 20);
        for (ulong lba = 0; lba < 1000; lba += 8)
        {
            var advice = streams.Observe(new BlockRange(lba, 8));
            if (advice.AheadBlocks == 0) continue;
            Assert.True(advice.AheadLba < 1000);
            streams.Issued(advice, Math.Min(1000, advice.AheadLba + advice.AheadBlocks));
        }
    }
}
