using BenchmarkDotNet.Attributes;
using Gateway.Volumes;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Frames;
using Gateway.Volumes.Log;

namespace Gateway.Microbenchmarks;

/// <summary>What does building a segment of 8 MiB in frames cost: of data that does not compress, as it is and with LZ4 trying, and of data that does?</summary>
[MemoryDiagnoser]
public class SegmentBenchmarks
{
    private const int SegmentBytes = 8 << 20;
    private const int BlockBytes = 4096;

    private readonly CompressionHistory _history = new();
    private readonly byte[] _blocks = new byte[SegmentBytes];
    private VolumeRecord _volume = null!;

    public enum Content
    {
        RandomRaw,
        RandomLz4,
        TextLz4,
    }

    [Params(Content.RandomRaw, Content.RandomLz4, Content.TextLz4)]
    public Content Data { get; set; }

    /// <summary>Blocks that follow each other: 1 makes a frame of each.</summary>
    [Params(1, 32)]
    public int RunBlocks { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        _volume = new VolumeRecord
        {
            Id = new Guid("00000000-0000-4000-8000-000000000001"),
            Name = "v",
            SizeBytes = 1L << 40,
            BlockSizeBytes = BlockBytes,
            PhysicalBlockSizeBytes = BlockBytes,
            CreatedAt = DateTimeOffset.UnixEpoch,
            CompressionName = Data == Content.RandomRaw ? null : VolumeCompressionNames.NameOf(VolumeCompression.Lz4),
        };
        var random = new Random(1);
        random.NextBytes(_blocks);
        // About two thirds of each byte's choices gone, and words that come again.
        if (Data == Content.TextLz4)
            for (var i = 0; i < _blocks.Length; i++) _blocks[i] = i >= 4096 && random.Next(16) != 0 ? _blocks[i - 1024] : (byte)('a' + _blocks[i] % 26);
    }

    [Benchmark]
    public int Build()
    {
        using var builder = new MovedSegmentBuilder(_volume, SegmentBytes, _history, SegmentBufferPool.Shared);
        var lengthBytes = RunBlocks * BlockBytes;
        for (var at = 0; at + lengthBytes <= SegmentBytes; at += lengthBytes) builder.TryAdd((ulong)(at / BlockBytes * 2), _blocks.AsSpan(at, lengthBytes));
        var segment = builder.Build(new SegmentId(1, 2), Guid.Empty, DateTimeOffset.UnixEpoch, 1, 1);
        var length = segment.Content.Length;
        segment.Recycle();
        return length;
    }
}
