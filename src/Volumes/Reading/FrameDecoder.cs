using Gateway.Volumes.Formats;

namespace Gateway.Volumes.Reading;

/// <summary>The one place where the stored bytes of a frame become blocks.</summary>
internal static class FrameDecoder
{
    /// <summary>Proves a frame and gives its blocks, from the first to the last; false if any check fails.</summary>
    /// <param name="stored">Header and payload, as they are in the segment.</param>
    /// <param name="seed">Seed of its segment's frames (<see cref="FrameHeader.Seed"/>).</param>
    /// <param name="blockLengthBytes">Logical block length.</param>
    /// <param name="firstLba">The block that the frame must start with.</param>
    /// <param name="blocks">The blocks; valid as long as <paramref name="stored"/>.</param>
    public static bool TryDecode(ReadOnlySpan<byte> stored, uint seed, int blockLengthBytes, ulong firstLba, out ReadOnlySpan<byte> blocks)
    {
        blocks = default;
        if (!FrameHeader.TryParse(stored, seed, blockLengthBytes, out var header) || header.Lba != firstLba) return false;
        blocks = stored[FrameHeader.HeaderLengthBytes..];
        return true;
    }
}
