namespace Gateway.Volumes.Frames;

/// <summary>Finds zeroes that need not be stored.</summary>
internal static class ZeroRuns
{
    /// <summary>Shortest run that is taken out of the middle of data: a shorter one is not worth an index entry, and hardly ever there by itself.</summary>
    public const int RunMinBytes = 4096;

    /// <summary>
    /// Finds the first run of zeroes from <paramref name="from"/> on that is at least 4 KiB long, or is all of <paramref name="blocks"/>.
    /// Runs begin and end at multiples of 4 KiB of the volume, or at the ends of <paramref name="blocks"/>.
    /// </summary>
    /// <param name="blocks">Whole blocks.</param>
    /// <param name="misalignment">Bytes by which they start after a multiple of 4 KiB of the volume.</param>
    /// <param name="from">0, or where the run found before ended.</param>
    public static bool TryFind(ReadOnlySpan<byte> blocks, int misalignment, int from, out int start, out int lengthBytes)
    {
        start = from;
        for (int at = from, next; at < blocks.Length; at = next)
        {
            next = Math.Min(blocks.Length, at + RunMinBytes - ((misalignment + at) % RunMinBytes));
            if (!blocks[at..next].ContainsAnyExcept((byte)0)) continue;
            if (at - start >= RunMinBytes)
            {
                lengthBytes = at - start;
                return true;
            }

            start = next;
        }

        lengthBytes = blocks.Length - start;
        return lengthBytes >= RunMinBytes || (lengthBytes > 0 && lengthBytes == blocks.Length);
    }
}
