using System.Runtime.InteropServices;

namespace Gateway.Bench;

/// <summary>A fast, seeded source of numbers for addresses and data (xorshift64*). Not for anything that must not be guessed.</summary>
internal struct FastRandom(ulong seed)
{
    private ulong _state = (seed + 1) * 0x9E37_79B9_7F4A_7C15;

    public ulong Next()
    {
        _state ^= _state >> 12;
        _state ^= _state << 25;
        _state ^= _state >> 27;
        return _state * 0x2545_F491_4F6C_DD1D;
    }

    /// <summary>A number from 0 to below <paramref name="limit"/>.</summary>
    public ulong Next(ulong limit) => Math.BigMul(Next(), limit, out _);

    /// <summary>Fills a span with bytes that do not compress. Its length is a multiple of 8.</summary>
    public void Fill(Span<byte> bytes)
    {
        foreach (ref var word in MemoryMarshal.Cast<byte, ulong>(bytes)) word = Next();
    }
}
