using Gateway.Volumes.Formats;

namespace Gateway.Volumes.Reading;

/// <summary>Buffers that ranges are fetched into, of two sizes, shared by all volumes of the process. Thread safe.</summary>
/// <remarks>
/// At most <see cref="SmallIdleMax"/> small and <see cref="LargeIdleMax"/> large ones (36 MiB together) are kept; what is returned beyond
/// that is left to the collector. Those in use are bounded by the requests that volumes have in flight.
/// </remarks>
internal static class RangeBuffers
{
    /// <summary>Most plain bytes of blocks in one range, 4 MiB: 32 of the longest frames, with their headers and a few gaps.</summary>
    public const int RangeBytesMax = 32 * (FrameHeader.FrameLengthMaxBytes + FrameHeader.AlignmentBytes);

    private const int SmallBytes = FrameHeader.FrameLengthMaxBytes + FrameHeader.AlignmentBytes;
    private const int SmallIdleMax = 32;
    private const int LargeIdleMax = 8;

    private static readonly Lock Gate = new();
    private static readonly Stack<byte[]> SmallIdle = new(SmallIdleMax);
    private static readonly Stack<byte[]> LargeIdle = new(LargeIdleMax);

    /// <summary>A buffer of at least <paramref name="lengthBytes"/> bytes, at most <see cref="RangeBytesMax"/>, that holds anything.</summary>
    public static byte[] Rent(int lengthBytes)
    {
        var isSmall = lengthBytes <= SmallBytes;
        lock (Gate)
        {
            if ((isSmall ? SmallIdle : LargeIdle).TryPop(out var buffer)) return buffer;
        }

        return GC.AllocateUninitializedArray<byte>(isSmall ? SmallBytes : Math.Max(lengthBytes, RangeBytesMax));
    }

    /// <summary>Takes a buffer back. Nobody may use it any more: not a request that was given up either.</summary>
    public static void Return(byte[] buffer)
    {
        lock (Gate)
        {
            if (buffer.Length == SmallBytes && SmallIdle.Count < SmallIdleMax) SmallIdle.Push(buffer);
            else if (buffer.Length == RangeBytesMax && LargeIdle.Count < LargeIdleMax) LargeIdle.Push(buffer);
        }
    }
}
