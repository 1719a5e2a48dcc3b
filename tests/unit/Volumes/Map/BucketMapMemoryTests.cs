using System.Buffers;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Map;
using Xunit;
using Xunit.Abstractions;

namespace Gateway.Volumes.Tests.Map;

/// <summary>What the map costs: memory, and bytes of a checkpoint. Nothing runs beside these tests, since they measure the heap.</summary>
[Collection(nameof(BucketMapMemoryTests)), CollectionDefinition(nameof(BucketMapMemoryTests), DisableParallelization = true)]
public class BucketMapMemoryTests(ITestOutputHelper output)
{
    private const int WriteBytes = 4096;
    private const int Writes = (1 << 30) / WriteBytes;
    private const int WritesPerSegment = 2048;

    [Theory]
    [InlineData(4096, false)]
    [InlineData(4096, true)]
    [InlineData(512, false)]
    [InlineData(512, true)]
    public void Map_ShreddedGibibyte_TakesAtMostSixteenBytesPerWrite(int blockLengthBytes, bool inRandomOrder)
    {
        var order = Enumerable.Range(0, Writes).ToArray();
        if (inRandomOrder) new Random(1).Shuffle(order);
        var segments = NewSegments(Writes / WritesPerSegment, (uint)(WritesPerSegment * WriteBytes / blockLengthBytes));
        var before = GC.GetTotalMemory(forceFullCollection: true);

        var map = new BucketMap((1UL << 30) / (uint)blockLengthBytes, blockLengthBytes, segments);
        for (var i = 0; i < Writes; i++) Write(map, order[i], i, blockLengthBytes);

        var perWrite = (GC.GetTotalMemory(forceFullCollection: true) - before) / (double)Writes;
        var estimated = map.ResidentBytes / (double)Writes;
        output.WriteLine($"{perWrite:F2} bytes per write, {estimated:F2} estimated.");
        Assert.InRange(perWrite, 14, 16);
        Assert.InRange(estimated, perWrite * 0.97, perWrite * 1.03);
        GC.KeepAlive(order);
    }

    [Theory]
    [InlineData(4096)]
    [InlineData(512)]
    public void Map_HalfShredded_TakesAtMostSixteenBytesPerWrite(int blockLengthBytes)
    {
        var order = Enumerable.Range(0, Writes).ToArray();
        new Random(2).Shuffle(order);
        var segments = NewSegments(Writes / WritesPerSegment, (uint)(WritesPerSegment * WriteBytes / blockLengthBytes));
        var before = GC.GetTotalMemory(forceFullCollection: true);

        var map = new BucketMap((1UL << 30) / (uint)blockLengthBytes, blockLengthBytes, segments);
        for (var i = 0; i < Writes / 2; i++) Write(map, order[i], i, blockLengthBytes);

        var perWrite = (GC.GetTotalMemory(forceFullCollection: true) - before) / (Writes / 2.0);
        output.WriteLine($"{perWrite:F2} bytes per write.");
        Assert.InRange(perWrite, 14, 16);
        GC.KeepAlive(map);
        GC.KeepAlive(order);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Map_SequentialGibibyte_TakesLittle(bool compressed)
    {
        // The median of some: what else the process allocates, or lets go, meanwhile is not the map's.
        var perSpan = Enumerable.Range(0, 5).Select(_ => MeasureSequential(compressed)).Order().ElementAt(2);
        output.WriteLine($"{perSpan:F0} bytes per span of 2 MiB.");
        Assert.InRange(perSpan, 0, compressed ? 380 : 110);
    }

    private static double MeasureSequential(bool compressed)
    {
        const int Frames = (1 << 30) / FrameHeader.PayloadMaxBytes;
        const int FramesPerSegment = 64;
        var segments = NewSegments(Frames / FramesPerSegment, FramesPerSegment * 32);
        var random = new Random(3);
        var before = GC.GetTotalMemory(forceFullCollection: true);

        var map = new BucketMap((1UL << 30) / 4096, 4096, segments);
        var offset = 0;
        for (var i = 0; i < Frames; i++)
        {
            if (i % FramesPerSegment == 0) offset = 128;
            var length = compressed ? random.Next(40_000, 60_000) : FrameHeader.FrameLengthMaxBytes;
            map.Set((ulong)i * 32, 32, new SegmentLocation((i / FramesPerSegment) + 1, offset, length));
            offset += FrameHeader.PaddedLength(length);
        }

        // Half a page of pointers, 8 KiB, is in it.
        var perSpan = (GC.GetTotalMemory(forceFullCollection: true) - before) / 512.0;
        GC.KeepAlive(map);
        return perSpan;
    }

    [Theory]
    [InlineData(4096, false)]
    [InlineData(4096, true)]
    [InlineData(512, true)]
    public void Checkpoint_OfAShreddedGibibyte_TakesAtMostSixBytesPerWrite(int blockLengthBytes, bool compressed)
    {
        // As if it were part of 40 GiB: the segments that a leaf refers to are spread over 5,000.
        const int Segments = 5000;
        var segments = NewSegments(Segments, uint.MaxValue);
        var map = new BucketMap((1UL << 30) / (uint)blockLengthBytes, blockLengthBytes, segments);
        var random = new Random(4);
        for (var i = 0; i < Writes; i++)
        {
            var length = compressed ? random.Next(1000, 4128) : 32 + WriteBytes;
            var offset = 65_664 + (random.Next(WritesPerSegment) * FrameHeader.PaddedLength(length));
            map.Set((ulong)i * (ulong)(WriteBytes / blockLengthBytes), (uint)(WriteBytes / blockLengthBytes), new SegmentLocation(random.Next(1, Segments + 1), offset, length));
        }

        var estimated = map.EncodedDirtyBytes;
        var writer = new ArrayBufferWriter<byte>();
        foreach (var leaf in map.Freeze().Leaves) leaf.EncodeTo(writer);

        output.WriteLine($"{writer.WrittenCount / (double)Writes:F2} bytes per write, {estimated / (double)Writes:F2} estimated.");
        Assert.InRange(writer.WrittenCount / (double)Writes, 1, 6);
        Assert.InRange(estimated, writer.WrittenCount * 0.7, writer.WrittenCount * 1.5);
    }

    private static SegmentTable NewSegments(int count, uint totalBlocks)
    {
        var segments = new SegmentTable();
        for (uint sequence = 1; sequence <= count; sequence++) segments.Add(sequence, 64 << 20, totalBlocks, SegmentKind.Log);
        return segments;
    }

    private static void Write(BucketMap map, int place, int number, int blockLengthBytes)
    {
        const int FrameLengthBytes = FrameHeader.HeaderLengthBytes + WriteBytes;
        var blocks = (uint)(WriteBytes / blockLengthBytes);
        map.Set((ulong)place * blocks, blocks, new SegmentLocation((number / WritesPerSegment) + 1, 65_664 + (number % WritesPerSegment * FrameLengthBytes), FrameLengthBytes));
    }
}
