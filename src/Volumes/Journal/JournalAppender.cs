using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Leases;

namespace Gateway.Volumes.Journal;

/// <summary>Learns of what the journal took and of its failure. Calls come from the appender's loops, one at a time each.</summary>
internal interface IJournalSink
{
    /// <summary>A batch is in the journal (not yet flushed); called before any of its writes completes. <paramref name="page"/> holds its records.</summary>
    void Appended(in JournalBatch batch, ReadOnlySpan<byte> page);

    /// <summary>Writes wait for space: bring segments to the bucket now.</summary>
    void SpaceNeeded();

    /// <summary>The local disk failed, or this code did; nothing more will be written. Called before any command ends because of it.</summary>
    void JournalFailed(Exception failure);
}

/// <summary>
/// Group commit. One loop turns all queued writes into batches, one vectored write each, straight from the commands' buffers; another
/// flushes, one fdatasync for all who wait. A write completes when its batch is in the file and in the map; one that forces unit access
/// when a flush that started after that is done. Writes take effect in the order in which they were queued.
/// </summary>
/// <remarks>
/// The queue is bounded by the ring: every request belongs to a command in flight. A batch is bounded by its first page's records and by
/// <see cref="BatchDataMaxBytes"/>; a single request may be larger.
/// </remarks>
internal sealed class JournalAppender : IAsyncDisposable
{
    private const int BatchDataMaxBytes = 1 << 20;

    private readonly JournalFile _journal;
    private readonly IJournalSink _sink;
    private readonly CompletionGate _completions;
    private readonly TimeProvider _time;
    private readonly TimeSpan _spaceTimeout;
    private readonly long _epoch;

    private readonly Lock _gate = new();
    private readonly Queue<AppendRequest> _queue = new();
    private readonly List<AppendRequest> _flushWaiters = [];
    private readonly Stack<AppendRequest> _pool = new();
    private readonly AsyncSignal _appendSignal = new();
    private readonly AsyncSignal _flushSignal = new();
    private readonly AsyncSignal _spaceSignal = new();

    // Of the append loop alone.
    private readonly List<AppendRequest> _batch = [];
    private readonly NativeBuffer _page = new(JournalBatchHeader.PageBytes);
    private readonly NativeBuffer _zeroes = new(JournalBatchHeader.PageBytes);
    private readonly ScatterList _content = new();
    private readonly int _blockLengthBytes;
    private readonly int _batchDataMaxBytes;
    private long _nextWrite;

    private long _tail;
    private long _appended;
    private long _durable;
    private BlockError _failure;
    private bool _stopping;
    private bool _flushStopping;
    private Task _appendLoop = Task.CompletedTask;
    private Task _flushLoop = Task.CompletedTask;

    public JournalAppender(JournalFile journal, IJournalSink sink, CompletionGate completions, long epoch, long nextWrite, int blockLengthBytes, TimeSpan spaceTimeout, TimeProvider time)
    {
        _journal = journal;
        _sink = sink;
        _completions = completions;
        _time = time;
        _spaceTimeout = spaceTimeout;
        _epoch = epoch;
        _nextWrite = nextWrite;
        _blockLengthBytes = blockLengthBytes;
        _batchDataMaxBytes = (int)Math.Min(BatchDataMaxBytes, journal.CapacityBytes / 4); // With padding before it, it must still fit.
        _tail = journal.Superblock.TailPosition;
        _appended = journal.Head;
        _durable = _tail; // What recovery found may still be in the page cache of a process that was killed.
    }

    /// <summary>Behind the last batch in the file.</summary>
    public long AppendedPosition => Volatile.Read(ref _appended);

    public long TailPosition => Volatile.Read(ref _tail);

    public void Start()
    {
        _appendLoop = RunAppendLoopAsync();
        _flushLoop = RunFlushLoopAsync();
    }

    /// <summary>Queues a write of <paramref name="source"/>, or of zeroes when it is null.</summary>
    public ValueTask<BlockResult> WriteAsync(BlockRange range, ScatterList? source, bool forceUnitAccess)
    {
        ValueTask<BlockResult> result;
        lock (_gate)
        {
            if (_failure != BlockError.None) return new(_failure);
            if (_stopping) return new(BlockError.Offline);
            var request = Rent();
            result = request.Begin(range, source, forceUnitAccess, _time.GetTimestamp());
            _queue.Enqueue(request);
        }

        _appendSignal.Set();
        return result;
    }

    /// <summary>Completes when everything that was appended before the call is durable.</summary>
    public ValueTask<BlockResult> FlushAsync()
    {
        ValueTask<BlockResult> result;
        lock (_gate)
        {
            if (_failure != BlockError.None) return new(_failure);
            if (_durable >= _appended) return _completions.GuardAsync(new(BlockResult.Success));
            var request = Rent();
            result = request.Begin(default, null, false, _time.GetTimestamp());
            request.DurableTarget = _appended;
            _flushWaiters.Add(request);
        }

        _flushSignal.Set();
        return result;
    }

    /// <summary>Gives back the space before <paramref name="tail"/>, after a superblock that says so became durable.</summary>
    public void Release(long tail)
    {
        _completions.Ledger.Stored(tail, _journal.Superblock.TailWrite);
        Volatile.Write(ref _tail, tail);
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
            waiting = [.. _queue, .. _flushWaiters];
            _queue.Clear();
            _flushWaiters.Clear();
        }

        foreach (var request in waiting) request.Complete(error);
        _spaceSignal.Set();
    }

    /// <summary>Appends what is queued, flushes it, and ends. Requests that come later fail.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_gate) _stopping = true;
        _appendSignal.Set();
        _spaceSignal.Set();
        await _appendLoop;
        lock (_gate) _flushStopping = true;
        _flushSignal.Set();
        await _flushLoop;
        Fail(BlockError.Offline);
        _page.Dispose();
        _zeroes.Dispose();
    }

    private AppendRequest Rent() => _pool.TryPop(out var request) ? request : new AppendRequest(GiveBack);

    private void GiveBack(AppendRequest request)
    {
        lock (_gate) _pool.Push(request);
    }

    private async Task RunAppendLoopAsync()
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

    private async ValueTask AppendBatchAsync()
    {
        var dataBytes = 0;
        foreach (var request in _batch) dataBytes += request.DataBytes;
        var lengthBytes = JournalBatchHeader.PageBytes + RoundUp(dataBytes);
        var padBytes = lengthBytes > _journal.RoomToEnd ? _journal.RoomToEnd : 0;
        if (!await WaitForSpaceAsync(padBytes + lengthBytes))
        {
            CompleteBatch(_failure == BlockError.None ? BlockError.JournalFull : _failure);
            return;
        }

        if (padBytes > 0) await AppendPaddingAsync(padBytes);
        var header = new JournalBatchHeader(_journal.Head, _epoch, _nextWrite, Volatile.Read(ref _durable), lengthBytes, Encode());
        header.WriteTo(_page.Span, _journal.Seed);
        await _journal.AppendAsync(_content);
        _nextWrite += header.RecordCount;
        _sink.Appended(new JournalBatch(header, dataBytes), _page.Span);
        Volatile.Write(ref _appended, header.EndPosition);
        CompleteBatch(BlockError.None);
    }

    /// <summary>Lays the batch out in <see cref="_content"/> and its records in <see cref="_page"/>; returns their number.</summary>
    private int Encode()
    {
        _content.Reset();
        _content.Add(_page);
        var page = _page.Span;
        page.Clear();
        var count = 0;
        foreach (var request in _batch)
        {
            if (request.Source is not { } source)
            {
                Put(new JournalRecord(request.Range.Lba, request.Range.Blocks, JournalRecordKind.Zero, 0, 0, 0));
                continue;
            }

            for (var done = 0; done < source.LengthBytes;)
            {
                var length = Math.Min(source.LengthBytes - done, JournalFile.RecordDataMaxBytes);
                var lba = request.Range.Lba + (ulong)(done / _blockLengthBytes);
                Put(new JournalRecord(lba, (uint)(length / _blockLengthBytes), JournalRecordKind.Data, _content.LengthBytes, length, Checksum(source, done, length)));
                _content.AddSlice(source, done, length);
                done += length;
            }
        }

        _content.Add(_zeroes, RoundUp(_content.LengthBytes) - _content.LengthBytes);
        return count;

        void Put(JournalRecord record) =>
            record.WriteTo(_page.Span[(JournalBatchHeader.HeaderLengthBytes + (count++ * JournalRecord.RecordLengthBytes))..]);
    }

    private static uint Checksum(ScatterList source, int offsetBytes, int lengthBytes)
    {
        uint crc = 0;
        var walker = new ScatterList.Walker(source, offsetBytes, lengthBytes);
        while (walker.MoveNext(out var piece)) crc = Crc32C.Compute(piece, crc);
        return crc;
    }

    /// <summary>Skips to the start of the ring: a batch never wraps. Only the padding's first page is written.</summary>
    private async ValueTask AppendPaddingAsync(int lengthBytes)
    {
        _page.Span.Clear();
        new JournalBatchHeader(_journal.Head, _epoch, _nextWrite, Volatile.Read(ref _durable), lengthBytes, 0).WriteTo(_page.Span, _journal.Seed);
        _content.Reset();
        _content.Add(_page);
        await _journal.AppendAsync(_content);
        _journal.SkipTo(_journal.Head + lengthBytes - JournalBatchHeader.PageBytes);
    }

    private async ValueTask<bool> WaitForSpaceAsync(int neededBytes)
    {
        if (HasSpace()) return _failure == BlockError.None;
        _sink.SpaceNeeded();
        using var timer = _time.CreateTimer(static signal => ((AsyncSignal)signal!).Set(), _spaceSignal, _spaceTimeout, Timeout.InfiniteTimeSpan);
        while (_failure == BlockError.None)
        {
            if (HasSpace()) return true;
            var deadline = _spaceTimeout - _time.GetElapsedTime(_batch[0].EnqueuedAt);
            if (deadline <= TimeSpan.Zero || _stopping) return false;
            timer.Change(deadline, Timeout.InfiniteTimeSpan);
            await _spaceSignal.WaitAsync();
        }

        return false;

        bool HasSpace() => _journal.CapacityBytes - (_journal.Head - Volatile.Read(ref _tail)) >= neededBytes;
    }

    private void CompleteBatch(BlockError error)
    {
        var flush = false;
        var isOpen = _completions.IsOpen;
        foreach (var request in _batch)
        {
            if (error == BlockError.None && request.ForceUnitAccess)
            {
                request.DurableTarget = _appended;
                lock (_gate)
                {
                    if (_failure == BlockError.None)
                    {
                        _flushWaiters.Add(request);
                        flush = true;
                        continue;
                    }
                }

                request.Complete(_failure);
                continue;
            }

            _completions.Complete(request, error, isOpen);
        }

        _batch.Clear();
        if (flush) _flushSignal.Set();
    }

    private async Task RunFlushLoopAsync()
    {
        var done = new List<AppendRequest>();
        try
        {
            while (true)
            {
                await _flushSignal.WaitAsync();
                var target = Volatile.Read(ref _appended);
                if (target > _durable)
                {
                    await _journal.FlushAsync();
                    Volatile.Write(ref _durable, target);
                }

                bool stop;
                lock (_gate)
                {
                    foreach (var waiter in _flushWaiters)
                        if (waiter.DurableTarget <= target) done.Add(waiter);
                    _flushWaiters.RemoveAll(w => w.DurableTarget <= target);
                    if (_flushWaiters.Count > 0) _flushSignal.Set();
                    stop = _flushStopping && _flushWaiters.Count == 0;
                }

                var isOpen = _completions.IsOpen;
                foreach (var waiter in done) _completions.Complete(waiter, BlockResult.Success, isOpen);
                done.Clear();
                if (stop) return;
            }
        }
        catch (Exception e)
        {
            // After a failed fdatasync the kernel may have dropped the dirty pages: trying again could succeed and mean nothing.
            FailJournal(e);
        }
    }

    private void FailJournal(Exception failure)
    {
        _sink.JournalFailed(failure);
        Fail(BlockError.Offline);
    }

    private static int RoundUp(int bytes) => (bytes + JournalBatchHeader.PageBytes - 1) / JournalBatchHeader.PageBytes * JournalBatchHeader.PageBytes;
}
