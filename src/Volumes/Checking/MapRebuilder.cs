using Gateway.Backends.Core;
using Gateway.Volumes.Checkpoints;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Log;
using Gateway.Volumes.Map;

namespace Gateway.Volumes.Checking;

/// <summary>
/// Reads all of a checkpoint's map, makes what is damaged of it again from the segments' own indexes, proves the result, and adds the log
/// behind the checkpoint. It only reads. All of the map is held in memory, twice.
/// </summary>
internal sealed class MapRebuilder
{
    private const int RequestsAtOnce = 16;

    private readonly IBlobStore _store;
    private readonly LogState _state;
    private readonly CheckpointRoot _root;
    private readonly BucketIndex _stored;
    private readonly MapLoader _loader;
    private readonly BucketIndex _target;
    private readonly HashSet<uint> _lostTablePages = [];
    private bool _isMapDamaged;

    /// <param name="store">Where the volume is.</param>
    /// <param name="state">Its log.</param>
    public MapRebuilder(IBlobStore store, LogState state)
    {
        _store = store;
        _state = state;
        _root = state.Root ?? new CheckpointRoot
        {
            VolumeId = state.Volume.Id,
            Id = default,
            Nonce = default,
            Position = default,
            LastWrite = 0,
            Epochs = [],
            MapPages = [],
            SegmentPages = [],
            MapBlobs = [],
            NextMapBlob = 1,
        };
        _stored = new BucketIndex(state.Volume);
        _loader = new MapLoader(store, state.Volume, state.Keys, _stored, Gate);
        _target = new BucketIndex(state.Volume);
        TargetLoader = new MapLoader(store, state.Volume, state.Keys, _target, Gate);
    }

    public Lock Gate { get; } = new();

    /// <summary>Of the map that <see cref="RunAsync"/> gives. It has nothing to load: all of that map is in memory.</summary>
    public MapLoader TargetLoader { get; }

    /// <summary>What was found damaged, for people.</summary>
    public List<string> Damage { get; } = [];

    /// <summary>The volume's map, all of it changed since any checkpoint. Null: nothing of the checkpoint is damaged.</summary>
    /// <param name="always">True: even if nothing is damaged.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="VolumeException">It cannot be made, or not be proven.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public async Task<BucketIndex?> RunAsync(bool always, CancellationToken cancellationToken)
    {
        await _stored.RestoreAsync(_root with { SegmentPages = [] }, _loader, cancellationToken);
        await LoadTableAsync(cancellationToken);
        await LoadMapAsync(cancellationToken);
        if (Damage.Count == 0 && !always) return null;
        if (_isMapDamaged && _lostTablePages.Count > 0)
            throw Unproven("parts of the map and of the segment table are damaged: without the one the other cannot be proven");

        var next = await NextMapBlobAsync(cancellationToken);
        await _target.RestoreAsync(_root with { SegmentPages = [], MapPages = [], MapBlobs = [], NextMapBlob = next }, TargetLoader, cancellationToken);
        foreach (var segment in _stored.Segments.Segments()) _target.Segments.Add(segment.Sequence, segment.LengthBytes, segment.TotalBlocks, segment.Kind);
        if (_isMapDamaged) await ReplayAsync(cancellationToken);
        else CopyMap();
        ProveCounts();
        ProveSameWhereKnown();
        await foreach (var (header, index) in _state.ReadLogAsync(_store, cancellationToken)) _target.Apply(header, index);
        return _target;
    }

    private static VolumeException Unproven(string why) =>
        new(VolumeErrorKind.Damaged, $"The map cannot be proven: {why}. Restore the damaged objects from a backup or older object versions.");

    private static bool IsDamage(Exception e) => e is VolumeException || e is BlobStoreException { Kind: BlobErrorKind.NotFound or BlobErrorKind.Corrupt };

    private async Task LoadTableAsync(CancellationToken cancellationToken)
    {
        foreach (var page in _root.SegmentPages)
        {
            try
            {
                _stored.Segments.LoadPage(page, await _loader.ReadAsync(page.Pointer, cancellationToken), (uint)_root.Position.Sequence);
            }
            catch (Exception e) when (IsDamage(e))
            {
                Damage.Add($"Page {page.Number} of the segment table cannot be read: {e.Message}");
                _lostTablePages.Add(page.Number);
            }
        }

        if (_lostTablePages.Count == 0) return;
        await LostSegments.ReadAsync(_store, _state, _root, _stored, _lostTablePages, (id, why) => Damage.Add($"Segment {id} cannot be read: {why}"), cancellationToken);
    }

    private async Task LoadMapAsync(CancellationToken cancellationToken)
    {
        foreach (var page in _root.MapPages) await LoadAsync(new MissingPiece(true, page.Number, page.Pointer), cancellationToken);
        foreach (var blob in _root.MapBlobs)
        {
            MissingPiece[] leaves = [.. _stored.Map.PiecesIn(blob.Number).Where(p => !p.IsPage).OrderBy(p => p.Pointer.OffsetBytes)];
            try
            {
                await _loader.LoadAsync(leaves, cancellationToken);
            }
            catch (Exception e) when (IsDamage(e))
            {
                foreach (var leaf in leaves) await LoadAsync(leaf, cancellationToken); // One by one, to know which.
            }
        }
    }

    private async Task LoadAsync(MissingPiece piece, CancellationToken cancellationToken)
    {
        try
        {
            await _loader.LoadAsync([piece], cancellationToken);
        }
        catch (Exception e) when (IsDamage(e))
        {
            Damage.Add($"{(piece.IsPage ? "Page" : "Leaf")} {piece.Number} of the map cannot be read: {e.Message}");
            _isMapDamaged = true;
        }
    }

    private async Task ReplayAsync(CancellationToken cancellationToken)
    {
        var replay = new MapReplay(_state.Volume, _target);
        foreach (var chunk in _stored.Segments.Segments().Chunk(RequestsAtOnce))
        {
            foreach (var metadata in await Task.WhenAll(chunk.Select(s => ReadAsync(s, cancellationToken))))
                if (metadata is var (header, index)) replay.Apply(header, index);
        }
    }

    /// <summary>Header and index of a segment of the table. Null: it is gone, and was free to go.</summary>
    private async Task<(SegmentHeader Header, SegmentIndexEntry[] Index)?> ReadAsync(SegmentUse segment, CancellationToken cancellationToken)
    {
        var id = new SegmentId(_stored.Epochs.EpochOf(segment.Sequence), segment.Sequence);
        try
        {
            if (id.Epoch == 0) throw RecordEnvelope.Damaged($"segment {segment.Sequence}", "the checkpoint does not say which epoch wrote it");
            return await _state.ReadMetadataAsync(_store, new ListedSegment(id, segment.LengthBytes), cancellationToken);
        }
        catch (Exception e) when (IsDamage(e))
        {
            if (segment.LiveBlocks == 0) return null;
            throw Unproven($"segment {id} holds {segment.LiveBlocks} blocks that are in use, and its index cannot be read ({e.Message})");
        }
    }

    private void CopyMap()
    {
        var capacity = (ulong)(_state.Volume.SizeBytes / _state.Volume.BlockSizeBytes);
        for (ulong lba = 0; lba < capacity;)
        {
            if (_stored.Map.Find(lba, (uint)Math.Min(capacity - lba, uint.MaxValue), out var blocks, out var location) == MapAnswer.Data) _target.Map.Set(lba, blocks, location);
            lba += blocks;
        }
    }

    /// <summary>See <see cref="MapReplay"/>: equal counts of every segment prove equal maps.</summary>
    private void ProveCounts()
    {
        foreach (var segment in _stored.Segments.Segments())
        {
            if (_lostTablePages.Contains(segment.Sequence / SegmentTable.SegmentsPerPage)) continue; // Counted again, from a map that is whole.
            _target.Segments.TryGet(segment.Sequence, out var rebuilt);
            if (rebuilt.LiveBlocks != segment.LiveBlocks)
                throw Unproven($"of segment {segment.Sequence} {segment.LiveBlocks} blocks were in use, but {rebuilt.LiveBlocks} would be; what overwrote or trimmed the others is no longer in the bucket");
        }
    }

    /// <summary>The counts prove it already; what is left of the stored map must say the same.</summary>
    private void ProveSameWhereKnown()
    {
        var capacity = (ulong)(_state.Volume.SizeBytes / _state.Volume.BlockSizeBytes);
        for (ulong lba = 0; lba < capacity;)
        {
            var stored = _stored.Map.Find(lba, (uint)Math.Min(capacity - lba, uint.MaxValue), out var blocks, out var location);
            if (stored != MapAnswer.Unloaded)
            {
                var rebuilt = _target.Map.Find(lba, blocks, out var same, out var rebuiltLocation);
                if (rebuilt != stored || rebuiltLocation != location) throw Unproven($"at LBA {lba} it differs from a part of the stored map that is whole");
                blocks = same;
            }

            lba += blocks;
        }
    }

    /// <summary>Behind every number that was ever given, also by checkpoints that are not known here.</summary>
    private async Task<uint> NextMapBlobAsync(CancellationToken cancellationToken)
    {
        long next = _root.NextMapBlob;
        var prefix = _state.Keys.MapPrefix;
        await foreach (var blob in _store.ListAsync(prefix, null, cancellationToken))
            if (VolumeKeys.TryParseMapBlob(blob.Name.AsSpan(prefix.Length), out var id)) next = Math.Max(next, id.Number + 1);
        return checked((uint)next);
    }
}
