using Gateway.Backends.Core;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Volumes.Formats;

/// <summary>How a frame's payload is stored.</summary>
internal enum FrameCodec : byte
{
    /// <summary>As it is.</summary>
    None = 0,

    /// <summary>One LZ4 block (LZ4 block format, without a frame around it).</summary>
    Lz4 = 1,

    /// <summary>One Zstandard frame (RFC 8878), without a dictionary.</summary>
    Zstd = 2,
}

/// <summary>The 32 bytes before a frame's payload. They make a frame self-describing, so that one ranged read fetches and proves it.</summary>
/// <param name="Lba">First logical block.</param>
/// <param name="Blocks">Number of blocks.</param>
/// <param name="Codec">How the payload is stored.</param>
/// <param name="StoredLengthBytes">Length of the stored payload.</param>
/// <param name="StoredCrc">CRC-32C of the stored payload.</param>
/// <param name="PlainCrc">CRC-32C of the blocks themselves; equal to <paramref name="StoredCrc"/> when stored raw.</param>
internal readonly record struct FrameHeader(ulong Lba, uint Blocks, FrameCodec Codec, int StoredLengthBytes, uint StoredCrc, uint PlainCrc)
{
    public const int HeaderLengthBytes = 32;
    public const int AlignmentBytes = 16;

    /// <summary>Most bytes of blocks that one frame holds: 128 KiB.</summary>
    public const int PayloadMaxBytes = 128 << 10;

    public const int FrameLengthMaxBytes = HeaderLengthBytes + PayloadMaxBytes;

    /// <summary>Length of header and payload, without the padding behind them.</summary>
    public int FrameLengthBytes => HeaderLengthBytes + StoredLengthBytes;

    /// <summary>What a frame of that length takes in a segment: rounded up to a multiple of 16.</summary>
    public static int PaddedLength(int frameLengthBytes) => (frameLengthBytes + AlignmentBytes - 1) & -AlignmentBytes;

    /// <summary>The header's checksum starts from its segment's identity, so that a frame of another segment never passes.</summary>
    public static uint Seed(Guid volumeId, SegmentId id)
    {
        Span<byte> identity = stackalloc byte[32];
        volumeId.TryWriteBytes(identity, bigEndian: true, out _);
        WriteInt64LittleEndian(identity[16..], id.Epoch);
        WriteInt64LittleEndian(identity[24..], id.Sequence);
        return Crc32C.Compute(identity);
    }

    public void WriteTo(Span<byte> frame, uint seed)
    {
        frame = frame[..HeaderLengthBytes];
        frame.Clear();
        WriteUInt64LittleEndian(frame, Lba);
        WriteUInt32LittleEndian(frame[8..], Blocks);
        frame[12] = (byte)Codec;
        WriteInt32LittleEndian(frame[16..], StoredLengthBytes);
        WriteUInt32LittleEndian(frame[20..], StoredCrc);
        WriteUInt32LittleEndian(frame[24..], PlainCrc);
        WriteUInt32LittleEndian(frame[28..], Crc32C.Compute(frame[..28], seed));
    }

    /// <summary>Decodes a header whose own checksum holds; what it says is not checked any further. False also if it sets a flag.</summary>
    public static bool TryRead(ReadOnlySpan<byte> frame, uint seed, out FrameHeader header)
    {
        header = default;
        if (frame.Length < HeaderLengthBytes || ReadUInt32LittleEndian(frame[28..]) != Crc32C.Compute(frame[..28], seed)) return false;
        if (frame[13] != 0) return false; // Flags, none of which is known.
        header = new FrameHeader(
            ReadUInt64LittleEndian(frame),
            ReadUInt32LittleEndian(frame[8..]),
            (FrameCodec)frame[12],
            ReadInt32LittleEndian(frame[16..]),
            ReadUInt32LittleEndian(frame[20..]),
            ReadUInt32LittleEndian(frame[24..]));
        return true;
    }
}
