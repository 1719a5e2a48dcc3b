using Gateway.Backends.Core;

namespace Gateway.Tests.Shared;

/// <summary>Lets a test act between any two requests: just before or just after a put.</summary>
public sealed class HookedBlobStore(IBlobStore inner) : IBlobStore
{
    public Func<BlobKey, Task>? BeforePut { get; set; }

    public Func<BlobKey, Task>? AfterPut { get; set; }

    public string Description => inner.Description;

    public ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken) =>
        inner.ReadAsync(key, offsetBytes, destination, cancellationToken);

    public async ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken)
    {
        if (BeforePut is { } before) await before(key);
        await inner.PutAsync(key, content, precondition, cancellationToken);
        if (AfterPut is { } after) await after(key);
    }

    public ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken) => inner.GetLengthAsync(key, cancellationToken);

    public IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, CancellationToken cancellationToken) => inner.ListAsync(prefix, startAfter, cancellationToken);

    public IAsyncEnumerable<string> ListFoldersAsync(string prefix, CancellationToken cancellationToken) => inner.ListFoldersAsync(prefix, cancellationToken);

    public ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken) => inner.DeleteAsync(key, cancellationToken);

    public ValueTask DisposeAsync() => inner.DisposeAsync();
}
