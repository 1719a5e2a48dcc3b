using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Log;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Checkpoints;

/// <summary>Removes blobs that the newest checkpoint no longer refers to, after a grace period.</summary>
/// <remarks>
/// An older root goes first; then one more look that finds no newer epoch; then what only that root referred to. A successor claims its
/// epoch, and then makes sure that the root that it read is there: either this look sees the claim and everything stays, or the root was
/// gone before, and the successor looks for the newer one. Names are never used again, so a removal that arrives late does no harm.
/// </remarks>
internal sealed class Remover(
    IBlobStore store, StoreWriter writer, VolumeRecord volume, VolumeOptions options, TimeProvider time, Func<BlobKey, CancellationToken, Task<bool>> mayRemove, Action<BlobKey> removed, ILogger logger)
{
    private const int RemovalsAtOnce = 8;

    private readonly Queue<(long At, BlobKey[] Roots, BlobKey[] Blobs)> _due = new();

    /// <summary>Batches that wait.</summary>
    public int Count => _due.Count;

    /// <summary>How long until the first batch is due; null: none waits.</summary>
    public TimeSpan? DueIn => _due.TryPeek(out var next) ? Max((Mutation.RemovedAtOnce ? TimeSpan.Zero : options.RemoveAfter) - time.GetElapsedTime(next.At), TimeSpan.Zero) : null;

    /// <summary>Takes note of what a durable checkpoint has made free.</summary>
    public void Add(BlobKey[] roots, BlobKey[] blobs)
    {
        if (roots.Length + blobs.Length > 0) _due.Enqueue((time.GetTimestamp(), roots, blobs));
    }

    /// <summary>Removes what is due. What the store fails to remove is tried again after another grace period.</summary>
    /// <exception cref="FencedException">A newer epoch exists; nothing more may be removed.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        while (DueIn == TimeSpan.Zero)
        {
            var (_, roots, blobs) = _due.Dequeue();
            await writer.RefuseIfFencedAsync(cancellationToken);
            var stuck = await RemoveAsync(roots, cancellationToken);
            if (stuck.Length > 0)
            {
                Add(stuck, blobs);
                continue;
            }

            if (roots.Length > 0) await writer.RefuseIfFencedAsync(cancellationToken);
            Add([], await RemoveAsync(blobs, cancellationToken));
        }
    }

    private async Task<BlobKey[]> RemoveAsync(BlobKey[] keys, CancellationToken cancellationToken)
    {
        var stuck = new List<BlobKey>();
        foreach (var chunk in keys.Chunk(RemovalsAtOnce))
        {
            var removed = await Task.WhenAll(chunk.Select(key => TryRemoveAsync(key, cancellationToken)));
            stuck.AddRange(chunk.Where((_, i) => !removed[i]));
        }

        return [.. stuck];
    }

    private async Task<bool> TryRemoveAsync(BlobKey key, CancellationToken cancellationToken)
    {
        try
        {
            if (!await mayRemove(key, cancellationToken)) return true; // Nobody will ask again before a later checkpoint frees it.
            await store.DeleteAsync(key, cancellationToken);
            removed(key);
            return true;
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            VolumeLog.RemoveFailed(logger, volume.Name, key.Value, e.Message);
            return false;
        }
    }

    private static TimeSpan Max(TimeSpan a, TimeSpan b) => a > b ? a : b;
}
