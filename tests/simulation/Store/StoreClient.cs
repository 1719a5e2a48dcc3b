using System.Runtime.CompilerServices;
using Gateway.Backends.Core;
using Gateway.Simulation.Scheduling;
using Gateway.Volumes.Formats;

namespace Gateway.Simulation.Store;

/// <summary>The bucket as one process sees it.</summary>
internal sealed class StoreClient(World world, SimulatedBucket bucket, SimulatedProcess process) : IBlobStore
{
    public string Description => "simulated bucket";

    public async ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        return await bucket.RequestAsync(process, "read", key.Value, Read, isCreation: false, cancellationToken);

        int Read(bool isAwaited)
        {
            var blob = bucket.Find(key.Value) ?? throw new BlobStoreException(BlobErrorKind.NotFound, $"There is no blob '{key}'.");
            var length = (int)Math.Clamp(blob.Length - offsetBytes, 0, destination.Length);
            if (length == 0 || !isAwaited) return length;
            blob.AsSpan((int)offsetBytes, length).CopyTo(destination.Span);
            bucket.MaybeCorrupt(destination.Span[..length]);
            return length;
        }
    }

    public async ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken)
    {
        var sent = content.ToArray();
        world.Record("content", sent.Length, Crc32C.Compute(sent), null, process);
        bucket.Sending?.Invoke(process, key.Value, sent);
        await bucket.RequestAsync(process, "put", key.Value, Put, precondition == Precondition.Absent, cancellationToken);

        bool Put(bool isAwaited)
        {
            if (isAwaited && !content.Span.SequenceEqual(sent)) world.Fail($"The content of '{key}' changed while it was being put.");
            bucket.Put(key.Value, sent, precondition);
            return true;
        }
    }

    public async ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken) =>
        await bucket.RequestAsync(process, "length", key.Value, _ => (long?)bucket.Find(key.Value)?.Length, isCreation: false, cancellationToken);

    public async IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        while (true)
        {
            var after = startAfter;
            var (page, hasMore) = await bucket.RequestAsync(process, "list", prefix, _ => bucket.List(prefix, after, bucket.DrawListingTime()), isCreation: false, cancellationToken);
            foreach (var blob in page) yield return blob;
            if (!hasMore) yield break;
            startAfter = page[^1].Name;
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

    public async ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken) =>
        await bucket.RequestAsync(process, "delete", key.Value, _ => bucket.Delete(key.Value), isCreation: false, cancellationToken);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
