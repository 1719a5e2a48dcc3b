using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Journal;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Log;

/// <summary>What the uploader needs of its volume.</summary>
internal interface IUploadTarget
{
    /// <summary>The segment is in the store, in order, and valid for good: take its index into the map.</summary>
    ValueTask CommitAsync(BuiltSegment segment, CancellationToken cancellationToken);

    /// <summary>A newer epoch exists, or somebody else writes in ours.</summary>
    void Fenced(long epoch);

    /// <summary>The journal cannot be read back as it was written, or the local disk failed.</summary>
    void LocalFailure(string reason, Exception? exception);
}

/// <summary>
/// Brings the journal to the bucket. Batches are sealed into segments by size or age; several segments travel at a time, but they count,
/// and free their journal space, strictly in order: what is valid in the bucket is always a prefix of the write history.
/// </summary>
/// <remarks>
/// A segment counts only after a look that finds no newer epoch, made after its put completed. A successor claims its epoch first and lists
/// the log again afterwards, so it either sees every segment that counted here, or is seen by that look. Journal space is freed only then,
/// and only after a superblock with the new tail is durable. The store's failures are retried without end: the data stays in the journal.
/// </remarks>
internal sealed class SegmentUploader : IAsyncDisposable
{
    /// <summary>Writes that seal a segment, however little data they carry: each can split an extent in two, and the index has a bound.</summary>
    private const int RecordsMax = SegmentIndexEntry.CountMax / 16;

    /// <summary>Part of the journal that seals a segment, however little data is in it: space must come back long before the journal is full.</summary>
    private const int JournalShare = 8;

    /// <summary>Part of a segment, by data and by writes, that is sealed whole or not at all: batches are kept together up to there.</summary>
    private const int StretchShare = 16;

    /// <summary>Segments that arrived before an older one and wait for it, in terms of those that travel: they hold journal space, but no buffer.</summary>
    private const int WaitingShare = 3;

    /// <summary>Room for what is pending while the store keeps up; beyond it the queue grows.</summary>
    private const int PendingStretches = 64;

    private readonly StoreWriter _writer;
    private readonly VolumeRecord _volume;
    private readonly VolumeKeys _keys;
    private readonly JournalFile _journal;
    private readonly SegmentBuilder _builder;
    private readonly JournalAppender _appender;
    private readonly IUploadTarget _target;
    private readonly VolumeOptions _options;
    private readonly long _epoch;
    private readonly TimeProvider _time;
    private readonly Func<Guid> _newNonce;
    private readonly ILogger _logger;
    private readonly VolumeMeasures _measures;

    private readonly Lock _gate = new();
    private readonly Queue<(JournalStretch Stretch, long At)> _pending = new(PendingStretches);
    private (JournalStretch Stretch, long At) _newest; // Behind all that is pending; a batch count of 0: none.
    private readonly Queue<(long Position, long At)> _dirty = new(2 * PendingStretches); // Where stretches begin that do not count in the bucket yet, and when they began.
    private readonly Queue<MovedRequest> _moved = new();
    private readonly Queue<Upload> _uploads = new();
    private readonly AsyncSignal _signal = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly ITimer _ageTimer;
    private readonly List<(long Position, TaskCompletionSource<bool> Done)> _drains = [];
    private long _pendingBytes;
    private long _pendingSpaceBytes;
    private long _sealTo;
    private long _committed;
    private bool _ended;
    private long _nextSequence;
    private long _lastSealedWrite;
    private Task _loop = Task.CompletedTask;

    public SegmentUploader(
        StoreWriter writer,
        LogState state,
        long lastWrite,
        JournalFile journal,
        JournalAppender appender,
        IUploadTarget target,
        long epoch,
        VolumeOptions options,
        TimeProvider time,
        Func<Guid> newNonce,
        ILogger logger,
        VolumeMeasures measures)
    {
        _measures = measures;
        _writer = writer;
        _volume = state.Volume;
        _keys = state.Keys;
        _journal = journal;
        _appender = appender;
        _target = target;
        _options = options;
        _epoch = epoch;
        _time = time;
        _newNonce = newNonce;
        _logger = logger;
        _builder = new SegmentBuilder(_volume, journal, SegmentBufferPool.Shared);
        _nextSequence = state.End.Sequence + 1;
        _lastSealedWrite = lastWrite;
        _committed = journal.Superblock.TailPosition;
        _ageTimer = time.CreateTimer(static s => ((AsyncSignal)s!).Set(), _signal, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>A segment on its way. Without a last batch it holds no writes, but survivors.</summary>
    private sealed record Upload(JournalStretch? Last, Task<BuiltSegment> Segment, MovedRequest? Moved);

    private sealed record MovedRequest(Func<SegmentId, long, BuiltSegment> Build, TaskCompletionSource<bool> Done);

    /// <summary>Journal data that no sealed segment holds yet, in bytes.</summary>
    public long PendingBytes => Volatile.Read(ref _pendingBytes);

    /// <summary>Time since the oldest write came that does not count in the bucket yet; zero if there is none.</summary>
    public TimeSpan OldestAge
    {
        get
        {
            lock (_gate) return _dirty.TryPeek(out var oldest) ? _time.GetElapsedTime(oldest.At) : TimeSpan.Zero;
        }
    }

    public void Start() => _loop = RunAsync();

    /// <summary>The volume grows: takes batches up to its new end from now on.</summary>
    public void Grow(ulong capacityBlocks) => _builder.Grow(capacityBlocks);

    /// <summary>Takes note of a batch that is in the journal.</summary>
    public void Add(in JournalBatch batch)
    {
        bool wake;
        lock (_gate)
        {
            if (_pending.Count == 0 && _newest.Stretch.BatchCount == 0) _ageTimer.Change(_options.SealAfter, Timeout.InfiniteTimeSpan);
            Append(batch);
            wake = !IsSegmentPending;
            _pendingBytes += batch.DataBytes;
            _pendingSpaceBytes += batch.Header.LengthBytes;
            wake &= IsSegmentPending;
        }

        if (wake) _signal.Set();
    }

    /// <summary>
    /// Seals what stands before a journal position without waiting for size or age; true when it is in the bucket, false if the uploader ended
    /// before.
    /// </summary>
    public async Task<bool> DrainAsync(long position)
    {
        TaskCompletionSource<bool> drained;
        lock (_gate)
        {
            if (_committed >= position) return true;
            if (_ended) return false;
            drained = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
            _drains.Add((position, drained));
        }

        Hurry(position);
        return await drained.Task;
    }

    /// <summary>
    /// Sends a segment of survivors as the next one of the log. <paramref name="build"/> gets its name and the last write before it.
    /// True when it counts, false if the uploader ended before.
    /// </summary>
    public async Task<bool> PutMovedAsync(Func<SegmentId, long, BuiltSegment> build)
    {
        var request = new MovedRequest(build, new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously));
        lock (_gate)
        {
            if (_ended) return false;
            _moved.Enqueue(request);
        }

        _signal.Set();
        return await request.Done.Task;
    }

    /// <summary>Seals what stands before a journal position without waiting for size or age.</summary>
    public void Hurry(long position)
    {
        lock (_gate)
        {
            if (_sealTo >= position) return;
            _sealTo = position;
        }

        _signal.Set();
    }

    /// <summary>Stops at once; what is not in the bucket stays in the journal.</summary>
    public async ValueTask DisposeAsync()
    {
        Stop();
        _signal.Set();
        await _loop;
        await _ageTimer.DisposeAsync();
        _stop.Dispose();
    }

    private bool IsSegmentPending => _pendingBytes >= _options.SegmentBytes || _pendingSpaceBytes >= _journal.CapacityBytes / JournalShare;

    private async Task RunAsync()
    {
        var commit = Task.CompletedTask;
        Upload[] counting = [];
        try
        {
            while (!_stop.IsCancellationRequested)
            {
                while (MayStart && TakeNext() is { } upload)
                {
                    _uploads.Enqueue(upload);
                    _ = WakeAfterAsync(upload.Segment);
                }

                if (commit.IsCompleted)
                {
                    await commit;
                    counting = TakeArrived();
                    if (counting.Length > 0)
                    {
                        // The next segments start meanwhile.
                        commit = CommitAsync(counting);
                        _ = WakeAfterAsync(commit);
                        continue;
                    }
                }

                await _signal.WaitAsync();
            }

            await commit;
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Stopped in the middle: the journal has it all.
        }
        catch (FencedException e)
        {
            _target.Fenced(e.Epoch);
        }
        catch (IOException e)
        {
            _target.LocalFailure("its local journal failed.", e);
        }
        catch (Exception e)
        {
            _target.LocalFailure("bringing its journal to the store failed for a reason that should not be.", e);
        }
        finally
        {
            lock (_gate)
            {
                _ended = true;
                foreach (var drain in _drains) drain.Done.TrySetResult(false);
                _drains.Clear();
                foreach (var request in _moved) request.Done.TrySetResult(false);
                foreach (var upload in _uploads) upload.Moved?.Done.TrySetResult(false);
            }

            Stop(); // What still travels would not count any more.
            await EndAsync(commit);
            foreach (var upload in counting) upload.Moved?.Done.TrySetResult(false); // No effect on those that do count.
            foreach (var upload in _uploads) await EndAsync(upload.Segment);
        }
    }

    private bool MayStart => _uploads.Count < _options.UploadWindow * (1 + WaitingShare) && _uploads.Count(u => !u.Segment.IsCompleted) < _options.UploadWindow;

    /// <summary>Starts the next segment, or null if none is due yet. Writes go first.</summary>
    private Upload? TakeNext()
    {
        if (TakeSealed() is { } batches)
        {
            var id = new SegmentId(_epoch, _nextSequence++);
            _lastSealedWrite = batches[^1].LastWrite;
            return new Upload(batches[^1], UploadAsync(id, batches), null);
        }

        MovedRequest? moved;
        lock (_gate)
            if (!_moved.TryDequeue(out moved)) return null;
        return new Upload(null, UploadMovedAsync(new SegmentId(_epoch, _nextSequence++), _lastSealedWrite, moved), moved);
    }

    /// <summary>Takes the segments off the queue that can count now: all that arrived before the first one that still travels.</summary>
    private Upload[] TakeArrived()
    {
        if (Mutation.CountedOutOfOrder && _uploads.Any(u => u.Segment.IsCompleted))
        {
            var early = _uploads.Where(u => u.Segment.IsCompleted).ToArray();
            for (var i = 0; i < early.Length; i++) _uploads.Dequeue();
            return early;
        }

        var arrived = new List<Upload>();
        while (_uploads.TryPeek(out var oldest) && oldest.Segment.IsCompleted) arrived.Add(_uploads.Dequeue());
        return [.. arrived];
    }

    private async Task WakeAfterAsync(Task work)
    {
        await EndAsync(work);
        _signal.Set();
    }

    /// <summary>Completes with the task, whatever became of it.</summary>
    private static async Task EndAsync(Task task) => await task.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);

    /// <summary>Keeps a batch with those before it where that leaves room for the segments to end.</summary>
    private void Append(in JournalBatch batch)
    {
        ref var newest = ref _newest.Stretch;
        var joins = newest.BatchCount > 0 && newest.IsContinuedBy(batch)
            && newest.DataBytes + batch.DataBytes <= _options.SegmentBytes / StretchShare && newest.RecordCount + batch.Header.RecordCount <= RecordsMax / StretchShare;
        if (joins)
        {
            newest = newest.ContinuedBy(batch);
            return;
        }

        CloseNewest();
        _newest = (new JournalStretch(batch), _time.GetTimestamp());
        _dirty.Enqueue((_newest.Stretch.Position, _newest.At));
    }

    private void CloseNewest()
    {
        if (_newest.Stretch.BatchCount > 0) _pending.Enqueue(_newest);
        _newest = default;
    }

    /// <summary>Takes what makes the next segment off the queue, or null if none is due yet.</summary>
    private List<JournalStretch>? TakeSealed()
    {
        lock (_gate)
        {
            if (!_pending.TryPeek(out var oldest)) oldest = _newest;
            if (oldest.Stretch.BatchCount == 0) return null;
            var age = _time.GetElapsedTime(oldest.At);
            if (oldest.Stretch.Position >= _sealTo && !IsSegmentPending && age < _options.SealAfter)
            {
                _ageTimer.Change(_options.SealAfter - age, Timeout.InfiniteTimeSpan);
                return null;
            }

            CloseNewest();
            var batches = new List<JournalStretch>();
            var records = 0;
            for (long bytes = 0; bytes < _options.SegmentBytes && records < RecordsMax && _pending.TryDequeue(out var next);)
            {
                batches.Add(next.Stretch);
                records += next.Stretch.RecordCount;
                bytes += next.Stretch.DataBytes;
                _pendingBytes -= next.Stretch.DataBytes;
                _pendingSpaceBytes -= next.Stretch.LengthBytes;
            }

            return batches;
        }
    }

    private async Task<BuiltSegment> UploadAsync(SegmentId id, List<JournalStretch> batches)
    {
        var segment = await _builder.BuildAsync(batches, id, _newNonce(), _time.GetUtcNow());
        if (Mutation.SpaceFreedBeforeCount && batches.Count > 0) await FreeAsync(batches[^1]);
        await PutAsync(segment);
        return segment;
    }

    private async Task<BuiltSegment> UploadMovedAsync(SegmentId id, long lastWrite, MovedRequest moved)
    {
        var segment = moved.Build(id, lastWrite);
        await PutAsync(segment);
        return segment;
    }

    private async Task PutAsync(BuiltSegment segment)
    {
        // A failed attempt may go on below us, and read what is no longer there.
        if (await _writer.PutAsync(_keys.Segment(segment.Header.Id), segment.Content, _stop.Token)) segment.Recycle();
    }

    /// <summary>Lets segments count that arrived in order.</summary>
    private async Task CommitAsync(Upload[] arrived)
    {
        var segments = new List<BuiltSegment>();
        foreach (var upload in arrived) segments.Add(await upload.Segment);
        await _writer.RefuseIfFencedAsync(_stop.Token);
        foreach (var segment in segments)
        {
            await _target.CommitAsync(segment, _stop.Token);
            Count(segment.Header);
            VolumeLog.SegmentStored(_logger, _volume.Name, segment.Header.Id, segment.Header.FirstWrite, segment.Header.LastWrite, segment.Header.LengthBytes);
        }

        if (arrived.LastOrDefault(u => u.Last is not null)?.Last is { } last)
        {
            if (Mutation.SpaceFreedBeforeSuperblock && last.RecordCount > 0) _appender.Release(last.EndPosition);
            if (!Mutation.SpaceFreedBeforeCount) await FreeAsync(last);
        }

        foreach (var upload in arrived) upload.Moved?.Done.TrySetResult(true);
    }

    private void Count(in SegmentHeader header)
    {
        var (segments, bytes) = header.Kind == SegmentKind.Log ? (_measures.LogSegments, _measures.LogSegmentBytes) : (_measures.MovedSegments, _measures.MovedSegmentBytes);
        segments.Add();
        bytes.Add(header.LengthBytes);
    }

    /// <summary>Gives the journal its space up to the end of a stretch back, whose writes are in the bucket for good.</summary>
    private async Task FreeAsync(JournalStretch last)
    {
        await _journal.WriteSuperblockAsync(_journal.Superblock with { TailPosition = last.EndPosition, TailWrite = last.LastWrite });
        _appender.Release(last.EndPosition);
        SetCommitted(last.EndPosition);
    }

    private void SetCommitted(long position)
    {
        lock (_gate)
        {
            _committed = position;
            while (_dirty.TryPeek(out var oldest) && oldest.Position < position) _dirty.Dequeue();
            foreach (var drain in _drains)
                if (drain.Position <= position) drain.Done.TrySetResult(true);
            _drains.RemoveAll(d => d.Position <= position);
        }
    }

    private void Stop()
    {
        _writer.LeaveSoon();
        _stop.Cancel();
    }
}
