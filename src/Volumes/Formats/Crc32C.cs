using System.Numerics;
using System.Runtime.InteropServices;

namespace Gateway.Volumes.Formats;

/// <summary>CRC-32C (Castagnoli, RFC 3720 appendix B.4): initial value and final XOR are all ones.</summary>
public static class Crc32C
{
    /// <summary>The checksum of <paramref name="data"/>, or of what <paramref name="seed"/> covered followed by it.</summary>
    /// <param name="data">The bytes.</param>
    /// <param name="seed">0, or the checksum of the bytes that come before.</param>
    public static uint Compute(ReadOnlySpan<byte> data, uint seed = 0)
    {
        var crc = ~seed;
        var words = MemoryMarshal.Cast<byte, ulong>(data);
        foreach (var word in words) crc = BitOperations.Crc32C(crc, word);
        foreach (var b in data[(words.Length * sizeof(ulong))..]) crc = BitOperations.Crc32C(crc, b);
        return ~crc;
    }
}
