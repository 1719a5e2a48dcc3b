using Gateway.Scsi;
using Gateway.Volumes.Cache;
using Gateway.Volumes.Journal;

namespace Gateway.Volumes.Reading;

/// <summary>Serves a volume's reads: holes and cached blocks at once, the rest from the journal and the bucket.</summary>
/// <remarks>Thread safe. The destination is the caller's again only when everything that was started for the read has ended.</remarks>
internal sealed class VolumeReader(IBlockPlaces places, FrameReader frames, JournalFile journal, int blockLengthBytes)
{
    /// <summary>Looks at the map before a read gives up on a journal that gives its space back faster than it can be read.</summary>
    private const int AttemptsMax = 16;

    public ValueTask<BlockResult> ReadAsync(BlockRange range, ScatterList destination) =>
        TryReadAtOnce(range, destination) ? new(BlockResult.Success) : new(ReadSlowlyAsync(range, destination));

    /// <summary>Serves a read from holes and memory alone; false if any of it must be fetched.</summary>
    private bool TryReadAtOnce(BlockRange range, ScatterList destination)
    {
        for (uint done = 0; done < range.Blocks;)
        {
            var kind = places.Find(range.Lba + done, range.Blocks - done, out var place);
            var offset = (int)done * blockLengthBytes;
            ReadOnlyMemory<byte> blocks = default;
            if (kind == PlaceKind.Hole) destination.Clear(offset, (int)place.Blocks * blockLengthBytes);
            else if (kind == PlaceKind.Journal ? frames.TryGetCached(place.Journal, out blocks) : kind == PlaceKind.Segment && frames.TryGetCached(place.Segment, out blocks)) Copy(blocks, place, destination, offset);
            else return false;
            done += place.Blocks;
        }

        return true;
    }

    private async Task<BlockResult> ReadSlowlyAsync(BlockRange range, ScatterList destination)
    {
        var fetches = new List<(Place Place, int Offset, Task<(BlockError Error, ReadOnlyMemory<byte> Blocks)> Task)>();
        var result = BlockResult.Success;
        try
        {
            for (uint done = 0; done < range.Blocks && result.IsSuccess;)
            {
                var kind = places.Find(range.Lba + done, range.Blocks - done, out var place);
                if (kind == PlaceKind.Unloaded)
                {
                    result = await places.LoadAsync(place.Lba);
                    continue;
                }

                var offset = (int)done * blockLengthBytes;
                done += place.Blocks;
                if (kind == PlaceKind.Hole) destination.Clear(offset, (int)place.Blocks * blockLengthBytes);
                else if (kind == PlaceKind.Journal) result = await ReadJournaledAsync(place, destination, offset);
                else fetches.Add((place, offset, frames.ReadFrameAsync(place.Segment, place.Lba)));
            }
        }
        catch (ObjectDisposedException)
        {
            result = BlockError.Offline; // Closed meanwhile.
        }
        catch (IOException e)
        {
            places.JournalFailed(e);
            result = BlockError.Offline;
        }

        // All fetches are awaited, whatever the others gave: the destination is the initiator's until the last of them is done.
        foreach (var (place, offset, task) in fetches)
        {
            var (error, blocks) = await task;
            if (!result.IsSuccess) continue;
            if (error == BlockError.None) Copy(blocks, place, destination, offset);
            else result = new BlockResult(error, error == BlockError.Corrupt ? place.Lba : null);
        }

        return result;
    }

    /// <summary>
    /// Reads blocks that were in the journal at the last look. The uploader may give their space back meanwhile, and a new batch overwrite
    /// it; that is seen by the tail having passed them after the read, and then they are in the bucket: look again.
    /// </summary>
    private async ValueTask<BlockResult> ReadJournaledAsync(Place place, ScatterList destination, int offset)
    {
        for (var attempt = 0; attempt < AttemptsMax; attempt++)
        {
            for (uint done = 0; ;)
            {
                var kind = places.Find(place.Lba + done, place.Blocks - done, out var piece);
                var at = offset + ((int)done * blockLengthBytes);
                if (kind == PlaceKind.Unloaded)
                {
                    var loaded = await places.LoadAsync(piece.Lba);
                    if (loaded != BlockError.None) return loaded;
                    continue;
                }

                if (kind == PlaceKind.Hole)
                {
                    destination.Clear(at, (int)piece.Blocks * blockLengthBytes);
                }
                else if (kind == PlaceKind.Journal)
                {
                    var (intact, blocks) = await frames.ReadRecordAsync(piece.Journal);
                    if (places.JournalTailPosition > piece.Journal.DataPosition) break;
                    if (!intact) throw new IOException($"Journal '{journal.Path}' does not return what was written to it at position {piece.Journal.DataPosition}.");
                    frames.Keep(piece.Journal, blocks);
                    Copy(blocks, piece, destination, at);
                }
                else
                {
                    var (error, blocks) = await frames.ReadFrameAsync(piece.Segment, piece.Lba);
                    if (error != BlockError.None) return new BlockResult(error, error == BlockError.Corrupt ? piece.Lba : null);
                    Copy(blocks, piece, destination, at);
                }

                done += piece.Blocks;
                if (done == place.Blocks) return BlockResult.Success;
            }
        }

        return BlockError.StoreUnavailable;
    }

    private void Copy(ReadOnlyMemory<byte> blocks, in Place place, ScatterList destination, int offset) =>
        destination.CopyFrom(offset, blocks.Span.Slice(place.BlockOffset * blockLengthBytes, (int)place.Blocks * blockLengthBytes));
}
