using Gateway.Backends.Core;

namespace Gateway.Bench;

/// <summary>What was asked of a store. Attempts count, whether they succeed or not.</summary>
/// <param name="Puts">Blobs put.</param>
/// <param name="PutBytes">Their bytes.</param>
/// <param name="Gets">Reads.</param>
/// <param name="GetBytes">Bytes they returned.</param>
/// <param name="Others">Look-ups of a length, listings, deletes.</param>
internal readonly record struct StoreTraffic(long Puts, long PutBytes, long Gets, long GetBytes, long Others)
{
    public static StoreTraffic operator -(StoreTraffic left, StoreTraffic right) => new(
        left.Puts - right.Puts, left.PutBytes - right.PutBytes, left.Gets - right.Gets, left.GetBytes - right.GetBytes, left.Others - right.Others);
}

/// <summary>Counts what is asked of a store. Thread safe.</summary>
internal sealed class MeteredBlobStore(IBlobStore store) : IBlobStore
{
    private long _puts;
    private long _putBytes;
    private long _gets;
    private long _getBytes;
    private long _others;

    public string Description => store.Description;

    /// <summary>All since the start, each count read on its own.</summary>
    public StoreTraffic Traffic => new(
        Volatile.Read(ref _puts), Volatile.Read(ref _putBytes), Volatile.Read(ref _gets), Volatile.Read(ref _getBytes), Volatile.Read(ref _others));

    public async ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _gets);
        var read = await store.ReadAsync(key, offsetBytes, destination, cancellationToken);
        Interlocked.Add(ref _getBytes, read);
        return read;
    }

    public ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _puts);
        Interlocked.Add(ref _putBytes, content.Length);
        return store.PutAsync(key, content, precondition, cancellationToken);
    }

    public ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _others);
        return store.GetLengthAsync(key, cancellationToken);
    }

    public IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _others);
        return store.ListAsync(prefix, startAfter, cancellationToken);
    }

    public IAsyncEnumerable<string> ListFoldersAsync(string prefix, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _others);
        return store.ListFoldersAsync(prefix, cancellationToken);
    }

    public ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _others);
        return store.DeleteAsync(key, cancellationToken);
    }

    public ValueTask DisposeAsync() => store.DisposeAsync();
}
