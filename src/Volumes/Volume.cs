using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Volumes.Cache;
using Gateway.Volumes.Checkpoints;
using Gateway.Volumes.Cleaning;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Journal;
using Gateway.Volumes.Leases;
using Gateway.Volumes.Log;
using Gateway.Volumes.Map;
using Gateway.Volumes.Names;
using Gateway.Volumes.Reading;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes;

/// <summary>
/// A volume open for writing: a log-structured virtual disk over a blob store. A write is appended to the local journal and acknowledged;
/// a flush is an fdatasync; segments carry the journal to the bucket in order. Two maps say where each block is: the journal's, which
/// wins, and the bucket's. Blocks in neither read as zeroes.
/// </summary>
/// <remarks>Opened by <see cref="VolumeOpener"/>. After a local failure or the loss of ownership it answers every command with that.</remarks>
public sealed class Volume : IBlockDevice, IBurstTarget, IBlockPlaces, IJournalSink, IUploadTarget, IHousekeptVolume, IAsyncDisposable
{
    /// <summary>Longest piece of a write that is journaled as one: a longer one is not atomic.</summary>
    private const int WriteMaxBytes = 8 << 20;

    /// <summary>What is left for the release once <see cref="VolumeOptions.CloseTimeout"/> went by without the journal having been emptied.</summary>
    private static readonly TimeSpan ReleaseTimeoutLate = TimeSpan.FromSeconds(1);

    private readonly IBlobStore _background;
    private readonly VolumeRecord _record;
    private readonly VolumeOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly JournalFile _journal;
    private readonly JournalAppender _appender;
    private readonly SegmentUploader _uploader;
    private readonly VolumeReader _reader;

    private readonly Lock _gate;
    private readonly AsyncMutex _commits = new();
    private readonly ExtentMap<JournalLocation> _journalMap;
    private readonly BucketIndex _bucket;
    private readonly MapLoader _loader;
    private readonly Housekeeper _housekeeper;
    private readonly CompletionGate _completions;
    private readonly WriterAuthority _authority;
    private readonly LeaseKeeper _lease;
    private readonly WriterIdentity _identity;
    private readonly StoreWriter _writer;
    private readonly AsyncMutex _resizes = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly BlockGeometry _geometry;
    private ulong _capacityBlocks;
    private volatile BlockError _state;
    private int _closed;

    internal Volume(RecoveredVolume recovered, long epoch, IBlobStore store, IBlobStore background, WriterAuthority authority, string owner, VolumeOptions options, TimeProvider time, Random random, Func<Guid> newNonce, ILogger logger, CacheFile? cacheFile)
    {
        _background = background;
        _record = recovered.State.Volume;
        _options = options;
        _time = time;
        _logger = logger;
        Epoch = epoch;
        _journal = recovered.Journal;
        _gate = recovered.Gate;
        _journalMap = recovered.JournalMap;
        _bucket = recovered.Bucket;
        _loader = recovered.Loader;
        _geometry = _record.ToGeometry();
        _capacityBlocks = _geometry.CapacityBlocks;
        _authority = authority;
        _identity = new WriterIdentity(recovered.State.Keys, _record.Id, epoch, owner, _journal.Superblock.JournalId);
        _completions = new CompletionGate(authority, FlushLedger.Of(recovered, options.Durability), options.CommandTimeout, time);
        _lease = new LeaseKeeper(background, _identity, authority, _completions, ((IUploadTarget)this).Fenced, time, random, newNonce, logger);
        var appended = recovered.Pending.Count > 0 ? recovered.Pending[^1].Header.EndPosition : _journal.Head;
        _appender = new JournalAppender(_journal, this, _completions, epoch, recovered.NextWrite, appended, _record.BlockSizeBytes, options, time, Measures);
        _writer = new StoreWriter(background, _record, recovered.State.Keys, epoch, options, time, random, logger, authority);
        _uploader = new SegmentUploader(_writer, recovered.State, recovered.BucketWrite, _journal, _appender, this, epoch, options, time, newNonce, logger, Measures);
        _reader = VolumeReader.Create(this, store, _record, recovered.State.Keys, _journal, Geometry, cacheFile, options, time, logger, Measures);
        _housekeeper = new Housekeeper(background, _writer, _record, recovered.State.Keys, epoch, _bucket, _gate, _commits, _loader, _uploader, this, options, time, newNonce, logger, Measures);
        foreach (var batch in recovered.Pending) _uploader.Add(batch);
        // Nothing starts before every part is there: what is replayed may be in the bucket, and count, before this constructor returns.
        _appender.Start();
        _uploader.Start();
        _housekeeper.Start();
        _reader.Start();
        _lease.Start();
    }

    public string Name => _record.Name;

    /// <summary>The writer number under which this gateway has it open.</summary>
    public long Epoch { get; }

    /// <summary>Its shape. The capacity grows by <see cref="ResizeAsync"/>.</summary>
    public BlockGeometry Geometry => _geometry with { CapacityBlocks = Volatile.Read(ref _capacityBlocks) };

    /// <summary>Capacity in bytes.</summary>
    public long SizeBytes => (long)Volatile.Read(ref _capacityBlocks) * _record.BlockSizeBytes;

    public BlockResult Readiness => _state;

    /// <summary>How long it may still acknowledge if the store says nothing more: zero once that time is over, and commands are held; null without a lease.</summary>
    public TimeSpan? LeaseLeft => _authority.Left;

    /// <summary>What it holds and has done, for people and metrics; each figure is read on its own.</summary>
    public VolumeStatistics Statistics
    {
        get
        {
            var (atOnce, fetched) = _reader.Blocks;
            return new VolumeStatistics(Math.Max(0, _journal.Head - _appender.TailPosition), _journal.CapacityBytes, atOnce, fetched, _reader.CachedBytes, GarbageShare);
        }
    }

    /// <summary>What its parts have counted and timed.</summary>
    public VolumeMeasures Measures { get; } = new();

    /// <summary>Time since the oldest write was made that is not in the bucket yet; zero if there is none. What an earlier run left counts from the opening.</summary>
    public TimeSpan OldestDirtyAge => _uploader.OldestAge;

    /// <summary>Whether it may acknowledge.</summary>
    public LeaseState Lease => _authority.State;

    /// <summary>Bytes of blocks that memory keeps at most.</summary>
    public long CacheLimitBytes => _reader.CacheLimitBytes;

    /// <summary>What it takes in the bucket.</summary>
    public VolumeSpace Space
    {
        get
        {
            lock (_gate)
            {
                var (segments, blobs) = (_bucket.Segments, _bucket.Blobs);
                return new VolumeSpace(segments.Count, segments.LengthBytes - segments.DeadLengthBytes, segments.DeadLengthBytes, blobs.LengthBytes, segments.LiveBlocks * _record.BlockSizeBytes);
            }
        }
    }

    /// <summary>Its read path, for tests.</summary>
    internal VolumeReader Reader => _reader;

    /// <summary>Share of the stored blocks that nothing refers to any more, in segments that still hold others: what cleaning looks at. 0 to 1.</summary>
    public double GarbageShare
    {
        get
        {
            lock (_gate) return VictimChoice.Garbage(_bucket.Segments, []);
        }
    }

    public ValueTask<BlockResult> ReadAsync(BlockRange range, ScatterList destination, CancellationToken cancellationToken)
    {
        if (_state != BlockError.None) return new(_state);
        return _completions.GuardAsync(_reader.ReadAsync(range, destination, cancellationToken), cancellationToken);
    }

    public ValueTask<BlockResult> WriteAsync(BlockRange range, ScatterList source, bool forceUnitAccess, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested) return new(BlockError.Aborted);
        if (range.Blocks == 0) return new(_state); // A record of nothing would make a segment without writes.
        if (_completions.IsHolding) return WriteAfterRenewalAsync(range, source, forceUnitAccess, cancellationToken);
        return AppendAsync(range, source, forceUnitAccess, _time.GetTimestamp(), cancellationToken);
    }

    public ValueTask<BlockResult> ZeroAsync(BlockRange range, bool forceUnitAccess, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested) return new(BlockError.Aborted);
        if (range.Blocks == 0) return new(_state);
        if (_completions.IsHolding) return WriteAfterRenewalAsync(range, null, forceUnitAccess, cancellationToken);
        return AppendAsync(range, null, forceUnitAccess, _time.GetTimestamp(), cancellationToken);
    }

    /// <summary>Has the writes that follow wait for each other: they are appended to the journal together.</summary>
    public void BeginBurst() => _appender.BeginBurst();

    /// <summary>Appends what has waited, and starts the flushes that came meanwhile.</summary>
    public void EndBurst() => _appender.EndBurst();

    public ValueTask<BlockResult> FlushAsync(CancellationToken cancellationToken) =>
        cancellationToken.IsCancellationRequested ? new(BlockError.Aborted) : _appender.FlushAsync(cancellationToken);

    /// <summary>Completes when everything written before the call is in the bucket, however long the store takes.</summary>
    /// <exception cref="VolumeException">It will not get there: the volume is closed, offline or owned elsewhere.</exception>
    public async Task DrainAsync(CancellationToken cancellationToken)
    {
        if (await _uploader.DrainAsync(_appender.AppendedPosition).WaitAsync(cancellationToken)) return;
        throw new VolumeException(
            _state == BlockError.Standby ? VolumeErrorKind.Fenced : VolumeErrorKind.LocalDisk,
            $"Volume '{Name}' stopped before all its writes were in the bucket; its log says why. What is left stays in its journal.");
    }

    /// <summary>
    /// Makes the volume larger: in the bucket, then here. 1. The record of the new size is put. 2. A look finds no newer epoch: so whoever opens the volume
    /// after us finds that record. 3. The maps and the uploader take the new blocks, which are holes. 4. <see cref="Geometry"/> says so, and initiators may write there.
    /// </summary>
    /// <returns>True if it is larger than before the call.</returns>
    /// <exception cref="VolumeException">The size cannot be, or is smaller than the volume in the bucket; or the volume is closed, offline or owned elsewhere.</exception>
    /// <exception cref="BlobStoreException">The store failed: nothing has changed here, and the record may be there. It can be called again.</exception>
    /// <exception cref="OperationCanceledException">Cancelled, or the volume is being closed; the record may be there.</exception>
    public Task<bool> ResizeAsync(long sizeBytes, CancellationToken cancellationToken) =>
        GrowAsync(record => VolumeCatalog.Grown(record, sizeBytes, out _), cancellationToken);

    /// <summary>Takes on the size that the volume has in the bucket, if somebody else has made it larger.</summary>
    /// <inheritdoc cref="ResizeAsync"/>
    public Task<bool> RefreshAsync(CancellationToken cancellationToken) => GrowAsync(_ => null, cancellationToken);

    private async Task<bool> GrowAsync(Func<VolumeRecord, VolumeRecord?> change, CancellationToken cancellationToken)
    {
        if (Volatile.Read(ref _closed) != 0) throw NotServing();
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _stop.Token);
        await _resizes.WaitAsync(either.Token);
        try
        {
            if (_state != BlockError.None) throw NotServing();
            if (Mutation.GrownBeforeRecord && change(_record with { SizeBytes = SizeBytes }) is { } early) Grow(early);
            var (_, record) = await VolumeRecords.ChangeAsync(_background, _identity.Keys, change, either.Token).WaitAsync(either.Token);
            if (record.CapacityBlocks <= _capacityBlocks) return false;
            if (!Mutation.GrownWithoutLook) await _writer.RefuseIfFencedAsync(either.Token).WaitAsync(either.Token);
            Grow(record);
            VolumeLog.Resized(_logger, Name, record.SizeBytes);
            return true;
        }
        catch (FencedException e)
        {
            ((IUploadTarget)this).Fenced(e.Epoch);
            throw NotServing();
        }
        finally
        {
            _resizes.Release();
        }
    }

    private void Grow(VolumeRecord record)
    {
        _uploader.Grow(record.CapacityBlocks);
        lock (_gate)
        {
            _journalMap.Grow(record.CapacityBlocks);
            _bucket.Grow(record.SizeBytes);
        }

        _reader.Grow(record.CapacityBlocks);
        Volatile.Write(ref _capacityBlocks, record.CapacityBlocks);
    }

    private VolumeException NotServing() => new(
        _state == BlockError.Standby ? VolumeErrorKind.Fenced : VolumeErrorKind.LocalDisk,
        $"Volume '{Name}' is {(_state == BlockError.Standby ? "owned by another gateway" : "offline")} here, so it was not resized; the log says why.");

    /// <summary>Flushes the journal, tries to bring it to the bucket within <see cref="VolumeOptions.CloseTimeout"/>, and closes.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _closed, 1) != 0) return;
        _stop.Cancel();
        await _appender.DisposeAsync();
        var isLate = false;
        if (_state == BlockError.None)
        {
            try
            {
                await _uploader.DrainAsync(_appender.AppendedPosition).WaitAsync(_options.CloseTimeout, _time);
            }
            catch (TimeoutException)
            {
                // The store is away or slow; the journal keeps what is left. It has had its time: no checkpoint, and a last word if it takes one.
                isLate = true;
            }
        }

        if (_state == BlockError.None && !isLate) await _housekeeper.CloseAsync();
        await _housekeeper.DisposeAsync();
        await _uploader.DisposeAsync();
        await _reader.DisposeAsync();
        _completions.Fail(BlockError.Offline);
        await _lease.DisposeAsync();
        _completions.Dispose();
        if (_state == BlockError.None) await ReleaseAsync(isLate && _options.CloseTimeout > ReleaseTimeoutLate ? ReleaseTimeoutLate : _options.CloseTimeout);
        VolumeLog.Closed(_logger, Name, _journal.Head - _journal.Superblock.TailPosition);
        _state = BlockError.Offline;
        _journal.Dispose();
        await _resizes.WaitAsync(CancellationToken.None);
        _stop.Dispose();
    }

    long IBlockPlaces.JournalTailPosition => _appender.TailPosition;

    PlaceKind IBlockPlaces.Find(ulong lba, uint blocksMax, out Place place)
    {
        lock (_gate)
        {
            if (_journalMap.TryFind(lba, blocksMax, out var blocks, out var journal) && !(Mutation.BucketBeforeJournal && _bucket.Map.Find(lba, 1, out _, out _) == MapAnswer.Data))
            {
                place = new Place(lba, blocks, journal.IsZero ? PlaceKind.Hole : PlaceKind.Journal, journal, default);
                return place.Kind;
            }

            var kind = _bucket.Map.Find(lba, blocks, out blocks, out var segment) switch
            {
                MapAnswer.Data => PlaceKind.Segment,
                MapAnswer.Hole => PlaceKind.Hole,
                _ => PlaceKind.Unloaded,
            };
            place = new Place(lba, blocks, kind, default, segment);
            return kind;
        }
    }

    long IBlockPlaces.EpochOf(long sequence)
    {
        lock (_gate) return _bucket.Epochs.EpochOf(sequence);
    }

    void IBlockPlaces.JournalFailed(IOException failure) => GoOffline("its local journal failed.", failure);

    void IJournalSink.Appended(in JournalBatch batch, ReadOnlySpan<byte> page)
    {
        lock (_gate) RecoveredVolume.Apply(_journalMap, batch.Header, page, _record.BlockSizeBytes);
        _reader.Journaled(batch.Header, page);
        _completions.Ledger.Appended(batch.Header.EndPosition, batch.Header.LastWrite);
        _uploader.Add(batch);
    }

    void IJournalSink.SpaceNeeded(bool isFirst)
    {
        if (isFirst) VolumeLog.JournalFull(_logger, Name);
        _uploader.Hurry(_appender.AppendedPosition);
    }

    void IJournalSink.BucketNeeded(long position) => _uploader.Hurry(position);

    void IJournalSink.JournalFailed(Exception failure) => GoOffline("its local journal failed.", failure);

    void IUploadTarget.LocalFailure(string reason, Exception? exception) => GoOffline(reason, exception);

    async ValueTask IUploadTarget.CommitAsync(BuiltSegment segment, CancellationToken cancellationToken)
    {
        await _commits.WaitAsync(cancellationToken);
        try
        {
            await LoadForCommitAsync(segment, cancellationToken);
            lock (_gate)
            {
                _bucket.Apply(segment.Header, segment.Index);
                if (segment.Header.Kind == SegmentKind.Log)
                    foreach (var entry in segment.Index) ForgetJournaled(entry, segment.Header);
            }
        }
        finally
        {
            _commits.Release();
        }

        _housekeeper.Committed();
    }

    void IHousekeptVolume.Fenced(long epoch) => ((IUploadTarget)this).Fenced(epoch);

    void IUploadTarget.Fenced(long epoch)
    {
        VolumeLog.Fenced(_logger, Name, epoch);
        Stop(BlockError.Standby);
    }

    /// <summary>What a moved segment needs was loaded when its survivors were chosen, and may have been evicted since.</summary>
    private async ValueTask LoadForCommitAsync(BuiltSegment segment, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                await _loader.LoadAsync((out MissingPiece missing) => _bucket.TryGetMissing(segment.Header, segment.Index, out missing), cancellationToken);
                return;
            }
            catch (BlobStoreException) when (!cancellationToken.IsCancellationRequested)
            {
                await Task.Delay(_options.RetryDelayMax, _time, cancellationToken);
            }
        }
    }

    private void GoOffline(string reason, Exception? exception)
    {
        VolumeLog.Offline(_logger, Name, reason, exception);
        Stop(BlockError.Offline);
    }

    private void Stop(BlockError error)
    {
        lock (_gate)
        {
            if (_state == BlockError.None) _state = error;
        }

        _lease.End();
        _completions.Fail(error);
        _appender.Fail(error);
    }

    /// <summary>Tells other gateways that they need not wait for our lease: nothing is acknowledged any more.</summary>
    private async Task ReleaseAsync(TimeSpan limit)
    {
        // The appender has flushed all of it: what is not in the bucket is missing to whoever opens without this journal.
        var progress = _completions.Ledger.Progress;
        var release = new ReleaseRecord
        {
            Epoch = Epoch,
            Owner = _identity.Owner,
            Nonce = _identity.JournalId,
            At = _time.GetUtcNow(),
            JournalEpoch = Epoch,
            JournalOwner = _identity.Owner,
            JournalId = _identity.JournalId,
            LastWriteFlushed = _options.Durability == Durability.Journal ? progress.LastWrite : progress.LastWriteInBucket,
            LastWriteInBucket = progress.LastWriteInBucket,
        };
        try
        {
            using var timeout = new CancellationTokenSource(limit, _time);
            await Heartbeat.ReleaseAsync(_background, _identity.Keys, _record.Id, release, timeout.Token).AsTask().WaitAsync(timeout.Token);
            VolumeLog.Released(_logger, Name, Epoch, release.LastWriteFlushed > release.LastWriteInBucket ? ", once this journal has been sent" : "");
        }
        catch (Exception e)
        {
            // Nothing is lost: the next gateway waits, as after a crash.
            VolumeLog.NotReleased(_logger, Name, e.Message);
        }
    }

    /// <summary>While writes are held that took effect already, no more begin: initiators repeat them, and the journal would fill with what nobody was told of.</summary>
    private ValueTask<BlockResult> WriteAfterRenewalAsync(BlockRange range, ScatterList? source, bool forceUnitAccess, CancellationToken cancellationToken)
    {
        var arrivedAt = _time.GetTimestamp();
        var answer = new TaskCompletionSource<BlockResult>(TaskCreationOptions.RunContinuationsAsynchronously);
        // Queued where they pass, in the order in which they came.
        _completions.Pass(arrivedAt, passed =>
        {
            if (!passed.IsSuccess) answer.SetResult(passed);
            else if (cancellationToken.IsCancellationRequested) answer.SetResult(BlockError.Aborted);
            else _ = AnswerAsync(AppendAsync(range, source, forceUnitAccess, arrivedAt, cancellationToken));
        }, cancellationToken);
        return new(answer.Task);

        async Task AnswerAsync(ValueTask<BlockResult> append) => answer.SetResult(await append);
    }

    private ValueTask<BlockResult> AppendAsync(BlockRange range, ScatterList? source, bool forceUnitAccess, long arrivedAt, CancellationToken cancellationToken) =>
        source is null || source.LengthBytes <= WriteMaxBytes
            ? _appender.WriteAsync(range, source, forceUnitAccess, arrivedAt, cancellationToken)
            : WriteInPiecesAsync(range, source, forceUnitAccess, arrivedAt, cancellationToken);

    private async ValueTask<BlockResult> WriteInPiecesAsync(BlockRange range, ScatterList source, bool forceUnitAccess, long arrivedAt, CancellationToken cancellationToken)
    {
        for (var done = 0; done < source.LengthBytes;)
        {
            var length = Math.Min(WriteMaxBytes, source.LengthBytes - done);
            var piece = new ScatterList();
            piece.AddSlice(source, done, length);
            var blocks = (uint)(length / _record.BlockSizeBytes);
            var result = await _appender.WriteAsync(new BlockRange(range.Lba + (ulong)(done / _record.BlockSizeBytes), blocks), piece, forceUnitAccess, arrivedAt, cancellationToken);
            if (result.Error == BlockError.Aborted && done > 0) return BlockError.StoreUnavailable; // What came before has had its effect.
            if (!result.IsSuccess) return result;
            done += length;
        }

        return BlockResult.Success;
    }

    /// <summary>Brings the map's leaf for a block.</summary>
    async ValueTask<BlockError> IBlockPlaces.LoadAsync(ulong lba)
    {
        try
        {
            using var timeout = new CancellationTokenSource(_options.CommandTimeout, _time);
            await _loader.LoadAsync(lba, timeout.Token).AsTask().WaitAsync(timeout.Token);
            return BlockError.None;
        }
        catch (VolumeException e)
        {
            VolumeLog.MapDamaged(_logger, Name, lba, e.Message);
            return BlockError.Corrupt;
        }
        catch (BlobStoreException e)
        {
            if (e.Kind is not (BlobErrorKind.NotFound or BlobErrorKind.Corrupt))
            {
                VolumeLog.ReadFailed(_logger, Name, "the map", e.Message);
                return BlockError.StoreUnavailable;
            }

            VolumeLog.MapDamaged(_logger, Name, lba, e.Message);
            return BlockError.Corrupt;
        }
        catch (OperationCanceledException)
        {
            return BlockError.StoreUnavailable;
        }
        catch (Exception e)
        {
            // What a store must not throw: the commands that wait here must end all the same.
            VolumeLog.ReadFailed(_logger, Name, "the map", e.ToString());
            return BlockError.StoreUnavailable;
        }
    }

    /// <summary>Takes what is now in the bucket out of the journal's map, but for blocks that were written again since.</summary>
    private void ForgetJournaled(in SegmentIndexEntry entry, in SegmentHeader header)
    {
        for (uint done = 0; done < entry.Blocks;)
        {
            if (_journalMap.TryFind(entry.Lba + done, entry.Blocks - done, out var length, out var journal) && (Mutation.NewerWritesForgotten || journal.WriteNumber <= header.LastWrite))
            {
                _journalMap.Remove(entry.Lba + done, length);
                if (entry.Kind == ExtentKind.Data && !journal.IsZero)
                {
                    var segment = new SegmentLocation(header.Id.Sequence, entry.FrameOffsetBytes, entry.FrameLengthBytes).Advance(done);
                    _reader.Moved(new Place(entry.Lba + done, length, PlaceKind.Journal, journal, default), new Place(entry.Lba + done, length, PlaceKind.Segment, default, segment));
                }
            }

            done += length;
        }
    }
}
