using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Log;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Checkpoints;

/// <summary>Whose blobs are removed. Calls come several at a time.</summary>
internal interface IRemovalTarget
{
    /// <summary>A last look before a blob is removed. False: it must stay.</summary>
    Task<bool> MayRemoveAsync(BlobKey key, CancellationToken cancellationToken);

    /// <summary>It is gone.</summary>
    void Removed(BlobKey key);

    /// <summary>It must stay, and will not be asked for again unless it is added again.</summary>
    void Kept(BlobKey key);
}

/// <summary>Removes blobs that the newest checkpoint no longer refers to, after a grace period.</summary>
/// <remarks>
/// An older root goes first; then one more look that finds no newer epoch; then what only that root referred to. A successor claims its
/// epoch, and then makes sure that the root that it read is there: either this look sees the claim and everything stays, or the root was
/// gone before, and the successor looks for the newer one. Names are never used again, so a removal that arrives late does no harm.
/// </remarks>
internal sealed class Remover(
    IBlobStore store, StoreWriter writer, VolumeRecord volume, VolumeOptions options, TimeProvider time, IRemovalTarget target, ILogger logger)
{
    private const int RemovalsAtOnce = 8;

    private readonly Queue<(long At, BlobKey[] Roots, BlobKey[] Blobs)> _due = new();

    // What the store failed to remove. It waits longer, so that a failing store is not asked without pause however short the grace period.
    private readonly Queue<(long At, BlobKey[] Roots, BlobKey[] Blobs)> _stuck = new();

    /// <summary>How long until the first batch is due; null: none waits.</summary>
    public TimeSpan? DueIn => (NewDueIn, StuckDueIn) switch
    {
        (null, var stuck) => stuck,
        (var due, null) => due,
        var (due, stuck) => due < stuck ? due : stuck,
    };

    private TimeSpan? NewDueIn => Remaining(_due, Mutation.RemovedAtOnce ? TimeSpan.Zero : options.RemoveAfter);

    private TimeSpan? StuckDueIn => Remaining(_stuck, options.RemoveAfter > options.RetryDelayMax ? options.RemoveAfter : options.RetryDelayMax);

    /// <summary>Takes note of what a durable checkpoint has made free.</summary>
    public void Add(BlobKey[] roots, BlobKey[] blobs)
    {
        if (roots.Length + blobs.Length > 0) _due.Enqueue((time.GetTimestamp(), roots, blobs));
    }

    /// <summary>Removes what is due. What the store fails to remove is tried again later.</summary>
    /// <exception cref="FencedException">A newer epoch exists; nothing more may be removed.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        while (DueIn == TimeSpan.Zero)
        {
            var (_, roots, blobs) = NewDueIn == TimeSpan.Zero ? _due.Dequeue() : _stuck.Dequeue();
            await writer.RefuseIfFencedAsync(cancellationToken);
            var stuck = await RemoveAsync(roots, cancellationToken);
            if (stuck.Length > 0)
            {
                _stuck.Enqueue((time.GetTimestamp(), stuck, blobs));
                continue;
            }

            if (roots.Length > 0) await writer.RefuseIfFencedAsync(cancellationToken);
            stuck = await RemoveAsync(blobs, cancellationToken);
            if (stuck.Length > 0) _stuck.Enqueue((time.GetTimestamp(), [], stuck));
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
            if (!await target.MayRemoveAsync(key, cancellationToken))
            {
                target.Kept(key);
                return true;
            }

            await store.DeleteAsync(key, cancellationToken);
            target.Removed(key);
            return true;
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            VolumeLog.RemoveFailed(logger, volume.Name, key.Value, e.Message);
            return false;
        }
    }

    private TimeSpan? Remaining(Queue<(long At, BlobKey[] Roots, BlobKey[] Blobs)> queue, TimeSpan wait)
    {
        if (!queue.TryPeek(out var next)) return null;
        var remaining = wait - time.GetElapsedTime(next.At);
        return remaining > TimeSpan.Zero ? remaining : TimeSpan.Zero;
    }
}
