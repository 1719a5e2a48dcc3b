using Gateway.Volumes.Formats;
using Gateway.Volumes.Frames;
using Gateway.Volumes.Log;
using Gateway.Volumes.Tests.Frames;
using Xunit;

namespace Gateway.Volumes.Tests.Log;

public class MovedSegmentBuilderTests
{
    private static readonly VolumeRecord Volume = new()
    {
        Name = "v",
        Id = new Guid("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"),
        SizeBytes = 1 << 30,
        BlockSizeBytes = 512,
        PhysicalBlockSizeBytes = 4096,
        CreatedAt = DateTimeOffset.UnixEpoch,
        Features = ["lz4"],
        CompressionName = "lz4",
    };

    [Fact]
    public void Build_Survivors_AreAllInIt()
    {
        var random = new Random(1);
        for (var round = 0; round < 50; round++)
        {
            var expected = new Dictionary<ulong, byte[]?>();
            using var builder = NewBuilder(4 << 20);
            for (ulong lba = 0; ; lba += random.Next(3) == 0 ? (ulong)random.Next(300) : 0)
            {
                var blocks = random.Next(5) == 0 ? random.Next(1, 600) : random.Next(1, 9);
                var data = random.Next(3) switch
                {
                    0 => SampleData.Noise(blocks * 512, random.Next()),
                    1 => SampleData.Text(blocks * 512, random.Next()),
                    _ => new byte[blocks * 512],
                };
                if (!builder.TryAdd(lba, data)) break;
                for (var b = 0; b < blocks; b++) expected[lba + (ulong)b] = data[(b * 512)..((b + 1) * 512)];
                lba += (ulong)blocks;
            }

            Assert.Equal(expected.Count * 512, builder.DataBytes);
            var segment = builder.Build(SegmentWorld.Id, SegmentWorld.Nonce, DateTimeOffset.UnixEpoch, lastWrite: 99, coveredSequence: 5);

            SegmentWorld.AssertHolds(segment, Volume, expected);
            Assert.All(segment.Index, e => Assert.Equal(ExtentKind.Data, e.Kind)); // Zeroes, too: only data applies block by block.
            Assert.Equal((SegmentKind.Moved, 100L, 99L, 5L), (segment.Header.Kind, segment.Header.FirstWrite, segment.Header.LastWrite, segment.Header.CoveredSequence));
        }
    }

    [Fact]
    public void TryAdd_MoreThanThereIsRoomFor_AddsNothing()
    {
        using var builder = NewBuilder(4096);
        var data = SampleData.Noise(2560, 1);

        Assert.True(builder.TryAdd(0, data));
        Assert.False(builder.TryAdd(5, data));
        Assert.True(builder.TryAdd(5, data.AsSpan(0, 1536)));

        var segment = builder.Build(SegmentWorld.Id, SegmentWorld.Nonce, DateTimeOffset.UnixEpoch, 99, 5);
        Assert.Equal([(0ul, 8u)], segment.Index.Select(e => (e.Lba, e.Blocks)));
    }

    [Fact]
    public void TryAdd_OutOfOrderOrOutOfBounds_IsRefused()
    {
        using var builder = NewBuilder(1 << 20);
        Assert.True(builder.TryAdd(10, new byte[1024]));

        Assert.Throws<ArgumentException>(() => builder.TryAdd(11, new byte[512]));
        Assert.Throws<ArgumentException>(() => builder.TryAdd(20, new byte[100]));
        Assert.Throws<ArgumentException>(() => builder.TryAdd((1 << 21) - 1, new byte[1024]));
    }

    [Fact]
    public void Dispose_WithoutBuild_GivesTheBufferBack()
    {
        var pool = new SegmentBufferPool(64 << 20);

        new MovedSegmentBuilder(Volume, 1 << 20, new CompressionHistory(), pool).Dispose();

        Assert.True(pool.KeptBytes > 0);
    }

    private static MovedSegmentBuilder NewBuilder(int dataMaxBytes) => new(Volume, dataMaxBytes, new CompressionHistory(), new SegmentBufferPool(0));
}
