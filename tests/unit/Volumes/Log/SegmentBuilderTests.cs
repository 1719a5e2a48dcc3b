using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Tests.Shared;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Journal;
using Gateway.Volumes.Log;
using Gateway.Volumes.Tests.Frames;
using Xunit;

namespace Gateway.Volumes.Tests.Log;

public class SegmentBuilderTests
{
    [Theory]
    [InlineData(512, (int)VolumeCompression.None)]
    [InlineData(512, (int)VolumeCompression.Lz4)]
    [InlineData(4096, (int)VolumeCompression.Lz4)]
    [InlineData(512, (int)VolumeCompression.Zstd)]
    public async Task Build_RandomWrites_HoldsWhatTheyLeft(int blockBytes, int compression)
    {
        var random = new Random(blockBytes + compression);
        for (var round = 0; round < 25; round++)
        {
            using var world = await SegmentWorld.CreateAsync(blockBytes, (VolumeCompression)compression, journalBytes: 16 << 20);
            var span = random.Next(2) == 0 ? 400 : 40_000; // Many overwrites, or few.
            for (var batch = random.Next(1, 25); batch > 0; batch--)
            {
                var writes = new (ulong, byte[]?, uint)[random.Next(1, 10)];
                for (var i = 0; i < writes.Length; i++)
                {
                    var blocks = random.Next(4) == 0 ? random.Next(1, (128 << 10) / blockBytes) : random.Next(1, Math.Max(2, 4096 / blockBytes));
                    writes[i] = ((ulong)random.Next(span), RandomData(random, blocks * blockBytes), (uint)blocks);
                }

                await world.AppendAsync(writes);
            }

            var segment = await world.BuildAsync();

            world.AssertHolds(segment);
            Assert.Equal((1L, world.Batches[^1].Header.LastWrite), (segment.Header.FirstWrite, segment.Header.LastWrite));
            segment.Recycle();
        }
    }

    [Fact]
    public async Task Build_SequentialSmallWrites_ShareFullFrames()
    {
        using var world = await SegmentWorld.CreateAsync();
        for (var i = 0; i < 100; i++) await world.AppendAsync(((ulong)i * 8, SampleData.Noise(4096, i)));

        var segment = await world.BuildAsync();

        world.AssertHolds(segment);
        Assert.Equal([256u, 256u, 256u, 32u], segment.Index.Select(e => e.Blocks));
    }

    [Fact]
    public async Task Build_ZeroesInsideWrites_TakeNoSpace()
    {
        using var world = await SegmentWorld.CreateAsync(compression: VolumeCompression.None);
        var data = SampleData.Noise(64 << 10, 1);
        data.AsSpan(8 << 10, 40 << 10).Clear();
        await world.AppendAsync((8, data)); // Zeroes from 8 to 48 KiB of it.
        await world.AppendAsync((1001, new byte[1024])); // Not aligned, but nothing else.
        await world.AppendAsync((2000, null));

        var segment = await world.BuildAsync();

        world.AssertHolds(segment);
        Assert.Equal(
            [(8ul, 16u, ExtentKind.Data), (24ul, 80u, ExtentKind.Zero), (104ul, 32u, ExtentKind.Data), (1001ul, 2u, ExtentKind.Zero), (2000ul, 1u, ExtentKind.Zero)],
            segment.Index.Select(e => (e.Lba, e.Blocks, e.Kind)));
        Assert.Equal(128 + (5 * 32) + (2 * 32) + (24 << 10), segment.Header.LengthBytes);
    }

    [Fact]
    public async Task Build_ZeroesOfSeveralKinds_AreOneEntry()
    {
        using var world = await SegmentWorld.CreateAsync();
        await world.AppendAsync([(0, null, 8), (8, new byte[4096], 8), (16, null, 1 << 20)]);

        var segment = await world.BuildAsync();

        world.AssertHolds(segment);
        Assert.Equal([new SegmentIndexEntry(0, 16 + (1 << 20), ExtentKind.Zero, 0, 0)], segment.Index);
    }

    [Fact]
    public async Task Build_ManySmallZeroRuns_FitTheirReserve()
    {
        using var world = await SegmentWorld.CreateAsync();
        for (var i = 0; i < 32; i++)
        {
            // The most entries that a frame can turn into: 4 KiB of zeroes, one block of data, and so on, at any alignment.
            var data = new byte[128 << 10];
            for (var at = i * 512 % 4096; at < data.Length; at += i % 2 == 0 ? 8192 : 4608) data[at] = 1;
            await world.AppendAsync((((ulong)i * 300) + (ulong)(i % 8), data));
        }

        world.AssertHolds(await world.BuildAsync());
    }

    [Theory]
    [InlineData((int)VolumeCompression.Lz4)]
    [InlineData((int)VolumeCompression.Zstd)]
    public async Task Build_CompressibleWrites_GetSmaller(int compression)
    {
        using var world = await SegmentWorld.CreateAsync(compression: (VolumeCompression)compression);
        for (var i = 0; i < 40; i++) await world.AppendAsync(((ulong)i * 1000, SampleData.Text(128 << 10, i)), ((ulong)(i * 1000) + 500, SampleData.Text(4096, i)));

        var segment = await world.BuildAsync();

        world.AssertHolds(segment);
        Assert.InRange(segment.Header.LengthBytes, 1, 40 * (132 << 10) / 2);
    }

    /// <summary>What a segment takes in the store for 4 KiB random writes that do not shrink: 32 bytes of header and of index for each.</summary>
    [Fact]
    public async Task Build_RandomWritesOf4KiB_TakeAtMost4PercentMore()
    {
        using var world = await SegmentWorld.CreateAsync();
        await FillAsync(world, writes: 2048, bytes: 4096);

        var segment = await world.BuildAsync();

        world.AssertHolds(segment);
        Assert.InRange(segment.Header.LengthBytes, 0, (long)(2048 * 4096 * 1.04));
    }

    [Theory]
    [InlineData(4096, 2048)]
    [InlineData(512, 16384)]
    [InlineData(131072, 64)]
    public async Task Build_AnyWriteSize_NeedsAnEighthMoreThanTheDataAtMost(int bytes, int writes)
    {
        using var world = await SegmentWorld.CreateAsync(volumeBytes: 1L << 36);
        await FillAsync(world, writes, bytes);

        (await world.BuildAsync()).Recycle();

        Assert.InRange(world.Pool.KeptBytes, 1, (8 << 20) + (8 << 20 >> 3) + (1 << 20)); // Buffers come in steps of 1 MiB.
    }

    [Fact]
    public async Task Build_TheSameTwice_GivesTheSameBytes()
    {
        using var world = await SegmentWorld.CreateAsync();
        using var again = await SegmentWorld.CreateAsync();
        foreach (var w in new[] { world, again })
            for (var i = 0; i < 50; i++) await w.AppendAsync(((ulong)(i * 37 % 90), SampleData.Text(4096 * ((i % 5) + 1), i)));

        var first = (await world.BuildAsync()).Content.ToArray();
        var second = (await again.BuildAsync()).Content.ToArray();

        Assert.Equal(first, second);
    }

    [Fact]
    public async Task Build_Warm_AllocatesLittleMoreThanTheIndex()
    {
        using var world = await SegmentWorld.CreateAsync(journalBytes: 40 << 20);
        await FillAsync(world, writes: 2048, bytes: 4096);
        for (var i = 0; i < 3; i++) (await world.BuildAsync()).Recycle();

        Assert.InRange(Allocations.Least(() => Recycle(world.BuildAsync())), 0, (2048 * 32) + 4096);

        // The simulated disk answers at once, so that a build is done when it returns.
        static void Recycle(Task<BuiltSegment> build) => build.GetAwaiter().GetResult().Recycle();
    }

    [Theory]
    [InlineData(0)] // Header.
    [InlineData(70)] // Record.
    [InlineData(5000)] // Data.
    public async Task Build_JournalThatChanged_IsRefused(int offset)
    {
        using var world = await SegmentWorld.CreateAsync();
        await world.AppendAsync((0, SampleData.Noise(4096, 1)));
        await world.AppendAsync((100, SampleData.Noise(4096, 2)));
        var at = JournalFile.RingOffsetBytes + world.Batches[1].Header.Position + offset;
        var byteThere = new byte[1];
        await world.Disk.ReadAsync(byteThere, at);
        using var changed = new NativeBuffer(1);
        changed.Span[0] = (byte)(byteThere[0] ^ 4);
        var list = new ScatterList();
        list.Add(changed);
        await world.Disk.WriteAsync(list, at);

        await Assert.ThrowsAsync<IOException>(world.BuildAsync);
    }

    [Fact]
    public async Task Build_BatchesOnBothSidesOfTheRingsEnd_HoldsThemAll()
    {
        using var world = await SegmentWorld.CreateAsync(journalBytes: (1 << 20) + 8192);
        for (var i = 0; i < 20; i++) await world.AppendAsync((0, SampleData.Noise(40 << 10, i)));
        world.Batches.Clear();
        for (var i = 0; i < 20; i++) await world.AppendAsync(((ulong)i * 200, SampleData.Noise(40 << 10, i)));

        var segment = await world.BuildAsync();

        foreach (var entry in segment.Index) Assert.Equal(80u, entry.Blocks);
        Assert.Equal(20, segment.Index.Length);
    }

    private static async Task FillAsync(SegmentWorld world, int writes, int bytes)
    {
        var random = new Random(3);
        var blocks = (ulong)(bytes / world.Volume.BlockSizeBytes);
        foreach (var chunk in Enumerable.Range(0, writes).Chunk(64))
        {
            // Every second place, so that no two are neighbours.
            await world.AppendAsync(Array.ConvertAll(chunk, i => ((ulong)i * 2 * blocks, (byte[]?)SampleData.Noise(bytes, random.Next()))));
        }
    }

    private static byte[]? RandomData(Random random, int bytes)
    {
        switch (random.Next(6))
        {
            case 0:
                return null;
            case 1:
                return new byte[bytes];
            case 2:
                return SampleData.Text(bytes, random.Next());
            case 3:
                var holes = SampleData.Noise(bytes, random.Next());
                for (var i = random.Next(4); i > 0; i--)
                {
                    var start = random.Next(bytes);
                    holes.AsSpan(start, random.Next(bytes - start)).Clear();
                }

                return holes;
            default:
                return SampleData.Noise(bytes, random.Next());
        }
    }
}
