using Gateway.Volumes.Formats;
using K4os.Compression.LZ4;
using ZstdSharp;

namespace Gateway.Volumes.Frames;

/// <summary>Compresses the blocks of frames where it pays. One user at a time; allocates nothing once warm.</summary>
internal sealed class FrameCompressor : IDisposable
{
    /// <summary>Compression pays if it saves at least 1 / this of the blocks: less is not worth decompressing for.</summary>
    public const int PaysFraction = 16;

    /// <summary>Level 3 saves 2 to 6 % more and takes twice the time; level 1 is nearly as fast as LZ4.</summary>
    private const int ZstdLevel = 1;

    private readonly byte[] _room = GC.AllocateUninitializedArray<byte>(FrameHeader.PayloadMaxBytes);
    private Compressor? _zstd;

    /// <summary>Compresses <paramref name="plain"/>; false if that does not pay, or is not likely to.</summary>
    /// <param name="plain">The blocks, 128 KiB at most.</param>
    /// <param name="compression">How.</param>
    /// <param name="history">What became of the volume's frames before this one.</param>
    /// <param name="codec">How <paramref name="stored"/> is to be marked.</param>
    /// <param name="stored">The compressed bytes; good until the next call.</param>
    public bool TryCompress(ReadOnlySpan<byte> plain, VolumeCompression compression, CompressionHistory history, out FrameCodec codec, out ReadOnlySpan<byte> stored)
    {
        codec = FrameCodec.None;
        stored = default;
        if (compression == VolumeCompression.None) return false;
        if (history.IsIncompressible && !history.IsRetryDue())
        {
            var promising = plain.Length >= CompressionProbe.FrameMinBytes && CompressionProbe.Pays(plain, entropy: compression == VolumeCompression.Zstd);
            if (!promising) return false;
        }

        var length = Compress(plain, compression, _room.AsSpan(0, plain.Length - (plain.Length / PaysFraction)));
        history.Record(length > 0);
        if (length <= 0) return false;
        codec = compression == VolumeCompression.Zstd ? FrameCodec.Zstd : FrameCodec.Lz4;
        stored = _room.AsSpan(0, length);
        return true;
    }

    public void Dispose() => _zstd?.Dispose();

    /// <summary>The compressed length, or 0 or less if <paramref name="room"/> does not suffice.</summary>
    private int Compress(ReadOnlySpan<byte> plain, VolumeCompression compression, Span<byte> room)
    {
        if (compression == VolumeCompression.Lz4) return LZ4Codec.Encode(plain, room);
        _zstd ??= new Compressor(ZstdLevel);
        return _zstd.TryWrap(plain, room, out var length) ? length : 0;
    }
}
