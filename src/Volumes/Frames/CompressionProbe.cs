using K4os.Compression.LZ4;

namespace Gateway.Volumes.Frames;

/// <summary>Guesses from a few samples whether compressing a frame would pay. Allocates nothing.</summary>
internal static class CompressionProbe
{
    /// <summary>Frames below this are not sampled: to look costs as much as to compress.</summary>
    public const int FrameMinBytes = 32 << 10;

    public const int SampleBytes = 4 << 10;

    private const int Samples = 2;

    /// <summary>True if a sample of <paramref name="plain"/> shrinks. Sees repetition within 4 KiB, and with <paramref name="entropy"/> also a skewed distribution of bytes.</summary>
    public static bool Pays(ReadOnlySpan<byte> plain, bool entropy)
    {
        Span<byte> room = stackalloc byte[SampleBytes - (SampleBytes / FrameCompressor.PaysFraction)];
        for (var i = 1; i <= Samples; i++)
        {
            // At a third and two thirds: what stands at the start of a file is often more regular than the rest.
            var sample = plain.Slice((plain.Length / (Samples + 1) * i) - (SampleBytes / 2), SampleBytes);
            if (LZ4Codec.Encode(sample, room) > 0 || (entropy && IsSkewed(sample))) return true;
        }

        return false;
    }

    /// <summary>
    /// True if the bytes' collision entropy is below 7.5 bits. It is never above Shannon's, and that is what an entropy coder comes close
    /// to: at 7.5 bits it saves a sixteenth.
    /// </summary>
    private static bool IsSkewed(ReadOnlySpan<byte> sample)
    {
        const int InverseCollisionRate = 181; // 2 to the power of 7.5.
        Span<ushort> counts = stackalloc ushort[256];
        counts.Clear();
        foreach (var b in sample) counts[b]++;
        long collisions = 0;
        foreach (var count in counts) collisions += count * (count - 1L);
        return collisions * InverseCollisionRate > (long)sample.Length * (sample.Length - 1);
    }
}
