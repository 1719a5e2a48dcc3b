using Gateway.Backends.Core;
using Gateway.Volumes.Cleaning;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Leases;
using Gateway.Volumes.Log;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Checkpoints;

/// <summary>What the housekeeper needs of its volume.</summary>
internal interface IHousekeptVolume
{
    /// <summary>A newer epoch exists, or somebody else writes in ours.</summary>
    void Fenced(long epoch);
}

/// <summary>Does in the background what no command waits for: checkpoints, eviction of the map's leaves, and removal of what is no longer needed.</summary>
internal sealed class Housekeeper : IRemovalTarget, IAsyncDisposable
{
    /// <summary>A checkpoint is worth it when the log behind the last one is this many times what it would write: 1/32 is what it adds to the bytes put.</summary>
    private const int LogBytesPerCheckpointByte = 32;

    /// <summary>A checkpoint is due when one part in this many of all segments' bytes waits for it to become free.</summary>
    private const int DeadShare = 16;

    /// <summary>How often the log says what the volume takes in the bucket, if checkpoints are written.</summary>
    private static readonly TimeSpan ReportEvery = TimeSpan.FromHours(1);

    /// <summary>How long a segment that could not be proven free is left alone before it is looked at again.</summary>
    private static readonly TimeSpan KeptFor = TimeSpan.FromHours(1);

    private readonly IBlobStore _store;
    private readonly StoreWriter _writer;
    private readonly long _epoch;
    private readonly BucketIndex _index;
    private readonly Lock _gate;
    private readonly Checkpointer _checkpointer;
    private readonly Remover _remover;
    private readonly Cleaner _cleaner;
    private readonly SegmentVerifier _verifier;
    private readonly Sweeper _sweeper;
    // Segments without a live block that need no further checkpoint: they wait for their removal, or could not be proven free at a time. Their
    // lengths; guarded by the gate.
    private readonly Dictionary<BlobKey, int> _removing = [];
    private readonly Dictionary<BlobKey, (int LengthBytes, long At)> _kept = [];
    private long _waitingBytes;
    private readonly IHousekeptVolume _target;
    private readonly VolumeRecord _volume;
    private readonly VolumeKeys _keys;
    private readonly VolumeOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly AsyncSignal _signal = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly ITimer _timer;
    private volatile bool _closing;
    private long _committedAt;
    private long? _reportedAt;
    private bool _isSweepDue;
    private bool _swept;
    private bool _epochsSwept;
    private bool _failed;
    private Task _loop = Task.CompletedTask;

    public Housekeeper(
        IBlobStore store,
        StoreWriter writer,
        VolumeRecord volume,
        VolumeKeys keys,
        long epoch,
        BucketIndex index,
        Lock gate,
        AsyncMutex commits,
        MapLoader loader,
        SegmentUploader uploader,
        IHousekeptVolume target,
        VolumeOptions options,
        TimeProvider time,
        Func<Guid> newNonce,
        ILogger logger,
        VolumeMeasures measures)
    {
        _store = store;
        _writer = writer;
        _epoch = epoch;
        _index = index;
        _gate = gate;
        _target = target;
        _volume = volume;
        _keys = keys;
        _options = options;
        _time = time;
        _logger = logger;
        _checkpointer = new Checkpointer(writer, volume, keys, epoch, index, gate, commits, loader, newNonce, logger);
        _cleaner = new Cleaner(store, volume, keys, index, gate, loader, uploader, options, time, newNonce, logger, measures);
        _verifier = new SegmentVerifier(store, volume, keys, index, gate, loader, logger);
        _remover = new Remover(store, writer, volume, options, time, this, logger);
        _sweeper = new Sweeper(store, keys, epoch, index, gate);
        _committedAt = time.GetTimestamp();
        _timer = time.CreateTimer(static s => ((AsyncSignal)s!).Set(), _signal, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public void Start() => _loop = RunAsync();

    /// <summary>A segment was taken into the map.</summary>
    public void Committed()
    {
        Volatile.Write(ref _committedAt, _time.GetTimestamp());
        _signal.Set();
    }

    /// <summary>Writes a last checkpoint, if the store lets us within <see cref="VolumeOptions.CloseTimeout"/>, and ends.</summary>
    public async Task CloseAsync()
    {
        _closing = true;
        _signal.Set();
        try
        {
            await _loop.WaitAsync(_options.CloseTimeout, _time);
        }
        catch (TimeoutException)
        {
            // The next opening replays the log instead.
        }
    }

    /// <summary>Ends at once.</summary>
    public async ValueTask DisposeAsync()
    {
        _stop.Cancel();
        _signal.Set();
        try
        {
            await _loop.WaitAsync(StoreWriter.StopGrace, _time);
        }
        catch (TimeoutException)
        {
            return; // A store deaf to cancellation is left behind, with what its calls may still use.
        }

        await _timer.DisposeAsync();
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        try
        {
            while (!_stop.IsCancellationRequested)
            {
                var closing = _closing;
                _failed = false;
                var hasMore = await StepAsync(closing);
                if (closing) return;
                if (hasMore) continue;
                if (_failed) await PauseAfterFailureAsync();
                else await PauseAsync();
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Nothing here is needed to keep a promise: the next opening goes on.
        }
        catch (FencedException e)
        {
            _target.Fenced(e.Epoch);
        }
    }

    /// <summary>Does what is due; true if there is more of it. A failure of any kind ends the step, never the loop.</summary>
    private async Task<bool> StepAsync(bool closing)
    {
        try
        {
            if (closing || IsCheckpointDue()) await CheckpointAsync(closing);
            if (closing) return false;
            if (_isSweepDue) await SweepAsync();
            await _remover.RunAsync(_stop.Token);
            Evict();
            return !_closing && !_failed && _cleaner.IsDue() && await CleanAsync();
        }
        catch (Exception e) when (e is not FencedException && !(e is OperationCanceledException && _stop.IsCancellationRequested))
        {
            VolumeLog.HousekeepingFailed(_logger, _volume.Name, e);
            _failed = true;
            return false;
        }
    }

    private async ValueTask PauseAsync()
    {
        _timer.Change(Pause(), Timeout.InfiniteTimeSpan);
        if (!_closing) await _signal.WaitAsync();
    }

    /// <summary>Segments that come meanwhile are no reason to try again sooner.</summary>
    private async ValueTask PauseAfterFailureAsync()
    {
        var failedAt = _time.GetTimestamp();
        while (!_closing && !_stop.IsCancellationRequested)
        {
            var left = _options.RetryDelayMax - _time.GetElapsedTime(failedAt);
            if (left <= TimeSpan.Zero) return;
            _timer.Change(left, Timeout.InfiniteTimeSpan);
            await _signal.WaitAsync();
            Evict();
        }
    }

    /// <summary>How long there is nothing to do, unless a segment comes.</summary>
    private TimeSpan Pause()
    {
        var pause = _remover.DueIn ?? Timeout.InfiniteTimeSpan;
        if (DeadBytes() == 0) return pause;
        var idle = _options.CheckpointIdle - _time.GetElapsedTime(Volatile.Read(ref _committedAt));
        if (idle < TimeSpan.Zero) idle = TimeSpan.Zero;
        return pause == Timeout.InfiniteTimeSpan || idle < pause ? idle : pause;
    }

    private void Evict()
    {
        lock (_gate)
        {
            if (_index.Map.ResidentBytes > _options.MapBytes) _index.Map.Evict(_options.MapBytes * 3 / 4);
        }
    }

    private bool IsCheckpointDue()
    {
        var dead = DeadBytes();
        lock (_gate)
        {
            var idle = _time.GetElapsedTime(Volatile.Read(ref _committedAt)) >= _options.CheckpointIdle;
            if (dead > 0 && idle) return true;
            if (_index.SegmentsSinceRoot < _options.CheckpointSegmentsMin) return false;
            if (dead > 0 && dead >= _index.Segments.LengthBytes / DeadShare) return true;
            if (_index.SegmentsSinceRoot >= _options.CheckpointSegments || _index.Map.DirtyBytes > _options.MapBytes / 2) return true;
            return _index.BytesSinceRoot >= LogBytesPerCheckpointByte * (_index.Map.EncodedDirtyBytes + _index.Segments.EncodedDirtyBytes);
        }
    }

    /// <summary>Bytes of segments without a live block that no checkpoint has made free yet.</summary>
    private long DeadBytes()
    {
        lock (_gate) return _index.Segments.DeadLengthBytes - _waitingBytes;
    }

    private async Task<bool> CleanAsync()
    {
        try
        {
            return await _cleaner.RunOnceAsync(_stop.Token);
        }
        catch (BlobStoreException e)
        {
            VolumeLog.CheckpointFailed(_logger, _volume.Name, e.Message);
            _failed = true;
            return false;
        }
    }

    Task<bool> IRemovalTarget.MayRemoveAsync(BlobKey key, CancellationToken cancellationToken) =>
        TryParseSegment(key, out var id) ? _verifier.IsFreeAsync(id, cancellationToken) : Task.FromResult(true);

    void IRemovalTarget.Removed(BlobKey key)
    {
        lock (_gate)
        {
            if (!_removing.Remove(key, out var length) || !TryParseSegment(key, out var id)) return;
            _waitingBytes -= length;
            _index.Segments.Remove((uint)id.Sequence);
        }
    }

    /// <summary>Removes what openings of long ago left behind. At once and in order, not by the <see cref="Remover"/>: the order is what makes it safe.</summary>
    private async Task SweepEpochsAsync()
    {
        if (_epochsSwept) return;
        long covered;
        lock (_gate) covered = _index.Root?.Position.Epoch ?? 0;
        var records = await EpochSweeper.FindAsync(_store, _keys, covered, _epoch, _stop.Token);
        _epochsSwept = records.Count == 0; // Each opening adds one; what is left of many goes with the next checkpoint.
        if (records.Count == 0) return;
        await _writer.RefuseIfFencedAsync(_stop.Token);
        await EpochSweeper.RemoveAsync(_store, records, _stop.Token);
    }

    void IRemovalTarget.Kept(BlobKey key)
    {
        // It still counts as waiting: no checkpoint could set it free.
        lock (_gate)
            if (_removing.Remove(key, out var length)) _kept[key] = (length, _time.GetTimestamp());
    }

    private bool TryParseSegment(BlobKey key, out SegmentId id)
    {
        id = default;
        return key.Value.StartsWith(_keys.LogPrefix, StringComparison.Ordinal) && VolumeKeys.TryParseSegment(key.Value.AsSpan(_keys.LogPrefix.Length), out id);
    }

    /// <summary>Takes note of those among the free segments that are to be removed, and returns them.</summary>
    private BlobKey[] ToRemove(SegmentId[] dead)
    {
        var keys = new List<BlobKey>();
        lock (_gate)
        {
            foreach (var id in dead)
            {
                var key = _keys.Segment(id);
                if (!_index.Segments.TryGet((uint)id.Sequence, out var segment) || _removing.ContainsKey(key)) continue;
                if (!_kept.TryGetValue(key, out var kept)) _waitingBytes += segment.LengthBytes;
                else if (_time.GetElapsedTime(kept.At) < KeptFor) continue;
                else _kept.Remove(key);
                _removing.Add(key, segment.LengthBytes);
                keys.Add(key);
            }
        }

        return [.. keys];
    }

    private async Task CheckpointAsync(bool closing)
    {
        try
        {
            var superseded = await _checkpointer.RunAsync(_stop.Token);
            if (closing)
            {
                _reportedAt = null;
                ReportSpace();
                return;
            }

            _remover.Add(superseded.Root is { } root ? [root] : [], [.. superseded.MapBlobs, .. ToRemove(superseded.Segments)]);
            if (!superseded.IsNew) return;
            await SweepEpochsAsync();
            ReportSpace();
            _cleaner.CountsAreExact();
            _isSweepDue = !_swept;
        }
        catch (Exception e) when (e is BlobStoreException or VolumeException)
        {
            // A piece of the map cannot be read. Commits go on, and so does the log; a damaged leaf is a matter for 'volume check'.
            VolumeLog.CheckpointFailed(_logger, _volume.Name, e.Message);
            _failed = !closing;
        }
    }

    private void ReportSpace()
    {
        if (_reportedAt is { } at && _time.GetElapsedTime(at) < ReportEvery) return;
        _reportedAt = _time.GetTimestamp();
        lock (_gate)
        {
            var (segments, blobs) = (_index.Segments, _index.Blobs);
            VolumeLog.SpaceUsed(_logger, _volume.Name, segments.Count, segments.LengthBytes, segments.DeadLengthBytes, segments.LiveBlocks * _volume.BlockSizeBytes, blobs.LengthBytes, blobs.LiveBytes);
        }
    }

    /// <summary>Once, after the first checkpoint of this epoch.</summary>
    private async Task SweepAsync()
    {
        try
        {
            var (roots, blobs) = await _sweeper.FindAsync(_stop.Token);
            (_swept, _isSweepDue) = (true, false);
            if (roots.Length + blobs.Length > 0) VolumeLog.LeftoversFound(_logger, _volume.Name, roots.Length + blobs.Length);
            _remover.Add(roots, blobs);
        }
        catch (BlobStoreException e)
        {
            VolumeLog.SweepFailed(_logger, _volume.Name, e.Message);
            _failed = true;
        }
    }
}
