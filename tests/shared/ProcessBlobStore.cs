using Gateway.Backends.Core;

namespace Gateway.Tests.Shared;

/// <summary>
/// A store as one process sees it, until the process dies: from then on nothing it does takes effect or comes back. Before that, requests
/// fail at random, before or after their effect, and puts that were under way at the death may or may not arrive.
/// </summary>
/// <param name="random">Locked while it is used, as the engine does: one that two threads use at a time ends up giving 0 for ever.</param>
public sealed class ProcessBlobStore(IBlobStore inner, Random random, double failureRate = 0) : IBlobStore
{
    private volatile bool _dead;

    public string Description => inner.Description;

    /// <summary>The process is gone.</summary>
    public void Die() => _dead = true;

    public async ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        await BeginAsync();
        return await inner.ReadAsync(key, offsetBytes, destination, cancellationToken);
    }

    public async ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken)
    {
        await BeginAsync();
        if (_dead && Chance(0.5)) throw Failure();
        await inner.PutAsync(key, content, precondition, cancellationToken);
        if (_dead || Chance(failureRate)) throw Failure(); // The put took effect, but its answer is lost.
    }

    public async ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken)
    {
        await BeginAsync();
        return await inner.GetLengthAsync(key, cancellationToken);
    }

    public IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, CancellationToken cancellationToken) =>
        _dead ? throw Failure() : inner.ListAsync(prefix, startAfter, cancellationToken);

    public IAsyncEnumerable<string> ListFoldersAsync(string prefix, CancellationToken cancellationToken) =>
        _dead ? throw Failure() : inner.ListFoldersAsync(prefix, cancellationToken);

    public async ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken)
    {
        await BeginAsync();
        await inner.DeleteAsync(key, cancellationToken);
    }

    public ValueTask DisposeAsync() => inner.DisposeAsync();

    private async ValueTask BeginAsync()
    {
        if (_dead || Chance(failureRate)) throw Failure();
        await Task.Yield();
    }

    private bool Chance(double rate)
    {
        lock (random) return random.NextDouble() < rate;
    }

    private static BlobStoreException Failure() => new(BlobErrorKind.Unavailable, "The store is away (by design of the test).");
}
