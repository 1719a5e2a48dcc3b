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

    /// <summary>What may come along with a leaf that a look-up needs: hundreds of leaves of sequential data, a few of shredded ones.</summary>
    private const int NeighboursMaxBytes = 32 << 10;
    private const int NeighbourGapMaxBytes = 4 << 10;

    private readonly Dictionary<PiecePointer, SharedLoad> _loading = [];

    /// <summary>Says what is missing still; false: nothing. Called under the gate.</summary>
    public delegate bool MissingLookup(out MissingPiece missing);

    /// <summary>Brings what a look-up of <paramref name="lba"/> needs.</summary>
    /// <exception cref="VolumeException">A piece is damaged.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    /// <exception cref="OperationCanceledException">The caller has had enough. The load goes on for others that wait for it.</exception>
    public ValueTask LoadAsync(ulong lba, CancellationToken cancellationToken) =>
        LoadAsync((out MissingPiece missing) => index.Map.TryGetMissing(lba, out missing), cancellationToken);

    /// <summary>Brings one piece after the other until none is missing. The map may change meanwhile.</summary>
    /// <inheritdoc cref="LoadAsync(ulong, CancellationToken)"/>
    public async ValueTask LoadAsync(MissingLookup lookup, CancellationToken cancellationToken)
    {
        while (true)
        {
            MissingPiece missing;
            SharedLoad load;
            (BlobKey Key, uint Seed)? start = null;
            lock (gate)
            {
                if (!lookup(out missing)) return;
                if (!_loading.TryGetValue(missing.Pointer, out load!))
                {
                    // Under the same gate as the look-up: a checkpoint may drop the blob's name at any moment after.
                    start = Blob(missing.Pointer);
                    load = new SharedLoad(index.Map.WithNeighbours(missing, NeighbourGapMaxBytes, NeighboursMaxBytes));
                    foreach (var piece in load.Pieces) _loading.TryAdd(piece.Pointer, load);
                }

                load.Waiters++;
            }

            if (start is { } blob) load.Running = LoadSharedAsync(load, blob.Key, blob.Seed);
            try
            {
                await load.Done.Task.WaitAsync(cancellationToken);
            }
            catch (BlobStoreException e) when (e.Kind == BlobErrorKind.NotFound && IsSuperseded(lookup, missing))
            {
                // A checkpoint moved the piece meanwhile, and what it was in is gone: look again.
            }
            catch (Exception e) when (IsDamage(e) && load.Pieces[0].Pointer != missing.Pointer)
            {
                // The damage may be in the piece that this one was to come along with.
            }
            finally
            {
                Leave(load);
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
    public Task<byte[]> ReadAsync(PiecePointer pointer, CancellationToken cancellationToken)
    {
        var (key, seed) = Blob(pointer);
        return ReadAsync(pointer, key, seed, cancellationToken);
    }

    /// <summary>Reads and proves one piece, twice if need be: a transfer may go wrong, and only what is bad twice is bad in the store.</summary>
    private async Task<byte[]> ReadAsync(PiecePointer pointer, BlobKey key, uint seed, CancellationToken cancellationToken)
    {
        var content = new byte[pointer.LengthBytes];
        for (var attempt = 1; attempt <= 2; attempt++)
        {
            await store.ReadExactlyAsync(key, pointer.OffsetBytes, content, cancellationToken);
            if (Crc32C.Compute(content, seed) == pointer.Crc) return content;
        }

        throw RecordEnvelope.Damaged(key.Value, $"the piece at {pointer.OffsetBytes} fails its checksum");
    }

    private async Task LoadRangeAsync(IReadOnlyList<MissingPiece> pieces, int first, int end, CancellationToken cancellationToken)
    {
        var (key, seed) = Blob(pieces[first].Pointer);
        await LoadRangeAsync(pieces, first, end, key, seed, cancellationToken);
    }

    private async Task LoadRangeAsync(IReadOnlyList<MissingPiece> pieces, int first, int end, BlobKey key, uint seed, CancellationToken cancellationToken)
    {
        var from = pieces[first].Pointer;
        var to = pieces[end - 1].Pointer;
        var content = new byte[to.OffsetBytes + to.LengthBytes - from.OffsetBytes];
        await store.ReadExactlyAsync(key, from.OffsetBytes, content, cancellationToken);
        for (var i = first; i < end; i++)
        {
            var pointer = pieces[i].Pointer;
            var piece = content.AsMemory((int)(pointer.OffsetBytes - from.OffsetBytes), (int)pointer.LengthBytes);
            if (Crc32C.Compute(piece.Span, seed) != pointer.Crc) piece = await ReadAsync(pointer, key, seed, cancellationToken);
            lock (gate)
            {
                index.Map.Load(pieces[i], piece.Span);
            }
        }
    }

    private async Task LoadSharedAsync(SharedLoad load, BlobKey key, uint seed)
    {
        Exception? failure = null;
        try
        {
            try
            {
                await LoadRangeAsync(load.Pieces, 0, load.Pieces.Count, key, seed, load.Cancellation.Token);
            }
            catch (Exception e) when (IsDamage(e))
            {
                // A neighbour may be the damaged one.
                await LoadRangeAsync(load.Pieces, 0, 1, key, seed, load.Cancellation.Token);
            }
        }
        catch (Exception e)
        {
            failure = e; // For those who wait.
        }

        // Before they go on: who comes after a failure tries again.
        lock (gate) Forget(load);
        if (failure is null) load.Done.SetResult();
        else load.Done.SetException(failure);
    }

    /// <summary>The last one to leave a load that nobody wants any more ends it.</summary>
    private void Leave(SharedLoad load)
    {
        lock (gate)
        {
            if (--load.Waiters > 0 || load.Done.Task.IsCompleted) return;
            Forget(load); // Nobody joins it any more.
        }

        load.Cancellation.Cancel();
    }

    private void Forget(SharedLoad load)
    {
        foreach (var piece in load.Pieces)
            if (_loading.TryGetValue(piece.Pointer, out var current) && current == load) _loading.Remove(piece.Pointer);
    }

    private static bool IsDamage(Exception e) => e is VolumeException { Kind: VolumeErrorKind.Damaged } or BlobStoreException { Kind: BlobErrorKind.Corrupt };

    private bool IsSuperseded(MissingLookup lookup, in MissingPiece missing)
    {
        lock (gate) return !lookup(out var now) || now.Pointer != missing.Pointer;
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

    /// <summary>A load that several callers wait for. It belongs to none of them, so that none can end it for the others.</summary>
    /// <param name="pieces">What it brings: first what it was started for, then neighbours that come along.</param>
    private sealed class SharedLoad(IReadOnlyList<MissingPiece> pieces)
    {
        public IReadOnlyList<MissingPiece> Pieces { get; } = pieces;

        public TaskCompletionSource Done { get; } = new();

        public CancellationTokenSource Cancellation { get; } = new();

        /// <summary>How many wait for it. Guarded by the gate.</summary>
        public int Waiters { get; set; }

        /// <summary>The load itself; how it ends is told by <see cref="Done"/>.</summary>
        public Task Running { get; set; } = Task.CompletedTask;
    }
}
