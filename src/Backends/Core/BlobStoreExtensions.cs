namespace Gateway.Backends.Core;

/// <summary>Reads that must come out whole, over any <see cref="IBlobStore"/>.</summary>
public static class BlobStoreExtensions
{
    /// <summary>Most blobs that are read whole are small: their first read asks for no more than this.</summary>
    private const int FirstReadBytesMax = 64 << 10;

    /// <summary>Fills all of <paramref name="destination"/> from <paramref name="offsetBytes"/> into the blob.</summary>
    /// <exception cref="BlobStoreException">
    /// <see cref="BlobErrorKind.Corrupt"/> if the blob ends before the destination is full; any kind of <see cref="IBlobStore.ReadAsync"/>.
    /// </exception>
    public static async ValueTask ReadExactlyAsync(
        this IBlobStore store, BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        var read = await store.ReadAsync(key, offsetBytes, destination, cancellationToken);
        if (read != destination.Length)
            throw new BlobStoreException(BlobErrorKind.Corrupt,
                $"{store.Description}: blob '{key}' ends at {offsetBytes + read} bytes, but bytes up to {offsetBytes + destination.Length} were asked for.");
    }

    /// <summary>The whole blob, of one version of it; in one request if it is shorter than 64 KiB, else in three.</summary>
    /// <param name="store">The store.</param>
    /// <param name="key">The blob.</param>
    /// <param name="maxBytes">The longest that the blob can rightly be; bounds what is allocated.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="BlobStoreException">
    /// <see cref="BlobErrorKind.Corrupt"/> if the blob is longer than <paramref name="maxBytes"/> or gets shorter while it is read;
    /// any kind of <see cref="IBlobStore.ReadAsync"/>.
    /// </exception>
    public static async ValueTask<byte[]> ReadWholeAsync(this IBlobStore store, BlobKey key, int maxBytes, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maxBytes);
        // One byte more than allowed: a full buffer then means that the blob goes on.
        var first = new byte[(int)Math.Min(maxBytes + 1L, FirstReadBytesMax)];
        var read = await store.ReadAsync(key, 0, first, cancellationToken);
        if (read < first.Length) return first[..read];

        var length = await store.GetLengthAsync(key, cancellationToken)
            ?? throw new BlobStoreException(BlobErrorKind.NotFound, $"{store.Description}: blob '{key}' was removed while it was read.");
        if (length > maxBytes)
            throw new BlobStoreException(BlobErrorKind.Corrupt, $"{store.Description}: blob '{key}' is {length} bytes long; {maxBytes} is the most it can rightly be.");
        // Again from the start: only what came in one request is of one version, should the blob be replaced meanwhile.
        var whole = new byte[length];
        if (await store.ReadAsync(key, 0, whole, cancellationToken) != length)
            throw new BlobStoreException(BlobErrorKind.Corrupt, $"{store.Description}: blob '{key}' was {length} bytes long, and is shorter when read.");
        return whole;
    }
}
