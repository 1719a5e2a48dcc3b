using System.Runtime.CompilerServices;
using Gateway.Backends.Core;

namespace Gateway.Backends.Resilience.Tests;

/// <summary>A store whose listings break after their first item.</summary>
internal sealed class BreakingListing : IBlobStore
{
    public int Listings { get; private set; }

    public string Description => "breaking";

    public ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken) => throw new NotSupportedException();

    public async IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Listings++;
        await Task.Yield();
        yield return new BlobInfo("a", 1);
        throw new BlobStoreException(BlobErrorKind.Unavailable, "The second page (by design of the test).");
    }

    public IAsyncEnumerable<string> ListFoldersAsync(string prefix, CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
