using System.Runtime.CompilerServices;
using Gateway.Backends.Core;

namespace Gateway.Volumes.Checking;

/// <summary>A store as it would be without one blob. Only for reading.</summary>
internal sealed class HidingBlobStore(IBlobStore store, BlobKey hidden) : IBlobStore
{
    public string Description => store.Description;

    public ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken) => key == hidden
        ? throw new BlobStoreException(BlobErrorKind.NotFound, $"{Description}: blob '{key}' is left out.")
        : store.ReadAsync(key, offsetBytes, destination, cancellationToken);

    public ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken) =>
        throw new NotSupportedException("Only for reading.");

    public ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken) =>
        key == hidden ? new((long?)null) : store.GetLengthAsync(key, cancellationToken);

    public async IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var blob in store.ListAsync(prefix, startAfter, cancellationToken))
            if (blob.Name != hidden.Value) yield return blob;
    }

    public IAsyncEnumerable<string> ListFoldersAsync(string prefix, CancellationToken cancellationToken) => store.ListFoldersAsync(prefix, cancellationToken);

    public ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken) => throw new NotSupportedException("Only for reading.");

    /// <summary>The store below is its owner's.</summary>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
