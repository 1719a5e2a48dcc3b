using Gateway.Backends.Core;
using Gateway.Tests.Shared;
using Gateway.Tests.Shared.Interop;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Frames;
using Xunit;

namespace Gateway.Volumes.Tests.Frames;

public class FrameDecoderTests
{
    private const int BlockBytes = 512;

    private static readonly uint Seed = FrameHeader.Seed(Guid.Parse("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"), new SegmentId(3, 9));

    public static TheoryData<int> Codecs => [(int)VolumeCompression.None, (int)VolumeCompression.Lz4, (int)VolumeCompression.Zstd];

    public static TheoryData<int> Compressing => [(int)VolumeCompression.Lz4, (int)VolumeCompression.Zstd];

    [Theory]
    [MemberData(nameof(Codecs))]
    public void TryDecode_SoundFrame_GivesItsBlocks(int codec)
    {
        foreach (var length in new[] { BlockBytes, 4096, 5 * BlockBytes, 64 << 10, FrameHeader.PayloadMaxBytes })
        {
            var plain = SampleData.Text(length, seed: length);
            var frame = NewFrame((VolumeCompression)codec, plain);
            var blocks = new byte[FrameHeader.PayloadMaxBytes];

            Assert.True(FrameDecoder.TryDecode(frame, Seed, BlockBytes, blocks, out var header));
            Assert.True(FrameDecoder.TryDecode(frame.AsMemory(), Seed, BlockBytes, out var own, out _));

            Assert.Equal(100u, header.Lba);
            Assert.Equal((uint)(length / BlockBytes), header.Blocks);
            Assert.Equal(plain, blocks.AsSpan(0, length));
            Assert.Equal(plain, own.Span);
        }
    }

    [Theory]
    [MemberData(nameof(Codecs))]
    public void TryDecode_PaddingBehindTheFrame_IsNotLookedAt(int codec)
    {
        var plain = SampleData.Text(4096, seed: 1);
        var frame = NewFrame((VolumeCompression)codec, plain);

        for (var padding = 0; padding <= 16; padding++)
        {
            var padded = frame.Concat(Enumerable.Repeat((byte)0xCC, padding)).ToArray();

            var sound = FrameDecoder.TryDecode(padded.AsMemory(), Seed, BlockBytes, out var blocks, out _);

            Assert.Equal(padding < FrameHeader.AlignmentBytes, sound);
            if (sound) Assert.Equal(plain, blocks.Span);
        }
    }

    [Theory]
    [MemberData(nameof(Codecs))]
    public void TryDecode_AnyByteChangedOrCut_IsRefused(int codec)
    {
        var frame = NewFrame((VolumeCompression)codec, SampleData.Text(8 * BlockBytes, seed: 2));
        var blocks = new byte[8 * BlockBytes];

        for (var i = 0; i < frame.Length; i++)
        {
            frame[i] ^= 0x20;
            Assert.False(FrameDecoder.TryDecode(frame, Seed, BlockBytes, blocks, out _));
            frame[i] ^= 0x20;
            Assert.False(FrameDecoder.TryDecode(frame.AsSpan(0, i), Seed, BlockBytes, blocks, out _));
        }

        Assert.True(FrameDecoder.TryDecode(frame, Seed, BlockBytes, blocks, out _));
        Assert.False(FrameDecoder.TryDecode(frame, Seed + 1, BlockBytes, blocks, out _));
    }

    [Theory]
    [InlineData(12, 3)] // An unknown codec.
    [InlineData(13, 1)] // A flag.
    public void TryDecode_HeaderOfALaterVersion_IsRefused(int offset, byte value)
    {
        var frame = NewFrame(VolumeCompression.Lz4, SampleData.Text(4096, seed: 3));
        frame[offset] = value;
        Reseal(frame);

        Assert.False(FrameDecoder.TryDecode(frame.AsMemory(), Seed, BlockBytes, out _, out _));
    }

    [Theory]
    [MemberData(nameof(Compressing))]
    public void TryDecode_FrameThatHoldsMoreOrLessThanItSays_IsRefused(int codec)
    {
        var plain = SampleData.Text(16 * BlockBytes, seed: 4);
        var sound = NewFrame((VolumeCompression)codec, plain);
        Assert.True(FrameHeader.TryRead(sound, Seed, out var header));

        foreach (var blocks in new uint[] { 0, 1, 15, 17, 256, 257, 0x800000, uint.MaxValue })
        {
            var frame = (byte[])sound.Clone();
            (header with { Blocks = blocks, PlainCrc = Crc32C.Compute(new byte[(int)Math.Min(blocks, 256) * BlockBytes]) }).WriteTo(frame, Seed);
            Assert.False(FrameDecoder.TryDecode(frame.AsMemory(), Seed, BlockBytes, out _, out _), $"{blocks} blocks");
        }
    }

    /// <summary>What decodes to other blocks than were written, by a fault of the codec or of whoever made the frame, is not handed out.</summary>
    [Theory]
    [MemberData(nameof(Compressing))]
    public void TryDecode_SoundPayloadOfOtherBlocks_IsRefused(int codec)
    {
        var frame = NewFrame((VolumeCompression)codec, SampleData.Text(4096, seed: 4));
        var other = NewFrame((VolumeCompression)codec, SampleData.Text(4096, seed: 5));
        Assert.True(FrameHeader.TryRead(frame, Seed, out var header));
        Assert.True(FrameHeader.TryRead(other, Seed, out var otherHeader));

        (otherHeader with { PlainCrc = header.PlainCrc }).WriteTo(other, Seed);

        Assert.True(FrameDecoder.TryCheck(other, Seed, BlockBytes, out _));
        Assert.False(FrameDecoder.TryDecode(other.AsMemory(), Seed, BlockBytes, out _, out _));
        Assert.False(FrameDecoder.TryDecode(other, Seed, BlockBytes, new byte[4096], out _));
    }

    [Fact]
    public void TryDecode_ImpossibleStoredLengths_AreRefused()
    {
        var frame = NewFrame(VolumeCompression.None, SampleData.Noise(4096, seed: 5));
        Assert.True(FrameHeader.TryRead(frame, Seed, out var header));

        foreach (var length in new[] { int.MinValue, -1, 0, 1, 4095, 4097, int.MaxValue - 31, int.MaxValue })
        {
            foreach (var codec in new[] { FrameCodec.None, FrameCodec.Lz4, FrameCodec.Zstd })
            {
                (header with { StoredLengthBytes = length, Codec = codec }).WriteTo(frame, Seed);
                Assert.False(FrameDecoder.TryDecode(frame.AsMemory(), Seed, BlockBytes, out _, out _), $"{length} bytes, {codec}");
            }
        }
    }

    /// <summary>
    /// Whatever the bytes are, a codec reads nothing but its input and writes nothing but its output: both stand against pages that kill
    /// the process when they are touched, at one end and then at the other.
    /// </summary>
    [Theory]
    [MemberData(nameof(Compressing))]
    public void TryDecompress_HostileBytes_StaysInBounds(int codec)
    {
        const int Iterations = 30_000;
        var frameCodec = codec == (int)VolumeCompression.Lz4 ? FrameCodec.Lz4 : FrameCodec.Zstd;
        var random = new Random(7);
        using var input = new GuardedMemory(FrameHeader.PayloadMaxBytes);
        using var output = new GuardedMemory(FrameHeader.PayloadMaxBytes);
        using var compressor = new FrameCompressor();
        byte[][] plains = [SampleData.Text(512, 1), SampleData.Text(4096, 2), SampleData.SixBits(4096, 3), SampleData.Text(64 << 10, 4), new byte[FrameHeader.PayloadMaxBytes], Mixed(32 << 10)];
        var decoded = 0;
        for (var i = 0; i < Iterations; i++)
        {
            var plain = plains[random.Next(plains.Length)];
            var hostile = Mutate(Compress(compressor, (VolumeCompression)codec, plain), random);
            var room = random.Next(4) == 0 ? random.Next(1, FrameHeader.PayloadMaxBytes + 1) : plain.Length;
            var stored = i % 2 == 0 ? input.AtEnd(hostile.Length) : input.AtStart(hostile.Length);
            var target = i % 2 == 0 ? output.AtEnd(room) : output.AtStart(room);
            hostile.CopyTo(stored);
            if (FrameDecoder.TryDecompress(frameCodec, stored, target)) decoded++;
        }

        Assert.True(decoded > 0); // A flipped literal still decodes: that is what the checksum of the blocks is for.
    }

    [Theory]
    [MemberData(nameof(Compressing))]
    public void TryDecompress_AfterHostileBytes_StillDecodesSoundOnes(int codec)
    {
        var frameCodec = codec == (int)VolumeCompression.Lz4 ? FrameCodec.Lz4 : FrameCodec.Zstd;
        var random = new Random(8);
        using var compressor = new FrameCompressor();
        var plain = SampleData.Text(16 << 10, 5);
        var sound = Compress(compressor, (VolumeCompression)codec, plain);
        var room = new byte[plain.Length];
        for (var i = 0; i < 2_000; i++)
        {
            _ = FrameDecoder.TryDecompress(frameCodec, Mutate(sound, random), room);
            Assert.True(FrameDecoder.TryDecompress(frameCodec, sound, room));
            Assert.Equal(plain, room);
        }
    }

    [Theory]
    [MemberData(nameof(Codecs))]
    public void TryDecode_Warm_AllocatesNothing(int codec)
    {
        var frame = NewFrame((VolumeCompression)codec, SampleData.Text(64 << 10, seed: 6));
        var blocks = new byte[64 << 10];

        Assert.Equal(0, Allocations.Least(() => FrameDecoder.TryDecode(frame, Seed, BlockBytes, blocks, out _)));
    }

    private static byte[] NewFrame(VolumeCompression compression, byte[] plain)
    {
        using var compressor = new FrameCompressor();
        var codec = FrameCodec.None;
        ReadOnlySpan<byte> stored = plain;
        if (compression != VolumeCompression.None) Assert.True(compressor.TryCompress(plain, compression, new CompressionHistory(), out codec, out stored));
        var frame = new byte[FrameHeader.HeaderLengthBytes + stored.Length];
        stored.CopyTo(frame.AsSpan(FrameHeader.HeaderLengthBytes));
        new FrameHeader(100, (uint)(plain.Length / BlockBytes), codec, stored.Length, Crc32C.Compute(stored), Crc32C.Compute(plain)).WriteTo(frame, Seed);
        return frame;
    }

    private static void Reseal(Span<byte> frame) =>
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32LittleEndian(frame[28..], Crc32C.Compute(frame[..28], Seed));

    private static byte[] Compress(FrameCompressor compressor, VolumeCompression compression, byte[] plain) =>
        compressor.TryCompress(plain, compression, new CompressionHistory(), out _, out var stored) ? stored.ToArray() : SampleData.Noise(plain.Length / 2, 9);

    private static byte[] Mixed(int lengthBytes) => [.. SampleData.Noise(lengthBytes / 4, 10), .. SampleData.Text(lengthBytes / 4, 11), .. new byte[lengthBytes / 4], .. SampleData.SixBits(lengthBytes / 4, 12)];

    private static byte[] Mutate(byte[] sound, Random random)
    {
        switch (random.Next(6))
        {
            case 0: // Noise of any length, behind the start of something sound.
                var noise = new byte[random.Next(1, 2048)];
                random.NextBytes(noise);
                sound.AsSpan(0, Math.Min(random.Next(16), Math.Min(sound.Length, noise.Length))).CopyTo(noise);
                return noise;
            case 1: // Cut.
                return sound[..random.Next(1, sound.Length + 1)];
            case 2: // Continued.
                var tail = new byte[random.Next(1, 64)];
                random.NextBytes(tail);
                return [.. sound, .. tail];
            case 3: // A stretch of one value: endless lengths, far offsets.
                var flat = (byte[])sound.Clone();
                var start = random.Next(flat.Length);
                flat.AsSpan(start, random.Next(flat.Length - start)).Fill(random.Next(2) == 0 ? (byte)0xFF : (byte)0);
                return flat;
            default: // A few bytes, often among the first, where headers and tables are.
                var changed = (byte[])sound.Clone();
                for (var i = random.Next(1, 5); i > 0; i--)
                    changed[random.Next(2) == 0 ? random.Next(changed.Length) : random.Next(Math.Min(changed.Length, 64))] = (byte)random.Next(256);
                return changed;
        }
    }
}
