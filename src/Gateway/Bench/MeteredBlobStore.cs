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
    private Counters _counts = new();

    public string Description => store.Description;

    /// <summary>All since the start, each count read on its own.</summary>
    public StoreTraffic Traffic => new(
        Volatile.Read(ref _counts.Puts), Volatile.Read(ref _counts.PutBytes), Volatile.Read(ref _counts.Gets), Volatile.Read(ref _counts.GetBytes), Volatile.Read(ref _counts.Others));

    /// <summary>Another face of the same store, counted together with this one.</summary>
    public MeteredBlobStore Beside(IBlobStore other) => new(other) { _counts = _counts };

    public async ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _counts.Gets);
        var read = await store.ReadAsync(key, offsetBytes, destination, cancellationToken);
        Interlocked.Add(ref _counts.GetBytes, read);
        return read;
    }

    public ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _counts.Puts);
        Interlocked.Add(ref _counts.PutBytes, content.Length);
        return store.PutAsync(key, content, precondition, cancellationToken);
    }

    public ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _counts.Others);
        return store.GetLengthAsync(key, cancellationToken);
    }

    public IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _counts.Others);
        return store.ListAsync(prefix, startAfter, cancellationToken);
    }

    public IAsyncEnumerable<string> ListFoldersAsync(string prefix, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _counts.Others);
        return store.ListFoldersAsync(prefix, cancellationToken);
    }

    public ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _counts.Others);
        return store.DeleteAsync(key, cancellationToken);
    }

    public ValueTask DisposeAsync() => store.DisposeAsync();

    private sealed class Counters
    {
        public long Puts;
        public long PutBytes;
        public long Gets;
        public long GetBytes;
        public long Others;
    }
}
