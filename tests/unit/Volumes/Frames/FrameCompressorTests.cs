using Gateway.Tests.Shared;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Frames;
using Xunit;

namespace Gateway.Volumes.Tests.Frames;

public class FrameCompressorTests
{
    private const int FrameBytes = FrameHeader.PayloadMaxBytes;

    [Fact]
    public void TryCompress_SavingLessThanASixteenth_DoesNotPay()
    {
        using var compressor = new FrameCompressor();
        byte[] barely = [.. SampleData.Noise(62 << 10, 1), .. new byte[2 << 10]]; // 1/32 shrinks away.
        byte[] enough = [.. SampleData.Noise(56 << 10, 1), .. new byte[8 << 10]]; // 1/8.

        Assert.False(compressor.TryCompress(barely, VolumeCompression.Lz4, new CompressionHistory(), out _, out _));
        Assert.True(compressor.TryCompress(enough, VolumeCompression.Lz4, new CompressionHistory(), out var codec, out var stored));

        Assert.Equal(FrameCodec.Lz4, codec);
        Assert.True(stored.Length <= enough.Length - (enough.Length / FrameCompressor.PaysFraction));
    }

    [Fact]
    public void TryCompress_None_NeverCompresses()
    {
        using var compressor = new FrameCompressor();

        Assert.False(compressor.TryCompress(new byte[4096], VolumeCompression.None, new CompressionHistory(), out var codec, out _));

        Assert.Equal(FrameCodec.None, codec);
    }

    [Theory]
    [InlineData((int)VolumeCompression.Lz4)]
    [InlineData((int)VolumeCompression.Zstd)]
    public void TryCompress_LargeFramesAfterIncompressibleOnes_AreFoundAtOnce(int compression)
    {
        using var compressor = new FrameCompressor();
        var history = new CompressionHistory();
        for (var i = 0; i < 100; i++) Assert.False(compressor.TryCompress(SampleData.Noise(FrameBytes, i), (VolumeCompression)compression, history, out _, out _));

        Assert.True(compressor.TryCompress(SampleData.Text(FrameBytes, 1), (VolumeCompression)compression, history, out _, out _));
    }

    [Fact]
    public void TryCompress_SkewedBytesAfterIncompressibleOnes_AreFoundForZstd()
    {
        using var compressor = new FrameCompressor();
        var history = new CompressionHistory();
        history.Record(shrank: false);

        Assert.True(compressor.TryCompress(SampleData.SixBits(FrameBytes, 1), VolumeCompression.Zstd, history, out _, out _));
    }

    [Theory]
    [InlineData((int)VolumeCompression.Lz4)]
    [InlineData((int)VolumeCompression.Zstd)]
    public void TryCompress_SmallFramesAfterIncompressibleOnes_AreFoundAfterAFew(int compression)
    {
        using var compressor = new FrameCompressor();
        var history = new CompressionHistory();
        for (var i = 0; i < 100; i++) Assert.False(compressor.TryCompress(SampleData.Noise(4096, i), (VolumeCompression)compression, history, out _, out _));
        var text = SampleData.Text(4096, 1);

        var missed = 0;
        while (!compressor.TryCompress(text, (VolumeCompression)compression, history, out _, out _)) missed++;

        Assert.InRange(missed, 0, CompressionHistory.RetryInterval);
        Assert.True(compressor.TryCompress(text, (VolumeCompression)compression, history, out _, out _));
    }

    [Fact]
    public void TryCompress_RepetitionThatNoSampleShows_IsFoundAfterAFew()
    {
        using var compressor = new FrameCompressor();
        var history = new CompressionHistory();
        history.Record(shrank: false);
        var half = SampleData.Noise(32 << 10, 1);
        byte[] twice = [.. half, .. half];

        var missed = 0;
        while (!compressor.TryCompress(twice, VolumeCompression.Lz4, history, out _, out _)) missed++;

        Assert.InRange(missed, 1, CompressionHistory.RetryInterval);
    }

    /// <summary>What a build gives must not depend on what the process built before: a simulation repeats itself byte by byte.</summary>
    [Theory]
    [InlineData((int)VolumeCompression.Lz4)]
    [InlineData((int)VolumeCompression.Zstd)]
    public void TryCompress_UsedBefore_GivesTheSameBytes(int compression)
    {
        using var used = new FrameCompressor();
        var random = new Random(5);
        for (var i = 0; i < 300; i++)
        {
            var plain = SampleData.Text(512 * random.Next(1, 257), i);
            using var fresh = new FrameCompressor();

            Assert.True(used.TryCompress(plain, (VolumeCompression)compression, new CompressionHistory(), out _, out var stored));
            Assert.True(fresh.TryCompress(plain, (VolumeCompression)compression, new CompressionHistory(), out _, out var expected));

            Assert.Equal(expected, stored);
        }
    }

    [Theory]
    [InlineData((int)VolumeCompression.Lz4)]
    [InlineData((int)VolumeCompression.Zstd)]
    public void TryCompress_Warm_AllocatesNothing(int compression)
    {
        using var compressor = new FrameCompressor();
        var history = new CompressionHistory();
        byte[][] frames = [SampleData.Text(4096, 1), SampleData.Text(FrameBytes, 2), SampleData.Noise(FrameBytes, 3), SampleData.Noise(4096, 4)];

        Assert.Equal(0, Allocations.Least(() =>
        {
            foreach (var frame in frames) compressor.TryCompress(frame, (VolumeCompression)compression, history, out _, out _);
        }));
    }
}
