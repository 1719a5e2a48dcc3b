using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Gateway.Backends.Core;

namespace Gateway.Tests.Shared;

/// <summary>A blob store in memory, for tests of what stands above the seam; it passes the same conformance suite as the real ones.</summary>
public sealed class MemoryBlobStore : IBlobStore
{
    private readonly ConcurrentDictionary<string, byte[]> _blobs = new(StringComparer.Ordinal);

    public string Description => "memory";

    /// <summary>The blobs themselves, for tests that damage them.</summary>
    public IDictionary<string, byte[]> Blobs => _blobs;

    /// <summary>Takes no notice of <see cref="Precondition.Absent"/>, as old servers do.</summary>
    public bool IgnoresPreconditions { get; init; }

    public ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (!_blobs.TryGetValue(key.Value, out var blob)) throw new BlobStoreException(BlobErrorKind.NotFound, $"There is no blob '{key}'.");
        var length = (int)Math.Clamp(blob.Length - offsetBytes, 0, destination.Length);
        if (length > 0) blob.AsMemory((int)offsetBytes, length).CopyTo(destination);
        return new(length);
    }

    public ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (precondition == Precondition.None || IgnoresPreconditions) _blobs[key.Value] = content.ToArray();
        else if (!_blobs.TryAdd(key.Value, content.ToArray())) throw new BlobStoreException(BlobErrorKind.PreconditionFailed, $"Blob '{key}' exists.");
        return ValueTask.CompletedTask;
    }

    public ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return new(_blobs.TryGetValue(key.Value, out var blob) ? blob.Length : null);
    }

    public async IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await Task.CompletedTask;
        foreach (var (name, blob) in _blobs.ToArray().OrderBy(b => b.Key, StringComparer.Ordinal))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (name.StartsWith(prefix, StringComparison.Ordinal) && string.CompareOrdinal(name, startAfter) > 0) yield return new BlobInfo(name, blob.Length);
        }
    }

    public async IAsyncEnumerable<string> ListFoldersAsync(string prefix, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        string? last = null;
        await foreach (var blob in ListAsync(prefix, null, cancellationToken))
        {
            var slash = blob.Name.IndexOf('/', prefix.Length);
            if (slash < 0 || blob.Name[..(slash + 1)] == last) continue;
            yield return (last = blob.Name[..(slash + 1)])[prefix.Length..];
        }
    }

    public ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        _blobs.TryRemove(key.Value, out _);
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
