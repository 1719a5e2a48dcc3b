using System.Buffers;
using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Log;
using Gateway.Volumes.Map;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Checkpoints;

/// <summary>
/// Writes checkpoints: the leaves of the map that changed since the last one, then a root that names them all, so that an opening needs no
/// more of the log than what is behind it.
/// </summary>
/// <remarks>
/// 1. Commits are held: missing bases are loaded, the changed leaves frozen, the position noted. 2. Commits go on; the pieces are put, then
/// the root, each under a name that was never used. 3. A look finds no newer epoch. Only then is the checkpoint in force here: what it no
/// longer refers to may be removed. A root that a fenced writer leaves behind does no harm: it covers only segments that counted, and it
/// refers only to what nobody but its own epoch, which removes nothing any more, or a successor with a root of its own removes.
/// A number once tried is never given to other content: an earlier put of it may still arrive.
/// </remarks>
internal sealed class Checkpointer
{
    private const int BlobBytes = 4 << 20;

    /// <summary>A map blob of which less than one part in this many is live is written again.</summary>
    private const int SparseShare = 4;

    /// <summary>Live bytes of such blobs that one checkpoint writes again.</summary>
    private const int RewriteMaxBytes = 1 << 20;

    /// <summary>Pages that one checkpoint loads in search of such blobs' leaves: half a megabyte of memory at most.</summary>
    private const int UnloadedPagesMax = 32;

    private readonly StoreWriter _writer;
    private readonly VolumeRecord _volume;
    private readonly VolumeKeys _keys;
    private readonly long _epoch;
    private readonly BucketIndex _index;
    private readonly Lock _gate;
    private readonly AsyncMutex _commits;
    private readonly MapLoader _loader;
    private readonly Func<Guid> _newNonce;
    private readonly ILogger _logger;
    private long _nextRoot = 1;
    private int _nextUnloaded;

    public Checkpointer(
        StoreWriter writer, VolumeRecord volume, VolumeKeys keys, long epoch, BucketIndex index, Lock gate, AsyncMutex commits, MapLoader loader, Func<Guid> newNonce, ILogger logger)
    {
        _writer = writer;
        _volume = volume;
        _keys = keys;
        _epoch = epoch;
        _index = index;
        _gate = gate;
        _commits = commits;
        _loader = loader;
        _newNonce = newNonce;
        _logger = logger;
    }

    /// <summary>What a checkpoint made free: to be removed after a grace period.</summary>
    /// <param name="IsNew">False: nothing has changed since the one in force, which may be that of an earlier epoch; what it made free is still there.</param>
    /// <param name="Root">The root before it.</param>
    /// <param name="MapBlobs">Map blobs that it does not refer to any more.</param>
    /// <param name="Segments">Segments without a live block.</param>
    internal sealed record Superseded(bool IsNew, BlobKey? Root, BlobKey[] MapBlobs, SegmentId[] Segments);

    /// <summary>Writes one checkpoint of all that counts now, unless nothing has changed since the last one; one at a time.</summary>
    /// <exception cref="FencedException">A newer epoch exists, or somebody else writes in ours.</exception>
    /// <exception cref="VolumeException">A piece of the map is damaged.</exception>
    /// <exception cref="BlobStoreException">A base could not be read; nothing was written.</exception>
    /// <exception cref="OperationCanceledException">The volume is being closed.</exception>
    public async Task<Superseded> RunAsync(CancellationToken cancellationToken)
    {
        var capture = await CaptureAsync(cancellationToken);
        if (capture is null || Mutation.DeadRemovedWithoutCheckpoint)
        {
            lock (_gate) return new Superseded(IsNew: false, null, [], DeadSegments());
        }

        var published = false;
        try
        {
            var writing = new Writing(this, capture);
            await writing.PutPiecesAsync(cancellationToken);
            MapBlobUse[] blobs, dead;
            uint[] miscounted;
            lock (_gate) (blobs, dead, miscounted) = _index.Blobs.After(writing.Added, writing.Superseded());
            foreach (var number in miscounted) VolumeLog.MapBlobMiscounted(_logger, _volume.Name, number);
            var old = _index.Root;
            var root = writing.ToRoot(new CheckpointId(_epoch, _nextRoot++), _newNonce(), blobs);
            await _writer.PutAsync(_keys.Checkpoint(root.Id), root.Encode(), cancellationToken);
            await _writer.RefuseIfFencedAsync(cancellationToken);
            lock (_gate)
            {
                _index.Map.Publish(capture.Map);
                _index.Segments.Publish(capture.Segments);
                _index.Blobs.Publish(blobs);
                _index.Published(root, capture.Bytes, capture.SegmentCount);
                published = true;
            }

            VolumeLog.CheckpointStored(_logger, _volume.Name, root.Id, capture.Position, writing.LengthBytes);
            return new Superseded(IsNew: true, old is null ? null : _keys.Checkpoint(old.Id), [.. dead.Select(b => _keys.MapBlob(b.Id))], capture.Dead);
        }
        finally
        {
            if (!published)
            {
                lock (_gate)
                {
                    _index.Map.Abandon(capture.Map);
                    _index.Segments.Abandon(capture.Segments);
                }
            }
        }
    }

    private async Task<Capture?> CaptureAsync(CancellationToken cancellationToken)
    {
        await MarkSparseBlobsAsync(cancellationToken);
        await LoadBasesAsync(cancellationToken); // Most of them before commits are held.
        await _commits.WaitAsync(cancellationToken);
        try
        {
            await LoadBasesAsync(cancellationToken);
            lock (_gate)
            {
                if (_index.SegmentsSinceRoot == 0 && _index.Map.DirtyLeaves == 0 && _index.Segments.EncodedDirtyBytes == 0) return null;
                return new Capture(
                    _index.Map.Freeze(), _index.Segments.Freeze(), _index.Position, _index.LastWrite, [.. _index.Epochs.Spans], _index.BytesSinceRoot, _index.SegmentsSinceRoot,
                    DeadSegments());
            }
        }
        finally
        {
            _commits.Release();
        }
    }

    private SegmentId[] DeadSegments() => [.. _index.Segments.Segments().Where(s => s.LiveBlocks == 0).Select(s => new SegmentId(_index.Epochs.EpochOf(s.Sequence), s.Sequence))];

    /// <summary>Has the pieces in map blobs that are mostly dead written again, so that those blobs can go.</summary>
    private async Task MarkSparseBlobsAsync(CancellationToken cancellationToken)
    {
        MissingPiece[] pages = [];
        MapBlobUse[] sparse;
        lock (_gate)
        {
            if (_index.SegmentsSinceRoot == 0) return;
            sparse = SparseBlobs();

            // Only a page in memory can tell where its leaves are: what is in none of those is in some of the others.
            if (sparse.Any(b => LiveBytesKnown(b.Number) < b.LiveBytes)) pages = UnloadedPages();
        }

        await _loader.LoadAsync(pages, cancellationToken);
        lock (_gate)
        {
            foreach (var blob in sparse)
            {
                foreach (var piece in _index.Map.PiecesIn(blob.Number).ToArray())
                {
                    if (piece.IsPage) _index.Map.MarkPageDirty((int)piece.Number);
                    else _index.Map.MarkDirty(piece.Number);
                }

                foreach (var page in _index.Segments.Pages)
                    if (page.Pointer.Blob == blob.Number) _index.Segments.MarkPageDirty(page.Number);
            }
        }
    }

    /// <summary>The sparsest first, up to what one checkpoint may write again, but one at least.</summary>
    private MapBlobUse[] SparseBlobs()
    {
        var chosen = new List<MapBlobUse>();
        long bytes = 0;
        foreach (var blob in _index.Blobs.Blobs.Where(b => b.LiveBytes < b.LengthBytes / SparseShare).OrderBy(b => b.LiveBytes))
        {
            bytes += blob.LiveBytes;
            if (chosen.Count > 0 && bytes > RewriteMaxBytes) break;
            chosen.Add(blob);
        }

        return [.. chosen];
    }

    private long LiveBytesKnown(uint blob) =>
        _index.Map.PiecesIn(blob).Sum(p => (long)p.Pointer.LengthBytes) + _index.Segments.Pages.Where(p => p.Pointer.Blob == blob).Sum(p => (long)p.Pointer.LengthBytes);

    /// <summary>Some of the map's pages that are not in memory, other ones each time, in order of their place.</summary>
    private MissingPiece[] UnloadedPages()
    {
        var pages = _index.Map.UnloadedPages(_nextUnloaded, UnloadedPagesMax);
        _nextUnloaded = pages.Length == UnloadedPagesMax ? (int)pages[^1].Number + 1 : 0;
        return [.. pages.OrderBy(p => (p.Pointer.Blob, p.Pointer.OffsetBytes))];
    }

    private async Task LoadBasesAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            MissingPiece[] missing;
            lock (_gate) missing = [.. _index.Map.MissingForFreeze()];
            if (missing.Length == 0) return;
            await _loader.LoadAsync(missing, cancellationToken);
        }
    }

    /// <summary>The volume at one position of its log.</summary>
    private sealed record Capture(
        FrozenMap Map, FrozenSegmentTable Segments, SegmentId Position, long LastWrite, EpochSpan[] Epochs, long Bytes, int SegmentCount, SegmentId[] Dead);

    /// <summary>Lays the pieces of one capture out in blobs and puts them.</summary>
    private sealed class Writing(Checkpointer owner, Capture capture)
    {
        private ArrayBufferWriter<byte> _content = new();
        private uint _number;

        public List<MapBlobUse> Added { get; } = [];

        public long LengthBytes => Added.Sum(b => (long)b.LengthBytes);

        /// <summary>Leaves first, then the pages that point to them, then the segment table.</summary>
        public async Task PutPiecesAsync(CancellationToken cancellationToken)
        {
            foreach (var leaf in capture.Map.Leaves)
                if (!leaf.IsEmpty) leaf.NewPointer = await AddAsync(leaf.EncodeTo, cancellationToken);
            foreach (var page in capture.Map.Pages)
                if (!page.IsEmpty) page.NewPointer = await AddAsync(page.EncodeTo, cancellationToken);
            foreach (var page in capture.Segments.Pages)
                if (!page.IsEmpty) page.NewPointer = await AddAsync(page.EncodeTo, cancellationToken);
            if (_content.WrittenCount > 0) await PutBlobAsync(cancellationToken);
        }

        public IEnumerable<PiecePointer> Superseded() => capture.Map.Superseded.Concat(capture.Segments.Superseded);

        public CheckpointRoot ToRoot(CheckpointId id, Guid nonce, MapBlobUse[] blobs)
        {
            uint next;
            lock (owner._gate) next = owner._index.Blobs.NextNumber;
            return new CheckpointRoot
            {
                VolumeId = owner._volume.Id,
                Id = id,
                Nonce = nonce,
                Position = Mutation.CheckpointCoversLater ? owner._index.Position : capture.Position,
                LastWrite = capture.LastWrite,
                Epochs = capture.Epochs,
                MapPages = capture.Map.AllPages(),
                SegmentPages = capture.Segments.AllPages(),
                MapBlobs = blobs,
                NextMapBlob = next,
            };
        }

        private async ValueTask<PiecePointer> AddAsync(Func<IBufferWriter<byte>, int> encode, CancellationToken cancellationToken)
        {
            if (_content.WrittenCount >= BlobBytes) await PutBlobAsync(cancellationToken);
            if (_content.WrittenCount == 0)
            {
                lock (owner._gate) _number = owner._index.Blobs.TakeNumber();
                _content.GetSpan(MapBlobHeader.HeaderLengthBytes)[..MapBlobHeader.HeaderLengthBytes].Clear();
                _content.Advance(MapBlobHeader.HeaderLengthBytes);
            }

            var start = _content.WrittenCount;
            var length = encode(_content);
            var crc = Crc32C.Compute(_content.WrittenSpan.Slice(start, length), MapBlobHeader.Seed(owner._volume.Id, Id));
            return new PiecePointer(_number, (uint)start, (uint)length, crc);
        }

        private MapBlobId Id => new(owner._epoch, _number);

        private async ValueTask PutBlobAsync(CancellationToken cancellationToken)
        {
            // A buffer of its own for each blob: a put whose answer is lost may go on reading it.
            var content = _content.WrittenSpan.ToArray();
            _content = new ArrayBufferWriter<byte>();
            new MapBlobHeader(owner._volume.Id, Id, content.Length).WriteTo(content);
            var put = owner._writer.PutAsync(owner._keys.MapBlob(Id), content, cancellationToken);
            if (!Mutation.RootBeforeLeaves) await put;
            Added.Add(new MapBlobUse(_number, Id, (uint)content.Length, (uint)(content.Length - MapBlobHeader.HeaderLengthBytes)));
        }
    }
}
