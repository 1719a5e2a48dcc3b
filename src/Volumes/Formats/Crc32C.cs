using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Gateway.Volumes.Formats;

/// <summary>CRC-32C (Castagnoli, RFC 3720 appendix B.4): initial value and final XOR are all ones.</summary>
/// <remarks>
/// The processor's instruction takes 8 bytes and three cycles, but one can start in every cycle: so a long run is cut into three lanes that
/// are summed side by side and joined. A sum moves over n bytes of zeroes by a multiplication with x^8n modulo the polynomial; carry-less
/// multiplication and the instruction itself, which reduces, do that (V. Gopal et al., "Fast CRC computation for iSCSI polynomial using CRC32
/// instruction", Intel, 2011).
/// </remarks>
public static class Crc32C
{
    private const uint Polynomial = 0x82F6_3B78; // Bit-reflected: the lowest bit is the coefficient of x^31.

    // Words of one lane: three of the long ones are 4,080 bytes, nearly a 4 KiB block; the short ones take what a long triple leaves.
    private const int LongLaneWords = 170;
    private const int ShortLaneWords = 16;

    private static readonly Vector128<ulong> LongShifts = Shifts(LongLaneWords);
    private static readonly Vector128<ulong> ShortShifts = Shifts(ShortLaneWords);

    /// <summary>The checksum of <paramref name="data"/>, or of what <paramref name="seed"/> covered followed by it.</summary>
    /// <param name="data">The bytes.</param>
    /// <param name="seed">0, or the checksum of the bytes that come before.</param>
    public static uint Compute(ReadOnlySpan<byte> data, uint seed = 0)
    {
        var crc = ~seed;
        var words = MemoryMarshal.Cast<byte, ulong>(data);
        if (Pclmulqdq.IsSupported)
        {
            while (words.Length >= 3 * LongLaneWords) crc = ComputeLanes(ref words, LongLaneWords, LongShifts, crc);
            while (words.Length >= 3 * ShortLaneWords) crc = ComputeLanes(ref words, ShortLaneWords, ShortShifts, crc);
        }

        foreach (var word in words) crc = BitOperations.Crc32C(crc, word);
        foreach (var b in data[(data.Length & -sizeof(ulong))..]) crc = BitOperations.Crc32C(crc, b);
        return ~crc;
    }

    /// <summary>Sums three lanes from the front of <paramref name="words"/>, and takes them off it.</summary>
    private static uint ComputeLanes(ref ReadOnlySpan<ulong> words, int laneWords, Vector128<ulong> shifts, uint crc)
    {
        var first = words[..laneWords];
        var second = words.Slice(laneWords, first.Length);
        var third = words.Slice(2 * laneWords, first.Length);
        uint middle = 0, last = 0;
        for (var i = 0; i < first.Length; i++)
        {
            crc = BitOperations.Crc32C(crc, first[i]);
            middle = BitOperations.Crc32C(middle, second[i]);
            last = BitOperations.Crc32C(last, third[i]);
        }

        words = words[(3 * laneWords)..];
        var moved = Pclmulqdq.CarrylessMultiply(Vector128.CreateScalar((ulong)crc), shifts, 0x00)
            ^ Pclmulqdq.CarrylessMultiply(Vector128.CreateScalar((ulong)middle), shifts, 0x10);
        return BitOperations.Crc32C(0, moved.ToScalar()) ^ last;
    }

    /// <summary>The factors that move a sum over two lanes (lower half) and over one (upper half).</summary>
    private static Vector128<ulong> Shifts(int laneWords) => Vector128.Create(PowerOfX(2 * laneWords * 64 - 33), (ulong)PowerOfX(laneWords * 64 - 33));

    /// <summary>x^n modulo the polynomial, reflected. 33 less than the distance: the product is one bit short, and its reduction adds 32.</summary>
    private static uint PowerOfX(int exponent)
    {
        var power = 0x8000_0000u; // x^0.
        for (var i = 0; i < exponent; i++) power = (power >> 1) ^ ((power & 1) != 0 ? Polynomial : 0);
        return power;
    }
}
