using System.Numerics;
using System.Runtime.InteropServices;

namespace Gateway.Backends.S3;

/// <summary>CRC-32C (Castagnoli, RFC 3720 appendix B.4) of a body, as x-amz-checksum-crc32c wants it.</summary>
internal static class ContentChecksum
{
    public static uint Crc32C(ReadOnlySpan<byte> content)
    {
        var crc = ~0u;
        var words = MemoryMarshal.Cast<byte, ulong>(content);
        foreach (var word in words) crc = BitOperations.Crc32C(crc, word);
        foreach (var b in content[(words.Length * sizeof(ulong))..]) crc = BitOperations.Crc32C(crc, b);
        return ~crc;
    }
}
