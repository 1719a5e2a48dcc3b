using Gateway.Backends.Core;
using Gateway.Diagnostics;
using Gateway.Scsi;
using Gateway.Volumes.Cache;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Journal;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Reading;

/// <summary>Serves a volume's reads: holes and cached blocks at once, the rest from the journal, the cache file and the bucket.</summary>
/// <remarks>
/// Thread safe. The destination is the caller's again only when everything that was started for the read has ended.
/// A read that memory can serve allocates nothing.
/// </remarks>
internal sealed class VolumeReader : IAsyncDisposable
{
    /// <summary>Looks at the map before a read gives up on a journal that gives its space back faster than it can be read.</summary>
    private const int AttemptsMax = 16;

    private readonly CancellationTokenSource _stop;
    private readonly IBlockPlaces _places;
    private readonly FrameFetcher _fetcher;
    private readonly RangeFetcher _ranges;
    private readonly PageCache _cache;
    private readonly CacheFile? _file;
    private readonly JournalFile _journal;
    private readonly BlockGeometry _geometry;
    private readonly PinnedHead _head;
    private readonly HeadKeeper _keeper;
    private readonly StreamDetector _streams;
    private readonly ReadAhead _ahead;
    private readonly VolumeOptions _options;
    private readonly TimeProvider _time;
    private readonly VolumeMeasures _measures;
    private volatile bool _isClosed;
    private long _blocksAtOnce;
    private long _blocksFetched;

    private VolumeReader(
        CancellationTokenSource stop, IBlockPlaces places, FrameFetcher fetcher, RangeFetcher ranges, PageCache cache, CacheFile? file, JournalFile journal, BlockGeometry geometry, VolumeOptions options, TimeProvider time, VolumeMeasures measures)
    {
        _measures = measures;
        _stop = stop;
        _places = places;
        _fetcher = fetcher;
        _ranges = ranges;
        _cache = cache;
        _file = file;
        _journal = journal;
        _geometry = geometry;
        _options = options;
        _time = time;
        _head = new PinnedHead(geometry);
        _keeper = new HeadKeeper(places, _head, ReadUnobservedAsync, options, time, geometry.BlockLengthBytes);
        _streams = new StreamDetector(geometry.BlockLengthBytes, geometry.CapacityBlocks, cache.StreamBytes);
        _ahead = new ReadAhead(places, fetcher, cache, _head, _streams, geometry.BlockLengthBytes, geometry.CapacityBlocks, options.ReadWindow * 2);
    }

    /// <summary>Fetches parts of the map through the same tiers.</summary>
    public IRangeFetcher Ranges => _ranges;

    /// <summary>True while the first MiB is in memory as it is now.</summary>
    public bool IsHeadWhole => _keeper.IsWhole;

    /// <summary>True while the second tier works.</summary>
    public bool IsFileServing => _file?.IsServing ?? false;

    /// <summary>Blocks that initiators read and that were in memory, or never written; and those that had to be fetched.</summary>
    public (long AtOnce, long Fetched) Blocks => (Volatile.Read(ref _blocksAtOnce), Volatile.Read(ref _blocksFetched));

    /// <summary>Bytes that memory holds of it.</summary>
    public long CachedBytes => _cache.UsedBytes;

    /// <summary>Bytes that memory holds of it at most.</summary>
    public long CacheLimitBytes => _cache.CapacityBytes + _cache.StreamBytes;

    /// <param name="places">Says where blocks are.</param>
    /// <param name="store">Where segments are.</param>
    /// <param name="volume">The volume.</param>
    /// <param name="keys">Its names.</param>
    /// <param name="journal">Where blocks are that are not in the bucket yet.</param>
    /// <param name="geometry">The volume's shape.</param>
    /// <param name="file">The second tier; null for none. The reader closes it.</param>
    /// <param name="options">Bounds and timeouts.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">Failures.</param>
    /// <param name="measures">Takes counts and times.</param>
    public static VolumeReader Create(
        IBlockPlaces places, IBlobStore store, VolumeRecord volume, VolumeKeys keys, JournalFile journal, BlockGeometry geometry, CacheFile? file, VolumeOptions options, TimeProvider time, ILogger logger, VolumeMeasures measures)
    {
        var stop = new CancellationTokenSource();
        var cache = new PageCache(options.CacheBytes, options.ReadAheadBytes);
        var window = new RequestWindow(options.ReadWindow);
        var fetcher = new FrameFetcher(store, volume, keys, places, cache, file, window, options, time, logger, measures);
        var ranges = new RangeFetcher(store, volume.Name, file, window, options, time, logger, measures, stop.Token);
        return new VolumeReader(stop, places, fetcher, ranges, cache, file, journal, geometry, options, time, measures);
    }

    /// <summary>Starts what runs in the background: loading the first MiB, and the cache file.</summary>
    public void Start()
    {
        _file?.Start();
        _keeper.Start();
    }

    public ValueTask<BlockResult> ReadAsync(BlockRange range, ScatterList destination, CancellationToken cancellationToken)
    {
        var advice = _streams.Observe(range);
        if (advice.AheadBlocks > 0) _ = _ahead.StartAsync(advice);
        var done = ReadAtOnce(range, destination, advice.IsStream);
        Interlocked.Add(ref _blocksAtOnce, done);
        if (done == range.Blocks) return new(BlockResult.Success);
        Interlocked.Add(ref _blocksFetched, range.Blocks - done);
        return new(ReadMeasuredAsync(range, done, destination, advice, cancellationToken));
    }

    /// <summary>The volume has grown. Its first MiB is what it was: no volume is smaller.</summary>
    public void Grow(ulong capacityBlocks)
    {
        _streams.Grow(capacityBlocks);
        _ahead.Grow(capacityBlocks);
    }

    /// <summary>A batch is in the journal: its blocks have a new place.</summary>
    public void Journaled(in JournalBatchHeader header, ReadOnlySpan<byte> page)
    {
        for (var i = 0; i < header.RecordCount; i++)
        {
            if (JournalBatchHeader.RecordAt(page, i).Lba >= _head.Blocks) continue;
            _keeper.Changed();
            return;
        }
    }

    /// <summary>Blocks that are in the journal are now also in the bucket, with the same bytes: what is cached of them stays cached.</summary>
    /// <param name="from">Where they are in the journal.</param>
    /// <param name="to">Where they are in the bucket.</param>
    public void Moved(in Place from, in Place to)
    {
        if (from.Lba < _head.Blocks)
        {
            _head.Move(from, to);
            _keeper.Changed();
        }

        _cache.Move(
            FrameKey.Of(from.Journal), from.BlockOffset * _geometry.BlockLengthBytes,
            FrameKey.Of(to.Segment), to.BlockOffset * _geometry.BlockLengthBytes, (int)from.Blocks * _geometry.BlockLengthBytes);
    }

    /// <summary>Ends what runs in the background; reads fail from now on.</summary>
    public async ValueTask DisposeAsync()
    {
        _isClosed = true;
        _stop.Cancel();
        await _fetcher.DisposeAsync(); // First: whoever waits for a fetch is let go.
        await _keeper.DisposeAsync();
        if (_file is not null) await _file.DisposeAsync();
        _cache.Dispose();
        _head.Dispose();
        _stop.Dispose();
    }

    /// <summary>Reads for the gateway itself: says nothing about what initiators will ask for.</summary>
    private ValueTask<BlockResult> ReadUnobservedAsync(BlockRange range, ScatterList destination) => ReadAsync(range, destination, default, CancellationToken.None);

    private ValueTask<BlockResult> ReadAsync(BlockRange range, ScatterList destination, in StreamAdvice advice, CancellationToken cancellationToken)
    {
        var done = ReadAtOnce(range, destination, advice.IsStream);
        return done == range.Blocks ? new(BlockResult.Success) : ReadRestAsync(range, done, destination, advice, cancellationToken);
    }

    private ValueTask<BlockResult> ReadRestAsync(BlockRange range, uint done, ScatterList destination, in StreamAdvice advice, CancellationToken cancellationToken) =>
        new(ReadSlowlyAsync(RestOf(range, done), destination, advice, default, cancellationToken));

    private async Task<BlockResult> ReadMeasuredAsync(BlockRange range, uint done, ScatterList destination, StreamAdvice advice, CancellationToken cancellationToken)
    {
        var (trace, from) = (TraceHandle.Current, _time.GetTimestamp()); // Still on the command's thread.
        var result = await ReadSlowlyAsync(RestOf(range, done), destination, advice, trace, cancellationToken);
        var to = _time.GetTimestamp();
        _measures.Reads.Add(_time.GetElapsedTime(from, to));
        trace.Mark(TraceStage.CacheMiss, from, to);
        return result;
    }

    private Piece RestOf(BlockRange range, uint done) => new(range.Lba + done, range.Blocks - done, (int)done * _geometry.BlockLengthBytes);

    /// <summary>Serves a read from holes and memory alone, up to the first block that must be fetched; the number of blocks before it.</summary>
    private uint ReadAtOnce(BlockRange range, ScatterList destination, bool isStream)
    {
        uint done = 0;
        while (done < range.Blocks)
        {
            var kind = _places.Find(range.Lba + done, range.Blocks - done, out var place);
            var offset = (int)done * _geometry.BlockLengthBytes;
            if (kind == PlaceKind.Hole) destination.Clear(offset, (int)place.Blocks * _geometry.BlockLengthBytes);
            else if (kind == PlaceKind.Unloaded || !TryCopy(place, destination, offset, isStream)) return done;
            done += place.Blocks;
        }

        return done;
    }

    private bool TryCopy(in Place place, ScatterList destination, int offset, bool isStream)
    {
        if (place.Lba < _head.Blocks && _head.TryCopy(place, destination, offset)) return true;
        var key = place.Kind == PlaceKind.Journal ? FrameKey.Of(place.Journal) : FrameKey.Of(place.Segment);
        return _cache.TryCopy(key, place.BlockOffset * _geometry.BlockLengthBytes, (int)place.Blocks * _geometry.BlockLengthBytes, destination, offset, isStream);
    }

    /// <summary>
    /// Fetches what memory does not have. A look at the map may be outdated when its blocks are fetched: the journal may have given their
    /// space back, a segment may be gone. If the map then says something else, those blocks are looked up again.
    /// </summary>
    private async Task<BlockResult> ReadSlowlyAsync(Piece rest, ScatterList destination, StreamAdvice advice, TraceHandle trace, CancellationToken cancellationToken)
    {
        var startedAt = _time.GetTimestamp();
        var pieces = new List<Piece> { rest };
        for (var attempt = 0; attempt < AttemptsMax && !_isClosed; attempt++)
        {
            var operation = new ReadOperation(destination, _geometry.BlockLengthBytes) { Trace = trace };
            var again = new List<Piece>();
            var error = BlockError.None;
            try
            {
                var (needs, journaled) = (new List<FrameNeed>(), new List<FrameNeed>());
                foreach (var piece in pieces)
                {
                    error = await LookUpAsync(piece, destination, advice, needs, journaled, startedAt, cancellationToken);
                    if (error != BlockError.None) break;
                }

                if (error == BlockError.None)
                {
                    if (needs.Count > 0 && _fetcher.Fetch(needs, operation, advice.IsStream) > 0 && advice.WasAhead) _streams.Lost(advice);
                    foreach (var need in journaled) await ReadJournaledAsync(need, operation, again);
                }
            }
            catch (ObjectDisposedException)
            {
                error = BlockError.Offline; // Closed meanwhile.
            }
            catch (IOException e)
            {
                _places.JournalFailed(e);
                error = BlockError.Offline;
            }

            await operation.EndAsync(_time, _options.CommandTimeout - _time.GetElapsedTime(startedAt), cancellationToken);
            if (error != BlockError.None) return error;
            if (operation.IsAbandoned && cancellationToken.IsCancellationRequested) return BlockError.Aborted;
            if (operation.IsAbandoned) break;
            var result = Judge(operation.Failures, again, _time.GetElapsedTime(startedAt) < _options.CommandTimeout);
            if (!result.IsSuccess || again.Count == 0) return result;
            if (_time.GetElapsedTime(startedAt) >= _options.CommandTimeout) break;
            pieces = again;
        }

        return _isClosed ? BlockError.Offline : BlockError.StoreUnavailable;
    }

    /// <summary>Serves what it can, and notes what must be fetched.</summary>
    private async ValueTask<BlockError> LookUpAsync(Piece piece, ScatterList destination, StreamAdvice advice, List<FrameNeed> needs, List<FrameNeed> journaled, long startedAt, CancellationToken cancellationToken)
    {
        for (uint done = 0; done < piece.Blocks;)
        {
            var kind = _places.Find(piece.Lba + done, piece.Blocks - done, out var place);
            if (kind == PlaceKind.Unloaded)
            {
                var error = await LoadAsync(place.Lba, startedAt, cancellationToken);
                if (error != BlockError.None) return error;
                continue;
            }

            var offset = piece.OffsetBytes + ((int)done * _geometry.BlockLengthBytes);
            done += place.Blocks;
            if (kind == PlaceKind.Hole) destination.Clear(offset, (int)place.Blocks * _geometry.BlockLengthBytes);
            else if (!TryCopy(place, destination, offset, advice.IsStream)) (kind == PlaceKind.Journal ? journaled : needs).Add(new FrameNeed(place, offset));
        }

        return BlockError.None;
    }

    private async ValueTask<BlockError> LoadAsync(ulong lba, long startedAt, CancellationToken cancellationToken)
    {
        var left = _options.CommandTimeout - _time.GetElapsedTime(startedAt);
        if (left <= TimeSpan.Zero) return BlockError.StoreUnavailable;
        var load = _places.LoadAsync(lba);
        if (load.IsCompleted) return await load;
        try
        {
            return await load.AsTask().WaitAsync(left, _time, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            return BlockError.Aborted; // The load goes on, for the map and for others, as long as a command may take.
        }
        catch (TimeoutException)
        {
            return BlockError.StoreUnavailable;
        }
    }

    /// <summary>
    /// Reads blocks that were in the journal at the last look. The uploader may give their space back meanwhile, and a new batch overwrite
    /// it; that is seen by the tail having passed them after the read, and then they are in the bucket: look again.
    /// </summary>
    private async ValueTask ReadJournaledAsync(FrameNeed need, ReadOperation operation, List<Piece> again)
    {
        var location = need.Place.Journal;
        var length = location.RecordBlocks * _geometry.BlockLengthBytes;
        var buffer = RangeBuffers.Rent(length);
        var from = _time.GetTimestamp();
        await _journal.ReadAsync(buffer.AsMemory(0, length), location.DataPosition);
        _measures.JournalFetches.Add(_time.GetElapsedTime(from));
        if (_places.JournalTailPosition > location.DataPosition && !Mutation.JournalSpaceUnchecked)
        {
            again.Add(new Piece(need.Place.Lba, need.Place.Blocks, need.OffsetBytes));
        }
        else if (Mutation.JournalSpaceUnchecked || Crc32C.Compute(buffer.AsSpan(0, length)) == location.DataCrc)
        {
            _cache.Add(FrameKey.Of(location), buffer.AsSpan(0, length), PageCache.PagesOf(need.Place.BlockOffset * _geometry.BlockLengthBytes, (int)need.Place.Blocks * _geometry.BlockLengthBytes), isStream: false);
            operation.Expect();
            operation.Deliver(need.Place, need.OffsetBytes, buffer.AsSpan(0, length));
        }
        else
        {
            throw new IOException($"Journal '{_journal.Path}' does not return what was written to it at position {location.DataPosition}.");
        }

        RangeBuffers.Return(buffer);
    }

    /// <summary>The read's outcome: that of the first part that failed for good. Parts whose blocks are elsewhere by now, or whose fetch was old, are to be read again.</summary>
    private BlockResult Judge(IReadOnlyList<FailedPart> failures, List<Piece> again, bool hasTime)
    {
        FailedPart? first = null;
        foreach (var failure in failures)
        {
            var place = failure.Place;
            if (failure.IsTimeUp && hasTime) // Another read had begun that fetch, long ago.
                again.Add(new Piece(place.Lba, place.Blocks, failure.OffsetBytes));
            else if (failure.Error == BlockError.Corrupt && (_places.Find(place.Lba, place.Blocks, out var now) != place.Kind || !now.IsSameAs(place)))
                again.Add(new Piece(place.Lba, place.Blocks, failure.OffsetBytes));
            else if (first is null || place.Lba < first.Value.Place.Lba)
                first = failure;
        }

        if (first is not { } failed) return BlockResult.Success;
        return new BlockResult(failed.Error, failed.Error == BlockError.Corrupt ? failed.Place.Lba : null);
    }

    /// <summary>Blocks that are still to be read, and where they go.</summary>
    private readonly record struct Piece(ulong Lba, uint Blocks, int OffsetBytes);
}
