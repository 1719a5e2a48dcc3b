using System.Runtime.CompilerServices;
using Gateway.Diagnostics;
using Gateway.Scsi;
using Gateway.Volumes.Leases;

namespace Gateway.Volumes.Journal;

/// <summary>Learns of what the journal took and of its failure. Calls come from the appender's loops, one at a time each.</summary>
internal interface IJournalSink
{
    /// <summary>A batch is in the journal (not yet flushed); called before any of its writes completes. <paramref name="page"/> holds its records.</summary>
    void Appended(in JournalBatch batch, ReadOnlySpan<byte> page);

    /// <summary>Writes wait for space: bring segments to the bucket now. <paramref name="isFirst"/>: for the first time since there was plenty.</summary>
    void SpaceNeeded(bool isFirst);

    /// <summary>Flushes wait until everything before a journal position is in the bucket.</summary>
    void BucketNeeded(long position);

    /// <summary>The local disk failed, or this code did; nothing more will be written. Called before any command ends because of it.</summary>
    void JournalFailed(Exception failure);
}

/// <summary>
/// Group commit. One loop turns all queued writes into batches, one vectored write each, straight from the commands' buffers. A write
/// completes when its batch is in the file and in the map; one that forces unit access when it is durable (<see cref="JournalFlusher"/>).
/// Writes take effect in the order in which they were queued.
/// </summary>
/// <remarks>
/// A write that is cancelled while it waits for space, or behind one that does, leaves the queue and takes no effect. One that is being
/// appended does, and ends as it would.
/// An idle loop runs on in the call that queues a write: a write to the page cache costs less than handing it to another thread. Not while
/// the disk flushes, since then it may block; and not inside <see cref="BeginBurst"/>, so that what comes together is one batch.
/// The queue is bounded by the ring: every request belongs to a command in flight. A batch is bounded by its first page's records and by
/// <see cref="BatchDataMaxBytes"/>; a single request may be larger.
/// </remarks>
internal sealed class JournalAppender : IAsyncDisposable
{
    private const int BatchDataMaxBytes = 1 << 20;

    // What timers are good for: less is not worth a wait.
    private static readonly TimeSpan WaitMin = TimeSpan.FromMilliseconds(1);

    private readonly JournalFile _journal;
    private readonly IJournalSink _sink;
    private readonly CompletionGate _completions;
    private readonly Durability _durability;
    private readonly JournalFlusher _flusher;
    private readonly TimeProvider _time;
    private readonly TimeSpan _timeout;
    private readonly VolumeMeasures _measures;
    private readonly long _epoch;
    private readonly int _batchDataMaxBytes;

    private readonly Lock _gate = new();
    private readonly Queue<AppendRequest> _queue = new();
    private readonly Stack<AppendRequest> _pool = new();
    private readonly BackPressure _pressure;
    private readonly AsyncSignal _appendSignal = new();
    private readonly AsyncSignal _spaceSignal = new();
    private readonly ITimer _spaceTimer;
    private long _waitingBytes;
    private volatile BlockError _failure;
    private volatile bool _inBurst;
    private bool _isHeldUp; // The loop waits for space, and looks after those that are cancelled meanwhile.
    private int _hasCancelled; // 1: since the loop last looked.
    private int _flushWaits; // 1: a flush came in a burst, whose end starts it.
    private volatile bool _stopping;

    // Of the append loop alone.
    private readonly List<AppendRequest> _batch = [];
    private readonly List<AppendRequest> _watched = [];
    private readonly BatchEncoder _encoder;
    private readonly BatchEncoder _padding;
    private long _nextWrite;
    private bool _wasFull;
    private Task _loop = Task.CompletedTask;

    /// <param name="journal">The journal, recovered.</param>
    /// <param name="sink">Its volume.</param>
    /// <param name="completions">What its commands pass when they have succeeded.</param>
    /// <param name="epoch">What its batches are written under.</param>
    /// <param name="nextWrite">Number of the next write.</param>
    /// <param name="appendedPosition">End of the last batch that holds writes.</param>
    /// <param name="blockLengthBytes">Logical block length.</param>
    /// <param name="options">Durability, deadline, high-water mark.</param>
    /// <param name="time">The clock.</param>
    /// <param name="measures">Takes counts and times.</param>
    public JournalAppender(JournalFile journal, IJournalSink sink, CompletionGate completions, long epoch, long nextWrite, long appendedPosition, int blockLengthBytes, VolumeOptions options, TimeProvider time, VolumeMeasures measures)
    {
        _measures = measures;
        _journal = journal;
        _sink = sink;
        _completions = completions;
        _durability = options.Durability;
        _time = time;
        _timeout = options.CommandTimeout;
        _epoch = epoch;
        _nextWrite = nextWrite;
        _batchDataMaxBytes = (int)Math.Min(BatchDataMaxBytes, journal.CapacityBytes / 4); // With padding before it, it must still fit.
        _encoder = new BatchEncoder(blockLengthBytes);
        _padding = new BatchEncoder(blockLengthBytes);
        _pressure = new BackPressure(journal.CapacityBytes, options.HighWaterPercent, time);
        _flusher = new JournalFlusher(journal, options.Durability, _timeout, time, completions, FailJournal, sink.BucketNeeded, measures) { AppendedPosition = appendedPosition };
        _spaceTimer = time.CreateTimer(static signal => ((AsyncSignal)signal!).Set(), _spaceSignal, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Behind the last batch in the file.</summary>
    public long AppendedPosition => _flusher.AppendedPosition;

    public long TailPosition => _flusher.TailPosition;

    public void Start()
    {
        _loop = RunAsync();
        _flusher.Start();
    }

    /// <summary>More commands follow at once: neither an append nor a flush starts before <see cref="EndBurst"/>, which must come soon.</summary>
    public void BeginBurst() => _inBurst = true;

    /// <summary>Appends what was queued meanwhile, then starts the flush that was asked for: so it covers the writes that came with it.</summary>
    /// <remarks>A burst that another caller began meanwhile ends, too: its writes and flushes then start one by one.</remarks>
    public void EndBurst()
    {
        if (!_inBurst) return;
        _inBurst = false;
        bool hasWrites;
        lock (_gate) hasWrites = _queue.Count > 0;
        if (hasWrites) _appendSignal.Set(inline: !_flusher.IsSyncing);
        if (Interlocked.Exchange(ref _flushWaits, 0) != 0) _flusher.Request(AppendedPosition);
    }

    /// <summary>Queues a write of <paramref name="source"/>, or of zeroes when it is null.</summary>
    /// <param name="range">Where.</param>
    /// <param name="source">Whole blocks, unchanged until completion.</param>
    /// <param name="forceUnitAccess">Completes when it is durable.</param>
    /// <param name="arrivedAt">When the command came: its time counts from there.</param>
    /// <param name="cancellationToken">Ends it in <see cref="BlockError.Aborted"/> if it has not had its effect.</param>
    public ValueTask<BlockResult> WriteAsync(BlockRange range, ScatterList? source, bool forceUnitAccess, long arrivedAt, CancellationToken cancellationToken)
    {
        ValueTask<BlockResult> result;
        AppendRequest request;
        bool isHeldUp;
        lock (_gate)
        {
            if (_failure != BlockError.None) return new(_failure);
            if (_stopping) return new(BlockError.Offline);
            request = Rent();
            result = request.Begin(range, source, forceUnitAccess, arrivedAt, cancellationToken);
            _queue.Enqueue(request);
            _waitingBytes += request.DataBytes;
            isHeldUp = _isHeldUp;
        }

        if (isHeldUp) request.WatchCancellation(); // It is ours until its result is taken, which nobody has been given.
        // A burst that ended since the lock was left has found the write in the queue.
        if (!_inBurst) _appendSignal.Set(inline: !_flusher.IsSyncing);
        return result;
    }

    /// <summary>Completes when everything that was appended before the call is durable.</summary>
    public ValueTask<BlockResult> FlushAsync(CancellationToken cancellationToken)
    {
        AppendRequest request;
        ValueTask<BlockResult> result;
        var position = AppendedPosition;
        lock (_gate)
        {
            if (_failure != BlockError.None) return new(_failure);
            if (_flusher.DurablePosition >= position)
            {
                // Durable by a flush that nobody was told of, it may be: from now on it is promised.
                if (_durability == Durability.Journal) _completions.Ledger.Flushed(position);
                return _completions.GuardAsync(new(BlockResult.Success), cancellationToken);
            }

            request = Rent();
            result = request.Begin(default, null, false, _time.GetTimestamp(), cancellationToken);
        }

        _flusher.Add(request, position);
        if (!WaitsForBurst()) _flusher.Request(position);
        return result;
    }

    /// <summary>Gives back the space before <paramref name="tail"/>, after a superblock that says so became durable.</summary>
    public void Release(long tail)
    {
        _completions.Ledger.Stored(tail, _journal.Superblock.TailWrite);
        lock (_gate) _pressure.Released(tail - TailPosition);
        _flusher.Released(tail);
        _spaceSignal.Set();
    }

    /// <summary>Ends all waiting requests and refuses new ones.</summary>
    public void Fail(BlockError error)
    {
        AppendRequest[] waiting;
        lock (_gate)
        {
            if (_failure != BlockError.None) return;
            _failure = error;
            waiting = [.. _queue];
            _queue.Clear();
        }

        foreach (var request in waiting) request.Complete(error);
        _flusher.Fail(error);
        _spaceSignal.Set();
    }

    /// <summary>Appends what is queued, flushes it to the disk, and ends. Requests that come later fail.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_gate) _stopping = true;
        _appendSignal.Set();
        _spaceSignal.Set();
        await _loop;
        await _flusher.DisposeAsync();
        Fail(BlockError.Offline);
        await _spaceTimer.DisposeAsync();
        _encoder.Dispose();
        _padding.Dispose();
    }

    /// <summary>True if the end of a burst starts the flush that was added last.</summary>
    /// <remarks>Of the exchanges here and in <see cref="EndBurst"/> one comes first: if it is ours, that one sees it; else we see that no burst is on.</remarks>
    private bool WaitsForBurst()
    {
        if (!_inBurst) return false;
        Interlocked.Exchange(ref _flushWaits, 1);
        return _inBurst || Interlocked.Exchange(ref _flushWaits, 0) == 0;
    }

    private AppendRequest Rent() => _pool.TryPop(out var request) ? request : new AppendRequest(GiveBack, Cancelled);

    private void GiveBack(AppendRequest request)
    {
        lock (_gate) _pool.Push(request);
    }

    /// <summary>A request was cancelled: whatever of it waits somewhere, ends. Any thread, the one that cancels it included.</summary>
    private void Cancelled()
    {
        Volatile.Write(ref _hasCancelled, 1);
        _spaceSignal.Set();
        _flusher.EndCancelled();
        _completions.EndCancelled();
    }

    private async Task RunAsync()
    {
        try
        {
            while (true)
            {
                if (!TakeBatch(out var stop))
                {
                    if (stop) return;
                    await _appendSignal.WaitAsync();
                    continue;
                }

                await AppendBatchAsync();
            }
        }
        catch (Exception e)
        {
            // Whatever it is, a bug included: the commands must end, and nothing may follow a batch of unknown fate.
            FailJournal(e);
            CompleteBatch(BlockError.Offline);
        }
    }

    /// <summary>Moves queued requests into the batch until it is full; false if none is queued.</summary>
    private bool TakeBatch(out bool stop)
    {
        lock (_gate)
        {
            stop = _stopping && _queue.Count == 0;
            int records = 0, bytes = 0;
            while (_queue.TryPeek(out var next))
            {
                records += next.RecordCount;
                bytes += next.DataBytes;
                if (_batch.Count > 0 && (records > JournalBatchHeader.RecordsMax || bytes > _batchDataMaxBytes)) break;
                _batch.Add(_queue.Dequeue());
            }

            return _batch.Count > 0;
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask AppendBatchAsync()
    {
        int lengthBytes, padBytes;
        BlockError? error;
        do
        {
            if (_batch.Count == 0) return;
            _encoder.Encode(_batch);
            lengthBytes = _encoder.Content.LengthBytes;
            padBytes = lengthBytes > _journal.RoomToEnd ? _journal.RoomToEnd : 0;
            error = await WaitForSpaceAsync(padBytes + lengthBytes);
        }
        while (error is null); // The batch is another one now.

        if (error is { } failure and not BlockError.None)
        {
            CompleteBatch(failure);
            return;
        }

        if (padBytes > 0) await AppendPaddingAsync(padBytes);
        var header = new JournalBatchHeader(_journal.Head, _epoch, _nextWrite, _flusher.SyncedPosition, lengthBytes, _encoder.RecordCount);
        _encoder.Seal(header, _journal.Seed);
        if (Mutation.AcknowledgeBeforeAppend && _batch.Count > 0) CompleteBatch(BlockError.None);
        var from = _time.GetTimestamp();
        await _journal.AppendAsync(_encoder.Content);
        NoteAppend(header.RecordCount, padBytes + lengthBytes, from, _time.GetTimestamp());
        _nextWrite += header.RecordCount;
        _sink.Appended(new JournalBatch(header, _encoder.DataBytes), _encoder.Page);
        _flusher.AppendedPosition = header.EndPosition;
        CompleteBatch(BlockError.None);
    }

    private void NoteAppend(int records, int lengthBytes, long from, long to)
    {
        _measures.JournalAppends.Add(_time.GetElapsedTime(from, to));
        _measures.JournalWrites.Add(records);
        _measures.JournalBytes.Add(lengthBytes);
        _measures.WrittenBytes.Add(_encoder.DataBytes);
        foreach (var request in _batch)
        {
            request.Trace.Mark(TraceStage.JournalAppend, from, to);
            request.WaitsFrom = to;
        }
    }

    /// <summary>Skips to the start of the ring: a batch never wraps. Only the padding's first page is written.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask AppendPaddingAsync(int lengthBytes)
    {
        _padding.EncodePadding();
        _padding.Seal(new JournalBatchHeader(_journal.Head, _epoch, _nextWrite, _flusher.SyncedPosition, lengthBytes, 0), _journal.Seed);
        await _journal.AppendAsync(_padding.Content);
        _journal.SkipTo(_journal.Head + lengthBytes - JournalBatchHeader.PageBytes);
    }

    /// <summary>
    /// Holds the batch back as the back-pressure asks, and until there is space for it, or until its oldest command must end. Null: requests of it
    /// were cancelled, and have left it.
    /// </summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<BlockError?> WaitForSpaceAsync(int neededBytes)
    {
        if (_journal.Head == TailPosition)
            lock (_gate) _pressure.Begin();
        long heldFrom = 0;
        while (_failure == BlockError.None)
        {
            var usedBytes = _journal.Head - TailPosition + neededBytes;
            if (!_pressure.IsOn(usedBytes))
            {
                _wasFull = false;
                EndHold(heldFrom);
                return BlockError.None;
            }

            var waited = _time.GetElapsedTime(_batch[0].ArrivedAt);
            TimeSpan limit;
            if (usedBytes <= _journal.CapacityBytes)
            {
                lock (_gate) limit = _pressure.Delay(usedBytes, _waitingBytes);
                if (_stopping || limit - waited < WaitMin)
                {
                    EndHold(heldFrom);
                    return BlockError.None;
                }
            }
            else
            {
                limit = _timeout;
                if (_stopping || waited >= limit)
                {
                    EndHold(heldFrom);
                    return BlockError.JournalFull;
                }

                if (!_wasFull) _measures.JournalFull.Add();
                _sink.SpaceNeeded(isFirst: !_wasFull);
                _wasFull = true;
            }

            if (heldFrom == 0) heldFrom = _time.GetTimestamp();
            BeginHoldUp();
            if (EndCancelled()) return null;
            _spaceTimer.Change(limit - waited, Timeout.InfiniteTimeSpan);
            await _spaceSignal.WaitAsync();
            if (EndCancelled()) return null;
        }

        return _failure;
    }

    private void EndHold(long heldFrom)
    {
        if (heldFrom == 0) return;
        var now = _time.GetTimestamp();
        _measures.BackPressure.Add(_time.GetElapsedTime(heldFrom, now));
        foreach (var request in _batch) request.Trace.Mark(TraceStage.BackPressure, heldFrom, now);
    }

    /// <summary>From here on, until the batch is appended or ends, cancellations of what is queued wake this loop.</summary>
    private void BeginHoldUp()
    {
        lock (_gate)
        {
            if (_isHeldUp) return;
            _isHeldUp = true;
            _watched.AddRange(_batch);
            foreach (var request in _queue) _watched.Add(request);
        }

        foreach (var request in _watched) request.WatchCancellation();
        _watched.Clear();
    }

    /// <summary>Ends the requests that were cancelled, in the batch and behind it; true if some were in the batch.</summary>
    private bool EndCancelled()
    {
        if (Interlocked.Exchange(ref _hasCancelled, 0) == 0) return false;
        var cancelled = new List<AppendRequest>();
        var isOther = false;
        lock (_gate)
        {
            for (var left = _queue.Count; left > 0; left--)
            {
                var request = _queue.Dequeue();
                if (request.IsCancelled) cancelled.Add(request);
                else _queue.Enqueue(request);
            }

            for (var i = _batch.Count - 1; i >= 0; i--)
            {
                if (!_batch[i].IsCancelled) continue;
                cancelled.Add(_batch[i]);
                _batch.RemoveAt(i);
                isOther = true;
            }

            foreach (var request in cancelled) _waitingBytes -= request.DataBytes;
        }

        foreach (var request in cancelled) request.Complete(BlockError.Aborted);
        return isOther;
    }

    /// <summary>Ends the batch's requests; those that force unit access only when they are durable.</summary>
    private void CompleteBatch(BlockError error)
    {
        var position = AppendedPosition;
        var flush = false;
        var isOpen = _completions.IsOpen;
        var bytes = 0;
        var now = _time.GetTimestamp();
        foreach (var request in _batch)
        {
            bytes += request.DataBytes;

            // Whoever lost the volume meanwhile acknowledges nothing, though the write is in its journal.
            if (error == BlockError.None) error = _failure;
            if (error == BlockError.None && request.ForceUnitAccess && !Mutation.ForceUnitAccessIgnored)
            {
                flush = true;
                _flusher.Add(request, position);
            }
            else
            {
                _measures.Writes.Add(_time.GetElapsedTime(request.ArrivedAt, now));
                _completions.Complete(request, error, isOpen);
            }
        }

        _batch.Clear();
        lock (_gate) (_waitingBytes, _isHeldUp) = (_waitingBytes - bytes, false);
        if (flush) _flusher.Request(position);
    }

    private void FailJournal(Exception failure)
    {
        _sink.JournalFailed(failure);
        Fail(BlockError.Offline);
    }
}
