using Gateway.Backends.Core;

namespace Gateway.Volumes.Tests;

/// <summary>A store that does what another does, but for what a test overrides.</summary>
internal class DelegatingBlobStore(IBlobStore inner) : IBlobStore
{
    public string Description => inner.Description;

    public virtual ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken) =>
        inner.ReadAsync(key, offsetBytes, destination, cancellationToken);

    public virtual ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken) =>
        inner.PutAsync(key, content, precondition, cancellationToken);

    public virtual ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken) => inner.GetLengthAsync(key, cancellationToken);

    public virtual IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, CancellationToken cancellationToken) =>
        inner.ListAsync(prefix, startAfter, cancellationToken);

    public virtual IAsyncEnumerable<string> ListFoldersAsync(string prefix, CancellationToken cancellationToken) => inner.ListFoldersAsync(prefix, cancellationToken);

    public virtual ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken) => inner.DeleteAsync(key, cancellationToken);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
