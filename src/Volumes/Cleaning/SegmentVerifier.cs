using Gateway.Backends.Core;
using Gateway.Volumes.Checkpoints;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Log;
using Gateway.Volumes.Map;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Cleaning;

/// <summary>Makes sure, before a segment is removed, that nothing refers to it: by its own index and the map, not by the count of its live blocks alone.</summary>
internal sealed class SegmentVerifier(IBlobStore store, VolumeRecord volume, VolumeKeys keys, BucketIndex index, Lock gate, MapLoader loader, ILogger logger)
{
    /// <summary>False if the map refers to it after all, or if that cannot be known since its index is damaged.</summary>
    /// <exception cref="VolumeException">A piece of the map is damaged: not known.</exception>
    /// <exception cref="BlobStoreException">The store failed: not known.</exception>
    public async Task<bool> IsFreeAsync(SegmentId id, CancellationToken cancellationToken)
    {
        int length;
        VolumeRecord grown;
        lock (gate)
        {
            // What a fenced writer left behind never was in the map: its name is not that of the segment with its number.
            if (!index.Segments.TryGet((uint)id.Sequence, out var segment) || index.Epochs.EpochOf(id.Sequence) != id.Epoch) return true;
            if (segment.LiveBlocks > 0) return false;
            (length, grown) = (segment.LengthBytes, index.Volume);
        }

        SegmentIndexEntry[] entries;
        try
        {
            (_, entries) = await LogState.ReadMetadataAsync(store, keys, grown, new ListedSegment(id, length), cancellationToken);
        }
        catch (BlobStoreException e) when (e.Kind == BlobErrorKind.NotFound)
        {
            return true; // Removed before, but no checkpoint knew.
        }
        catch (Exception e) when (e is VolumeException or BlobStoreException { Kind: BlobErrorKind.Corrupt })
        {
            // What is wrong with it may be wrong with the count, too; and what is left of it may be all that a repair can go by.
            VolumeLog.SegmentUnproven(logger, volume.Name, id, e.Message);
            return false;
        }

        foreach (var entry in entries)
        {
            if (entry.Kind != ExtentKind.Data) continue;
            for (uint done = 0; done < entry.Blocks;)
            {
                var lba = entry.Lba + done;
                MapAnswer answer;
                uint blocks;
                SegmentLocation location;
                lock (gate) answer = index.Map.Find(lba, entry.Blocks - done, out blocks, out location);
                if (answer == MapAnswer.Unloaded)
                {
                    await loader.LoadAsync(lba, cancellationToken);
                    continue;
                }

                if (answer == MapAnswer.Data && location.Sequence == id.Sequence)
                {
                    VolumeLog.SegmentStillUsed(logger, volume.Name, id, lba);
                    return false;
                }

                done += blocks;
            }
        }

        return true;
    }
}
