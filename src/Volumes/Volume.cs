using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Volumes.Cache;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Journal;
using Gateway.Volumes.Log;
using Gateway.Volumes.Map;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes;

/// <summary>
/// A volume open for writing: a log-structured virtual disk over a blob store. A write is appended to the local journal and acknowledged;
/// a flush is an fdatasync; segments carry the journal to the bucket in order. Two maps say where each block is: the journal's, which
/// wins, and the bucket's. Blocks in neither read as zeroes.
/// </summary>
/// <remarks>Opened by <see cref="VolumeOpener"/>. After a local failure or the loss of ownership it answers every command with that.</remarks>
public sealed class Volume : IBlockDevice, IJournalSink, IUploadTarget, IAsyncDisposable
{
    /// <summary>Longest piece of a write that is journaled as one: a longer one is not atomic.</summary>
    private const int WriteMaxBytes = 8 << 20;

    /// <summary>Looks at the map before a read gives up on a journal that gives its space back faster than it can be read.</summary>
    private const int ReadAttemptsMax = 16;

    private readonly IBlobStore _store;
    private readonly VolumeRecord _record;
    private readonly VolumeOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly JournalFile _journal;
    private readonly JournalAppender _appender;
    private readonly SegmentUploader _uploader;
    private readonly FrameReader _reader;

    private readonly Lock _gate = new();
    private readonly ExtentMap<JournalLocation> _journalMap;
    private readonly ExtentMap<SegmentLocation> _bucketMap;
    private readonly List<(long FirstSequence, long Epoch)> _epochs;
    private volatile BlockError _state;
    private int _closed;

    internal Volume(RecoveredVolume recovered, long epoch, IBlobStore store, VolumeOptions options, TimeProvider time, Random random, Func<Guid> newNonce, ILogger logger)
    {
        _store = store;
        _record = recovered.State.Volume;
        _options = options;
        _time = time;
        _logger = logger;
        Epoch = epoch;
        _journal = recovered.Journal;
        _journalMap = recovered.JournalMap;
        _bucketMap = recovered.BucketMap;
        _epochs = recovered.Epochs;
        _epochs.Add((recovered.State.End.Sequence + 1, epoch));
        Geometry = new BlockGeometry(_record.Id, (ulong)(_record.SizeBytes / _record.BlockSizeBytes), _record.BlockSizeBytes, _record.PhysicalBlockSizeBytes);
        _appender = new JournalAppender(_journal, this, epoch, recovered.NextWrite, _record.BlockSizeBytes, options.CommandTimeout, time);
        _uploader = new SegmentUploader(store, recovered.State, _journal, _appender, this, epoch, options, time, random, newNonce, logger);
        _reader = new FrameReader(store, _record, recovered.State.Keys, _journal, EpochOf, options, time, logger);
        foreach (var batch in recovered.Pending) _uploader.Add(batch);
        _appender.Start();
        _uploader.Start();
    }

    public string Name => _record.Name;

    /// <summary>The writer number under which this gateway has it open.</summary>
    public long Epoch { get; }

    public BlockGeometry Geometry { get; }

    public BlockResult Readiness => _state;

    public ValueTask<BlockResult> ReadAsync(BlockRange range, ScatterList destination, CancellationToken cancellationToken)
    {
        if (_state != BlockError.None) return new(_state);
        return TryReadAtOnce(range, destination) ? new(BlockResult.Success) : new(ReadSlowlyAsync(range, destination));
    }

    public ValueTask<BlockResult> WriteAsync(BlockRange range, ScatterList source, bool forceUnitAccess, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested) return new(BlockError.Aborted);
        if (range.Blocks == 0) return new(_state); // A record of nothing would make a segment without writes.
        return source.LengthBytes <= WriteMaxBytes ? _appender.WriteAsync(range, source, forceUnitAccess) : WriteInPiecesAsync(range, source, forceUnitAccess);
    }

    public ValueTask<BlockResult> ZeroAsync(BlockRange range, bool forceUnitAccess, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested) return new(BlockError.Aborted);
        return range.Blocks == 0 ? new(_state) : _appender.WriteAsync(range, null, forceUnitAccess);
    }

    public ValueTask<BlockResult> FlushAsync(CancellationToken cancellationToken) => _appender.FlushAsync();

    /// <summary>Completes when everything written before the call is in the bucket, however long the store takes.</summary>
    /// <exception cref="VolumeException">It will not get there: the volume is closed, offline or owned elsewhere.</exception>
    public async Task DrainAsync(CancellationToken cancellationToken)
    {
        if (await _uploader.DrainAsync().WaitAsync(cancellationToken)) return;
        throw new VolumeException(
            _state == BlockError.Standby ? VolumeErrorKind.Fenced : VolumeErrorKind.LocalDisk,
            $"Volume '{Name}' stopped before all its writes were in the bucket; its log says why. What is left stays in its journal.");
    }

    /// <summary>Flushes the journal, tries to bring it to the bucket within <see cref="VolumeOptions.CloseTimeout"/>, and closes.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _closed, 1) != 0) return;
        await _appender.DisposeAsync();
        if (_state == BlockError.None)
        {
            try
            {
                await _uploader.DrainAsync().WaitAsync(_options.CloseTimeout, _time);
            }
            catch (TimeoutException)
            {
                // The store is away or slow; the journal keeps what is left.
            }
        }

        await _uploader.DisposeAsync();
        VolumeLog.Closed(_logger, Name, _journal.Head - _journal.Superblock.TailPosition);
        _state = BlockError.Offline;
        _journal.Dispose();
    }

    void IJournalSink.Appended(in JournalBatch batch, ReadOnlySpan<byte> page)
    {
        lock (_gate) RecoveredVolume.Apply(_journalMap, batch.Header, page, _record.BlockSizeBytes);
        _uploader.Add(batch);
    }

    void IJournalSink.SpaceNeeded()
    {
        VolumeLog.JournalFull(_logger, Name);
        _uploader.Hurry();
    }

    void IJournalSink.JournalFailed(Exception failure) => GoOffline("its local journal failed.", failure);

    void IUploadTarget.LocalFailure(string reason, Exception? exception) => GoOffline(reason, exception);

    void IUploadTarget.Commit(BuiltSegment segment)
    {
        lock (_gate)
        {
            RecoveredVolume.Apply(_bucketMap, segment.Header, segment.Index);
            foreach (var entry in segment.Index) ForgetJournaled(entry.Lba, entry.Blocks, segment.Header.LastWrite);
        }
    }

    void IUploadTarget.Fenced(long epoch)
    {
        VolumeLog.Fenced(_logger, Name, epoch);
        Stop(BlockError.Standby);
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

        _appender.Fail(error);
    }

    private async ValueTask<BlockResult> WriteInPiecesAsync(BlockRange range, ScatterList source, bool forceUnitAccess)
    {
        for (var done = 0; done < source.LengthBytes;)
        {
            var length = Math.Min(WriteMaxBytes, source.LengthBytes - done);
            var piece = new ScatterList();
            piece.AddSlice(source, done, length);
            var blocks = (uint)(length / _record.BlockSizeBytes);
            var result = await _appender.WriteAsync(new BlockRange(range.Lba + (ulong)(done / _record.BlockSizeBytes), blocks), piece, forceUnitAccess);
            if (!result.IsSuccess) return result;
            done += length;
        }

        return BlockResult.Success;
    }

    /// <summary>Serves a read from holes and memory alone; false if any of it must be fetched.</summary>
    private bool TryReadAtOnce(BlockRange range, ScatterList destination)
    {
        for (uint done = 0; done < range.Blocks;)
        {
            var place = Find(range.Lba + done, range.Blocks - done);
            var offset = (int)done * _record.BlockSizeBytes;
            var length = (int)place.Blocks * _record.BlockSizeBytes;
            ReadOnlyMemory<byte> blocks = default;
            if (place.IsZero) destination.Clear(offset, length);
            else if (place.InJournal ? _reader.TryGetCached(place.Journal, out blocks) : _reader.TryGetCached(place.Segment, out blocks)) Copy(blocks, place, destination, offset);
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
            for (uint done = 0; done < range.Blocks;)
            {
                var place = Find(range.Lba + done, range.Blocks - done);
                var offset = (int)done * _record.BlockSizeBytes;
                done += place.Blocks;
                if (place.IsZero) destination.Clear(offset, (int)place.Blocks * _record.BlockSizeBytes);
                else if (place.InJournal) result = await ReadJournaledAsync(place, destination, offset);
                else fetches.Add((place, offset, _reader.ReadFrameAsync(place.Segment, place.Lba)));
                if (!result.IsSuccess) break;
            }
        }
        catch (ObjectDisposedException)
        {
            result = BlockError.Offline; // Closed meanwhile.
        }
        catch (IOException e)
        {
            GoOffline("its local journal failed.", e);
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
        for (var attempt = 0; attempt < ReadAttemptsMax; attempt++)
        {
            for (uint done = 0; ;)
            {
                var piece = Find(place.Lba + done, place.Blocks - done);
                var at = offset + ((int)done * _record.BlockSizeBytes);
                if (piece.IsZero)
                {
                    destination.Clear(at, (int)piece.Blocks * _record.BlockSizeBytes);
                }
                else if (piece.InJournal)
                {
                    var (intact, blocks) = await _reader.ReadRecordAsync(piece.Journal);
                    if (_appender.TailPosition > piece.Journal.DataPosition) break;
                    if (!intact) throw new IOException($"Journal '{_journal.Path}' does not return what was written to it at position {piece.Journal.DataPosition}.");
                    _reader.Keep(piece.Journal, blocks);
                    Copy(blocks, piece, destination, at);
                }
                else
                {
                    var (error, blocks) = await _reader.ReadFrameAsync(piece.Segment, piece.Lba);
                    if (error != BlockError.None) return new BlockResult(error, error == BlockError.Corrupt ? piece.Lba : null);
                    Copy(blocks, piece, destination, at);
                }

                done += piece.Blocks;
                if (done == place.Blocks) return BlockResult.Success;
            }
        }

        return BlockError.StoreUnavailable;
    }

    private void Copy(ReadOnlyMemory<byte> blocks, in Place place, ScatterList destination, int offset)
    {
        var first = place.InJournal ? place.Journal.BlockOffset : place.Segment.BlockOffset;
        destination.CopyFrom(offset, blocks.Span.Slice(first * _record.BlockSizeBytes, (int)place.Blocks * _record.BlockSizeBytes));
    }

    private Place Find(ulong lba, uint blocksMax)
    {
        lock (_gate)
        {
            if (Mutation.BucketBeforeJournal && _bucketMap.TryFind(lba, blocksMax, out var stale, out var old)) return new Place(lba, stale, false, default, old);
            if (_journalMap.TryFind(lba, blocksMax, out var blocks, out var journal)) return new Place(lba, blocks, true, journal, default);
            var found = _bucketMap.TryFind(lba, blocks, out blocks, out var segment);
            return found ? new Place(lba, blocks, false, default, segment) : new Place(lba, blocks, true, JournalLocation.Zero(0), default);
        }
    }

    private void ForgetJournaled(ulong lba, uint blocks, long lastWrite)
    {
        for (uint done = 0; done < blocks;)
        {
            if (_journalMap.TryFind(lba + done, blocks - done, out var length, out var location) && (Mutation.NewerWritesForgotten || location.WriteNumber <= lastWrite))
                _journalMap.Remove(lba + done, length);
            done += length;
        }
    }

    private long EpochOf(long sequence)
    {
        lock (_gate)
        {
            for (var i = _epochs.Count - 1; ; i--)
                if (_epochs[i].FirstSequence <= sequence) return _epochs[i].Epoch;
        }
    }

    /// <summary>Where a run of blocks is.</summary>
    private readonly record struct Place(ulong Lba, uint Blocks, bool InJournal, JournalLocation Journal, SegmentLocation Segment)
    {
        public bool IsZero => InJournal && Journal.IsZero;
    }
}
