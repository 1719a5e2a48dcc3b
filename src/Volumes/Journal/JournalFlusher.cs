using Gateway.Diagnostics;
using Gateway.Scsi;
using Gateway.Volumes.Leases;

namespace Gateway.Volumes.Journal;

/// <summary>
/// Makes journaled writes durable, and ends the flushes that wait for it. With <see cref="Durability.Journal"/> one fdatasync serves all
/// who wait; with <see cref="Durability.Bucket"/> they wait until the uploader has given the space of what they cover back. Either way
/// each ends within the command timeout: in <see cref="BlockError.StoreUnavailable"/> if it must, which initiators try again. One that is
/// cancelled ends at once: a flush as if it had never been, a write, which is in the journal, as if its time were up.
/// </summary>
/// <remarks>Thread safe. Waiting flushes are bounded by the ring: each belongs to a command in flight.</remarks>
internal sealed class JournalFlusher : IAsyncDisposable
{
    private readonly JournalFile _journal;
    private readonly Durability _durability;
    private readonly TimeSpan _timeout;
    private readonly TimeProvider _time;
    private readonly CompletionGate _completions;
    private readonly Action<Exception> _failed;
    private readonly Action<long> _bucketNeeded;
    private readonly VolumeMeasures _measures;

    private readonly Lock _gate = new();
    private readonly List<AppendRequest> _waiters = [];
    private readonly List<AppendRequest> _done = []; // Of the loop or, with the bucket, of the uploader alone.
    private readonly AsyncSignal _signal = new();
    private readonly ITimer _deadline;
    private bool _deadlineIsArmed;
    private long _deadlineArrivedAt; // When the request arrived for which it is armed.
    private long _appended;
    private long _synced;
    private long _tail;
    private volatile bool _isSyncing;
    private BlockError _failure;
    private bool _stopping;
    private Task _loop = Task.CompletedTask;

    /// <param name="journal">The journal, recovered.</param>
    /// <param name="durability">What a flush waits for.</param>
    /// <param name="timeout">How long it waits at most.</param>
    /// <param name="time">The clock.</param>
    /// <param name="completions">What a flush passes when it has succeeded.</param>
    /// <param name="failed">Told once when the disk fails.</param>
    /// <param name="bucketNeeded">Asks that everything before a position be brought to the bucket now.</param>
    /// <param name="measures">Takes times.</param>
    public JournalFlusher(JournalFile journal, Durability durability, TimeSpan timeout, TimeProvider time, CompletionGate completions, Action<Exception> failed, Action<long> bucketNeeded, VolumeMeasures measures)
    {
        _journal = journal;
        _durability = durability;
        _timeout = timeout;
        _time = time;
        _completions = completions;
        _failed = failed;
        _bucketNeeded = bucketNeeded;
        _measures = measures;
        _tail = _synced = journal.Superblock.TailPosition; // What recovery found may still be in the page cache of a process that was killed.
        _deadline = time.CreateTimer(static flusher => ((JournalFlusher)flusher!).Expire(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>End of the last batch in the file that holds writes. Set by the appender.</summary>
    public required long AppendedPosition
    {
        get => Volatile.Read(ref _appended);
        set => Volatile.Write(ref _appended, value);
    }

    /// <summary>Everything before it was flushed to the local disk.</summary>
    public long SyncedPosition => Volatile.Read(ref _synced);

    /// <summary>Everything before it is in the bucket.</summary>
    public long TailPosition => Volatile.Read(ref _tail);

    /// <summary>Everything before it survives what the volume promises.</summary>
    public long DurablePosition => _durability == Durability.Bucket ? TailPosition : SyncedPosition;

    /// <summary>True while the disk flushes: writes to it may take as long then.</summary>
    public bool IsSyncing => _isSyncing;

    public void Start() => _loop = RunAsync();

    /// <summary>Has a request wait for everything before a position; ends it if that will not be. <see cref="Request"/> must follow.</summary>
    public void Add(AppendRequest request, long position)
    {
        BlockError failure;
        request.WatchCancellation();
        lock (_gate)
        {
            failure = _failure != BlockError.None ? _failure : request.IsCancelled ? request.CancelledLate : BlockError.None;
            if (failure == BlockError.None)
            {
                request.DurableTarget = position;
                _waiters.Add(request);
                // A write that waited for space arrived earlier than flushes that are waiting already.
                if (!_deadlineIsArmed || request.ArrivedAt < _deadlineArrivedAt) ArmDeadline(request);
            }
        }

        if (failure != BlockError.None) request.Complete(failure);
    }

    /// <summary>Starts what makes everything before a position durable. May run a flush's start in this call.</summary>
    public void Request(long position)
    {
        if (_durability == Durability.Bucket) _bucketNeeded(position);
        else _signal.Set(inline: true);
    }

    /// <summary>Takes note that everything before <paramref name="tail"/> is in the bucket, and that a superblock which says so is durable.</summary>
    public void Released(long tail)
    {
        lock (_gate)
        {
            Volatile.Write(ref _tail, tail);
            Volatile.Write(ref _synced, Math.Max(_synced, tail));
            if (_durability == Durability.Bucket) TakeDone(tail);
        }

        if (_durability == Durability.Bucket) CompleteDone();
    }

    /// <summary>Ends what waits and was cancelled.</summary>
    public void EndCancelled()
    {
        List<AppendRequest>? cancelled = null;
        lock (_gate)
        {
            for (var i = _waiters.Count - 1; i >= 0; i--)
            {
                if (!_waiters[i].IsCancelled) continue;
                (cancelled ??= []).Add(_waiters[i]);
                _waiters.RemoveAt(i);
            }
        }

        if (cancelled is null) return;
        foreach (var request in cancelled) request.Complete(request.CancelledLate);
    }

    /// <summary>Ends all that wait, and all that come later.</summary>
    public void Fail(BlockError error)
    {
        AppendRequest[] waiting;
        lock (_gate)
        {
            if (_failure != BlockError.None) return;
            _failure = error;
            waiting = [.. _waiters];
            _waiters.Clear();
        }

        foreach (var request in waiting) request.Complete(error);
    }

    /// <summary>Flushes what was appended to the disk, and ends.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_gate) _stopping = true;
        _signal.Set();
        await _loop;
        await _deadline.DisposeAsync();
    }

    private async Task RunAsync()
    {
        try
        {
            while (true)
            {
                await _signal.WaitAsync();
                var target = AppendedPosition;
                if (target > SyncedPosition)
                {
                    _isSyncing = true;
                    var from = _time.GetTimestamp();
                    await _journal.FlushAsync(brief: true);
                    _measures.JournalFlushes.Add(_time.GetElapsedTime(from));
                    target = Mutation.FlushCoversLaterWrites ? AppendedPosition : target;
                    _isSyncing = false;
                }

                bool stop;
                lock (_gate)
                {
                    Volatile.Write(ref _synced, Math.Max(_synced, Mutation.FlushCoversLaterWrites ? AppendedPosition : target));
                    if (_durability == Durability.Journal)
                    {
                        TakeDone(target);
                        if (_waiters.Count > 0) _signal.Set();
                    }

                    stop = _stopping && (_durability == Durability.Bucket || _waiters.Count == 0);
                }

                if (_durability == Durability.Journal) CompleteDone();
                if (stop) return;
            }
        }
        catch (Exception e)
        {
            // After a failed fdatasync the kernel may have dropped the dirty pages: trying again could succeed and mean nothing.
            _failed(e);
        }
    }

    private void TakeDone(long position)
    {
        var left = 0;
        for (var i = 0; i < _waiters.Count; i++)
        {
            var waiter = _waiters[i];
            if (waiter.DurableTarget <= position) _done.Add(waiter);
            else _waiters[left++] = waiter;
        }

        _waiters.RemoveRange(left, _waiters.Count - left);
    }

    private void CompleteDone()
    {
        if (_done.Count == 0) return;
        var isOpen = _completions.IsOpen;
        var now = _time.GetTimestamp();
        foreach (var waiter in _done)
        {
            (waiter.Range.Blocks > 0 ? _measures.Writes : _measures.Flushes).Add(_time.GetElapsedTime(waiter.ArrivedAt, now));
            waiter.Trace.Mark(TraceStage.FlushWait, waiter.WaitsFrom, now);
            _completions.Complete(waiter, BlockResult.Success, isOpen);
        }

        _done.Clear();
    }

    private void ArmDeadline(AppendRequest oldest)
    {
        var left = _timeout - _time.GetElapsedTime(oldest.ArrivedAt);
        _deadlineArrivedAt = oldest.ArrivedAt;
        _deadlineIsArmed = _deadline.Change(left > TimeSpan.Zero ? left : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Ends what has waited too long. Armed once for many: what came after waits its own time.</summary>
    private void Expire()
    {
        var expired = new List<AppendRequest>();
        lock (_gate)
        {
            _deadlineIsArmed = false;
            AppendRequest? oldest = null;
            foreach (var waiter in _waiters)
            {
                if (_time.GetElapsedTime(waiter.ArrivedAt) >= _timeout) expired.Add(waiter);
                else if (oldest is null || waiter.ArrivedAt < oldest.ArrivedAt) oldest = waiter;
            }

            foreach (var waiter in expired) _waiters.Remove(waiter);
            if (oldest is not null) ArmDeadline(oldest);
        }

        foreach (var waiter in expired) waiter.Complete(BlockError.StoreUnavailable);
    }
}
