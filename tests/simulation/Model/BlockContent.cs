using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Gateway.Simulation.Model;

/// <summary>What a written block looks like: its bytes follow from the operation that wrote it and from its address, so that any block read back names its writer, whole or not at all.</summary>
internal enum ContentKind : byte
{
    /// <summary>Zeroes: unmapped, or written as such.</summary>
    Zero,

    /// <summary>Does not compress.</summary>
    Random,

    /// <summary>Compresses well.</summary>
    Repeating,
}

/// <summary>Makes and recognizes blocks.</summary>
internal static class BlockContent
{
    /// <summary>Fills one block.</summary>
    /// <param name="block">A multiple of 16 bytes.</param>
    /// <param name="tag">The operation, 1 or more.</param>
    /// <param name="kind">Not zero.</param>
    /// <param name="lba">The block's address.</param>
    public static void Fill(Span<byte> block, int tag, ContentKind kind, ulong lba)
    {
        var words = MemoryMarshal.Cast<byte, ulong>(block);
        var head = ((ulong)(uint)tag << 32) | (uint)lba;
        var state = (head ^ (ulong)kind) * 0x9E3779B97F4A7C15;
        for (var i = 0; i < words.Length; i++)
        {
            if (kind == ContentKind.Random || i < 2)
            {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
            }

            words[i] = state;
        }

        words[0] = head;
    }

    /// <summary>The tag that a block claims; 0 if its first word is zero.</summary>
    public static int TagOf(ReadOnlySpan<byte> block) => (int)(BinaryPrimitives.ReadUInt64LittleEndian(block) >> 32);

    /// <summary>True if the block is exactly what <see cref="Fill"/> makes; for tag 0: zeroes.</summary>
    public static bool Is(ReadOnlySpan<byte> block, int tag, ContentKind kind, ulong lba)
    {
        if (tag == 0) return !block.ContainsAnyExcept((byte)0);
        Span<byte> expected = stackalloc byte[block.Length];
        Fill(expected, tag, kind, lba);
        return block.SequenceEqual(expected);
    }
}
