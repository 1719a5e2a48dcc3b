namespace Gateway.Backends.Core;
public static class BlobStoreExtensions
{
    public static async ValueTask ReadExactlyAsync(this IBlobStore store, BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        var read = await store.ReadAsync(key, offsetBytes, destination, cancellationToken);
        if (read < destination.Length) throw new BlobStoreException(BlobErrorKind.Corrupt, $"Blob '{key}' ends at {offsetBytes + read} bytes, before it should.");
    }
    public static async ValueTask<byte[]> ReadWholeAsync(this IBlobStore store, BlobKey key, int lengthMaxBytes, CancellationToken cancellationToken)
    {
        var buffer = new byte[lengthMaxBytes + 1];
        var read = await store.ReadAsync(key, 0, buffer, cancellationToken);
        if (read > lengthMaxBytes) throw new BlobStoreException(BlobErrorKind.Corrupt, $"Blob '{key}' is longer than it can be.");
        return buffer[..read];
    }
}
