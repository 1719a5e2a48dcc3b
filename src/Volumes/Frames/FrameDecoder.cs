using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using K4os.Compression.LZ4;
using ZstdSharp;

namespace Gateway.Volumes.Frames;

/// <summary>Proves frames and turns them back into blocks. Thread safe; allocates nothing once warm.</summary>
/// <remarks>
/// A frame comes from the bucket, so none of it is trusted. The length of the blocks follows from their number and is bounded before
/// anything is decompressed; a codec that wants to write more, writes less, or fails, means a corrupt frame. Both checksums are checked:
/// that of what is stored, so that decompression normally sees only what was written, and that of the blocks that come out.
/// </remarks>
internal static class FrameDecoder
{
    private const int ContextsKept = 8; // About 160 KiB each.

    private static readonly BoundedPool<Decompressor> Contexts = new(() => new Decompressor(), ContextsKept);

    /// <summary>Checks a whole frame and writes its blocks to <paramref name="destination"/>; false if any check fails.</summary>
    /// <param name="frame">The frame, with or without the padding behind it (up to 15 bytes, which are not looked at).</param>
    /// <param name="seed">Its segment's <see cref="FrameHeader.Seed"/>.</param>
    /// <param name="blockLengthBytes">Logical block length of the volume.</param>
    /// <param name="destination">Room for the blocks, 128 KiB at most; must not overlap the frame. After a failure its content is undefined.</param>
    /// <param name="header">What the frame says of itself. The caller checks that these are the blocks it wanted.</param>
    /// <exception cref="ArgumentException">A sound frame holds more than <paramref name="destination"/> has room for.</exception>
    public static bool TryDecode(ReadOnlySpan<byte> frame, uint seed, int blockLengthBytes, Span<byte> destination, out FrameHeader header)
    {
        if (!TryCheck(frame, seed, blockLengthBytes, out header)) return false;
        var payload = Payload(frame, header);
        var length = PlainLength(header, blockLengthBytes);
        if (length > destination.Length) throw new ArgumentException($"The frame's {length} bytes do not fit into {destination.Length}.", nameof(destination));
        return TryExpand(header, payload, destination[..length]);
    }

    /// <summary>
    /// Checks a whole frame and gives its blocks; false if any check fails. Those of a frame stored as it is are a part of
    /// <paramref name="frame"/> itself, others are in new memory.
    /// </summary>
    public static bool TryDecode(ReadOnlyMemory<byte> frame, uint seed, int blockLengthBytes, out ReadOnlyMemory<byte> blocks, out FrameHeader header)
    {
        blocks = default;
        if (!TryCheck(frame.Span, seed, blockLengthBytes, out header)) return false;
        if (header.Codec == FrameCodec.None)
        {
            blocks = frame.Slice(FrameHeader.HeaderLengthBytes, header.StoredLengthBytes);
            return true;
        }

        var plain = GC.AllocateUninitializedArray<byte>(PlainLength(header, blockLengthBytes));
        blocks = plain;
        return TryExpand(header, Payload(frame.Span, header), plain);
    }

    /// <summary>
    /// Checks a whole frame and gives its blocks; false if any check fails. Those of a frame stored as it is are a part of
    /// <paramref name="frame"/> itself, others are in <paramref name="scratch"/>, 128 KiB, which must not overlap the frame.
    /// </summary>
    public static bool TryDecode(ReadOnlySpan<byte> frame, uint seed, int blockLengthBytes, Span<byte> scratch, out ReadOnlySpan<byte> blocks, out FrameHeader header)
    {
        blocks = default;
        if (!TryCheck(frame, seed, blockLengthBytes, out header)) return false;
        var payload = Payload(frame, header);
        if (header.Codec == FrameCodec.None)
        {
            blocks = payload;
            return true;
        }

        var plain = scratch[..PlainLength(header, blockLengthBytes)];
        blocks = plain;
        return TryExpand(header, payload, plain);
    }

    /// <summary>
    /// Checks all of a frame that can be checked without decompressing it: header, lengths, and the stored payload. Afterwards
    /// <see cref="PlainLength"/> is at most 128 KiB.
    /// </summary>
    public static bool TryCheck(ReadOnlySpan<byte> frame, uint seed, int blockLengthBytes, out FrameHeader header)
    {
        if (!FrameHeader.TryRead(frame, seed, out header)) return false;
        var plainLength = header.Blocks * (long)blockLengthBytes;
        var padding = frame.Length - FrameHeader.HeaderLengthBytes - (long)header.StoredLengthBytes;
        var possible = plainLength is > 0 and <= FrameHeader.PayloadMaxBytes && header.StoredLengthBytes > 0 && padding is >= 0 and < FrameHeader.AlignmentBytes
            && header.Codec switch
            {
                FrameCodec.None => header.StoredLengthBytes == plainLength && header.StoredCrc == header.PlainCrc,
                FrameCodec.Lz4 or FrameCodec.Zstd => header.StoredLengthBytes < plainLength,
                _ => false,
            };
        return possible && (Mutation.FrameUnchecked || Crc32C.Compute(Payload(frame, header)) == header.StoredCrc);
    }

    /// <summary>Bytes of the blocks of a frame that passed <see cref="TryCheck"/>.</summary>
    public static int PlainLength(in FrameHeader header, int blockLengthBytes) => (int)header.Blocks * blockLengthBytes;

    /// <summary>Decompresses exactly <paramref name="plain"/>; false if that is not what comes out.</summary>
    /// <remarks>Safe for any bytes: the tests feed it the worst they can think of, between pages that must not be touched.</remarks>
    internal static bool TryDecompress(FrameCodec codec, ReadOnlySpan<byte> stored, Span<byte> plain) => codec switch
    {
        FrameCodec.Lz4 => LZ4Codec.Decode(stored, plain) == plain.Length,
        FrameCodec.Zstd => TryDecompressZstd(stored, plain),
        _ => false,
    };

    private static ReadOnlySpan<byte> Payload(ReadOnlySpan<byte> frame, scoped in FrameHeader header) =>
        frame.Slice(FrameHeader.HeaderLengthBytes, header.StoredLengthBytes);

    private static bool TryExpand(in FrameHeader header, ReadOnlySpan<byte> payload, Span<byte> plain)
    {
        if (header.Codec != FrameCodec.None) return TryDecompress(header.Codec, payload, plain) && Crc32C.Compute(plain) == header.PlainCrc;
        payload.CopyTo(plain);
        return true;
    }

    private static bool TryDecompressZstd(ReadOnlySpan<byte> stored, Span<byte> plain)
    {
        var context = Contexts.Rent();
        try
        {
            var whole = context.TryUnwrap(stored, plain, out var length) && length == plain.Length;
            Contexts.Return(context);
            return whole;
        }
        catch (ZstdException)
        {
            context.Dispose(); // Whatever state it is in now, nobody inherits it.
            return false;
        }
    }
}
