using System.Runtime.CompilerServices;
using Gateway.Backends.Core;

namespace Gateway.Backends.Grpc.Server;

/// <summary>One tenant's part of a store: what is below a prefix, with the prefix before every key and taken off every name.</summary>
/// <remarks>A key has no ".." and begins with no '/' (<see cref="BlobKey"/>), and a listing asks for names that begin with the prefix: nothing leads out of it.</remarks>
/// <param name="inner">The whole store; stays its owner's.</param>
/// <param name="prefix">A key's first segments and a '/'; or empty, for the whole store.</param>
internal sealed class TenantStore(IBlobStore inner, string prefix) : IBlobStore
{
    public string Description => inner.Description;

    public ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken) =>
        inner.ReadAsync(Own(key), offsetBytes, destination, cancellationToken);

    public ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken) =>
        inner.PutAsync(Own(key), content, precondition, cancellationToken);

    public ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken) => inner.GetLengthAsync(Own(key), cancellationToken);

    public async IAsyncEnumerable<BlobInfo> ListAsync(string start, string? startAfter, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (!IsBelow(start)) yield break;
        await foreach (var blob in inner.ListAsync(prefix + start, string.IsNullOrEmpty(startAfter) ? null : prefix + startAfter, cancellationToken))
            if (TryStrip(blob.Name, out var name)) yield return blob with { Name = name };
    }

    public IAsyncEnumerable<string> ListFoldersAsync(string start, CancellationToken cancellationToken)
    {
        if ((start.Length > 0 && start[^1] != '/') || !IsBelow(start))
            throw new BlobStoreException(BlobErrorKind.Rejected, "A folder prefix is empty, or names joined by '/' and ending in one.");
        return inner.ListFoldersAsync(prefix + start, cancellationToken);
    }

    public ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken) => inner.DeleteAsync(Own(key), cancellationToken);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private BlobKey Own(BlobKey key) => BlobKey.TryCreate(prefix + key.Value, out var own)
        ? own
        : throw new BlobStoreException(BlobErrorKind.Rejected, $"The key is too long: at most {BlobKey.LengthMax - prefix.Length} characters are possible here.");

    /// <summary>False for what no name below the prefix can begin with. No store should walk upwards; here none is asked to.</summary>
    private static bool IsBelow(string text)
    {
        if (text.Length > BlobKey.LengthMax || text.AsSpan().ContainsAnyInRange('\0', '\u001f')) return false;
        var segments = text.Split('/');
        return !segments.AsSpan(0, segments.Length - 1).ContainsAny("", ".", "..");
    }

    /// <summary>False for a name that should not have come: a store that lists too much must not show one tenant what another has.</summary>
    private bool TryStrip(string name, out string stripped)
    {
        stripped = name.StartsWith(prefix, StringComparison.Ordinal) ? name[prefix.Length..] : "";
        return stripped.Length > 0;
    }
}
