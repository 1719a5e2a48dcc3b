using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Map;

namespace Gateway.Volumes.Checkpoints;

/// <summary>Fetches what the map does not hold in memory. Thread safe; loads of the same piece at the same time share one request.</summary>
internal sealed class MapLoader(IBlobStore store, VolumeRecord volume, VolumeKeys keys, BucketIndex index, Lock gate)
{
    private const int RequestsAtOnce = 8;
    private const int RangeMaxBytes = 4 << 20;

    /// <summary>Pieces this near to each other are fetched in one request.</summary>
    private const int GapMaxBytes = 32 << 10;

    private readonly Dictionary<PiecePointer, Task> _loading = [];

    /// <summary>Brings what a look-up of <paramref name="lba"/> needs.</summary>
    /// <exception cref="VolumeException">A piece is damaged.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public async ValueTask LoadAsync(ulong lba, CancellationToken cancellationToken)
    {
        while (true)
        {
            MissingPiece missing;
            Task load;
            lock (gate)
            {
                if (!index.Map.TryGetMissing(lba, out missing)) return;
                if (!_loading.TryGetValue(missing.Pointer, out load!))
                {
                    load = LoadAsync([missing], cancellationToken);
                    if (!load.IsCompleted) _loading.Add(missing.Pointer, load);
                }
            }

            try
            {
                await load;
            }
            catch (BlobStoreException e) when (e.Kind == BlobErrorKind.NotFound && IsSuperseded(lba, missing))
            {
                // A checkpoint moved the piece meanwhile, and what it was in is gone: look again.
            }
            finally
            {
                lock (gate) _loading.Remove(missing.Pointer);
            }
        }
    }

    /// <summary>Brings pieces that stand in order of their place, neighbours in one request, several requests at a time.</summary>
    public async Task LoadAsync(IReadOnlyList<MissingPiece> pieces, CancellationToken cancellationToken)
    {
        var running = new List<Task>();
        for (var first = 0; first < pieces.Count;)
        {
            var next = first + 1;
            while (next < pieces.Count && IsNear(pieces[first], pieces[next - 1], pieces[next])) next++;
            if (running.Count == RequestsAtOnce)
            {
                await Task.WhenAny(running);
                foreach (var ended in running.Where(r => r.IsCompleted).ToArray())
                {
                    running.Remove(ended);
                    await ended;
                }
            }

            running.Add(LoadRangeAsync(pieces, first, next, cancellationToken));
            first = next;
        }

        await Task.WhenAll(running);
    }

    /// <summary>Reads and proves one piece.</summary>
    public async Task<byte[]> ReadAsync(PiecePointer pointer, CancellationToken cancellationToken)
    {
        var (key, seed) = Blob(pointer);
        var content = new byte[pointer.LengthBytes];
        await store.ReadExactlyAsync(key, pointer.OffsetBytes, content, cancellationToken);
        return Crc32C.Compute(content, seed) == pointer.Crc ? content : throw RecordEnvelope.Damaged(key.Value, $"the piece at {pointer.OffsetBytes} fails its checksum");
    }

    private async Task LoadRangeAsync(IReadOnlyList<MissingPiece> pieces, int first, int end, CancellationToken cancellationToken)
    {
        var from = pieces[first].Pointer;
        var to = pieces[end - 1].Pointer;
        var (key, seed) = Blob(from);
        var content = new byte[to.OffsetBytes + to.LengthBytes - from.OffsetBytes];
        await store.ReadExactlyAsync(key, from.OffsetBytes, content, cancellationToken);
        for (var i = first; i < end; i++)
        {
            var pointer = pieces[i].Pointer;
            var piece = content.AsSpan((int)(pointer.OffsetBytes - from.OffsetBytes), (int)pointer.LengthBytes);
            if (Crc32C.Compute(piece, seed) != pointer.Crc) throw RecordEnvelope.Damaged(key.Value, $"the piece at {pointer.OffsetBytes} fails its checksum");
            lock (gate)
            {
                index.Map.Load(pieces[i], piece);
            }
        }
    }

    private bool IsSuperseded(ulong lba, in MissingPiece missing)
    {
        lock (gate) return !index.Map.TryGetMissing(lba, out var now) || now.Pointer != missing.Pointer;
    }

    private static bool IsNear(in MissingPiece first, in MissingPiece previous, in MissingPiece next) =>
        next.Pointer.Blob == first.Pointer.Blob
        && next.Pointer.OffsetBytes >= previous.Pointer.OffsetBytes + previous.Pointer.LengthBytes
        && next.Pointer.OffsetBytes - (previous.Pointer.OffsetBytes + previous.Pointer.LengthBytes) <= GapMaxBytes
        && next.Pointer.OffsetBytes + next.Pointer.LengthBytes - first.Pointer.OffsetBytes <= RangeMaxBytes;

    private (BlobKey Key, uint Seed) Blob(in PiecePointer pointer)
    {
        lock (gate)
        {
            if (!index.Blobs.TryGet(pointer.Blob, out var blob))
                throw new VolumeException(VolumeErrorKind.Damaged, $"The map of volume '{volume.Name}' refers to map blob {pointer.Blob}, which its checkpoint does not name. Restore the objects below '{keys.CheckpointPrefix}' from a backup or older object versions.");
            return (keys.MapBlob(blob.Id), MapBlobHeader.Seed(volume.Id, blob.Id));
        }
    }
}
