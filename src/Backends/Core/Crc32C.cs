using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Gateway.Backends.Core;

/// <summary>CRC-32C (Castagnoli, RFC 3720 appendix B.4): initial value and final XOR are all ones.</summary>
/// <remarks>
/// The processor's instruction (SSE 4.2, Arm CRC32; else a table of the runtime's) takes 8 bytes, and needs its last result only three cycles
/// later. So three streams run side by side and are joined by A B C = shift(shift(A) ^ B) ^ C, where shift appends as many zero bytes as a
/// stream has.
/// </remarks>
public static class Crc32C
{
    // Three of them leave 16 bytes of 4,096, and 8 of 512: the block lengths that there are.
    private const int LongStreamBytes = 1360;
    private const int ShortStreamBytes = 168;
    private const uint Polynomial = 0x82F63B78; // Bit-reversed.

    private static readonly uint[] LongShift = MakeShift(LongStreamBytes);
    private static readonly uint[] ShortShift = MakeShift(ShortStreamBytes);

    /// <summary>The checksum of <paramref name="data"/>, or of what <paramref name="seed"/> covered followed by it.</summary>
    /// <param name="data">The bytes.</param>
    /// <param name="seed">0, or the checksum of the bytes that come before.</param>
    public static uint Compute(ReadOnlySpan<byte> data, uint seed = 0)
    {
        var crc = ~seed;
        for (; data.Length >= 3 * LongStreamBytes; data = data[(3 * LongStreamBytes)..]) crc = Three(data[..(3 * LongStreamBytes)], crc, LongShift);
        for (; data.Length >= 3 * ShortStreamBytes; data = data[(3 * ShortStreamBytes)..]) crc = Three(data[..(3 * ShortStreamBytes)], crc, ShortShift);
        var words = MemoryMarshal.Cast<byte, ulong>(data);
        foreach (var word in words) crc = BitOperations.Crc32C(crc, word);
        foreach (var b in data[(words.Length * sizeof(ulong))..]) crc = BitOperations.Crc32C(crc, b);
        return ~crc;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Three(ReadOnlySpan<byte> data, uint crc, uint[] shift)
    {
        var words = MemoryMarshal.Cast<byte, ulong>(data);
        var length = words.Length / 3;
        var a = words[..length];
        var b = words.Slice(length, a.Length);
        var c = words.Slice(2 * length, a.Length);
        uint second = 0, third = 0;
        for (var i = 0; i < a.Length; i++)
        {
            crc = BitOperations.Crc32C(crc, a[i]);
            second = BitOperations.Crc32C(second, b[i]);
            third = BitOperations.Crc32C(third, c[i]);
        }

        return Shift(shift, Shift(shift, crc) ^ second) ^ third;
    }

    private static uint Shift(uint[] table, uint crc) =>
        table[crc & 0xFF] ^ table[256 + ((crc >> 8) & 0xFF)] ^ table[512 + ((crc >> 16) & 0xFF)] ^ table[768 + (crc >> 24)];

    /// <summary>What <paramref name="zeroBytes"/> zero bytes make of each value of each byte of a remainder: a linear map, so that the four add up.</summary>
    private static uint[] MakeShift(int zeroBytes)
    {
        Span<uint> ofBit = stackalloc uint[32];
        for (var bit = 0; bit < ofBit.Length; bit++)
        {
            var crc = 1u << bit;
            for (var i = 0; i < zeroBytes * 8; i++) crc = (crc >> 1) ^ ((crc & 1) * Polynomial);
            ofBit[bit] = crc;
        }

        var table = new uint[4 * 256];
        for (var i = 0; i < table.Length; i++)
            for (var bit = 0; bit < 8; bit++)
                if ((i >> bit & 1) != 0) table[i] ^= ofBit[(i / 256 * 8) + bit];
        return table;
    }
}
