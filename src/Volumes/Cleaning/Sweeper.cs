using Gateway.Backends.Core;
using Gateway.Volumes.Checkpoints;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Log;

namespace Gateway.Volumes.Cleaning;

/// <summary>
/// Finds what earlier writers left behind: segments that never counted, map blobs of checkpoints that came to nothing, roots that are not the
/// newest. Only after this epoch's first checkpoint, and only names of earlier epochs: none of those can come to count any more.
/// </summary>
internal sealed class Sweeper(IBlobStore store, VolumeKeys keys, long epoch, BucketIndex index, Lock gate)
{
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public async Task<(BlobKey[] Roots, BlobKey[] Blobs)> FindAsync(CancellationToken cancellationToken)
    {
        var roots = new List<BlobKey>();
        await foreach (var blob in store.ListAsync(keys.CheckpointPrefix, null, cancellationToken))
            if (VolumeKeys.TryParseCheckpoint(blob.Name.AsSpan(keys.CheckpointPrefix.Length), out var id) && id.Epoch < epoch) roots.Add(keys.Checkpoint(id));
        var blobs = new List<BlobKey>();
        await foreach (var blob in store.ListAsync(keys.MapPrefix, null, cancellationToken))
            if (VolumeKeys.TryParseMapBlob(blob.Name.AsSpan(keys.MapPrefix.Length), out var id) && id.Epoch < epoch && (Mutation.LiveMapBlobSwept || !IsNeeded(id))) blobs.Add(keys.MapBlob(id));
        await foreach (var blob in store.ListAsync(keys.LogPrefix, null, cancellationToken))
            if (VolumeKeys.TryParseSegment(blob.Name.AsSpan(keys.LogPrefix.Length), out var id) && id.Epoch < epoch && !IsNeeded(id)) blobs.Add(keys.Segment(id));
        return ([.. roots], [.. blobs]);
    }

    private bool IsNeeded(MapBlobId id)
    {
        lock (gate) return index.Blobs.Blobs.Any(b => b.Id == id);
    }

    private bool IsNeeded(SegmentId id)
    {
        lock (gate)
        {
            // A segment of the valid log stays in the table until it is removed.
            return index.Segments.TryGet((uint)id.Sequence, out _) && index.Epochs.EpochOf(id.Sequence) is var writer && (writer == id.Epoch || writer == 0);
        }
    }
}
