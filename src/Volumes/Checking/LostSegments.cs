using Gateway.Backends.Core;
using Gateway.Volumes.Checkpoints;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Log;
using Gateway.Volumes.Map;

namespace Gateway.Volumes.Checking;

/// <summary>Stands in for pages of the segment table that cannot be read.</summary>
internal static class LostSegments
{
    /// <summary>
    /// Reads from the segments themselves what lost pages said of them, and adds them without live blocks. Those that cannot be read stay out: if
    /// the map refers to one, its leaf is found damaged.
    /// </summary>
    /// <param name="store">Where the volume is.</param>
    /// <param name="state">Its log.</param>
    /// <param name="root">The checkpoint that lost the pages.</param>
    /// <param name="index">Takes the segments. It knows the epochs.</param>
    /// <param name="pages">Numbers of the lost pages.</param>
    /// <param name="unreadable">Hears which segments cannot be read, and why.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="BlobStoreException">The store failed in another way than by damage.</exception>
    public static async Task ReadAsync(
        IBlobStore store, LogState state, CheckpointRoot root, BucketIndex index, HashSet<uint> pages, Action<SegmentId, string> unreadable, CancellationToken cancellationToken)
    {
        var prefix = state.Keys.LogPrefix;
        await foreach (var blob in store.ListAsync(prefix, null, cancellationToken))
        {
            if (!VolumeKeys.TryParseSegment(blob.Name.AsSpan(prefix.Length), out var id) || id.Sequence > root.Position.Sequence) continue;
            if (!pages.Contains((uint)(id.Sequence / SegmentTable.SegmentsPerPage)) || index.Epochs.EpochOf(id.Sequence) != id.Epoch) continue;
            try
            {
                var (header, entries) = await state.ReadMetadataAsync(store, new ListedSegment(id, blob.LengthBytes), cancellationToken);
                index.Segments.Add((uint)id.Sequence, (int)header.LengthBytes, (uint)entries.Where(e => e.Kind == ExtentKind.Data).Sum(e => (long)e.Blocks), header.Kind);
            }
            catch (Exception e) when (e is VolumeException or BlobStoreException { Kind: BlobErrorKind.NotFound or BlobErrorKind.Corrupt })
            {
                unreadable(id, e.Message);
            }
        }
    }
}
