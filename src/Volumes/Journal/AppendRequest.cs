using System.Threading.Tasks.Sources;
using Gateway.Diagnostics;
using Gateway.Scsi;

namespace Gateway.Volumes.Journal;

/// <summary>A write or flush on its way through the journal. Pooled: it goes back when its result is taken.</summary>
internal sealed class AppendRequest(Action<AppendRequest> giveBack, Action cancelled) : IValueTaskSource<BlockResult>
{
    // Completions run where the request completes: they only hand the command back to its ring.
    private ManualResetValueTaskSourceCore<BlockResult> _core;
    private CancellationToken _cancellation;
    private CancellationTokenRegistration _registration;
    private int _isWatched;

    public BlockRange Range { get; private set; }

    /// <summary>Null: the blocks are zeroed.</summary>
    public ScatterList? Source { get; private set; }

    public bool ForceUnitAccess { get; private set; }

    /// <summary>Nobody waits for it any more.</summary>
    public bool IsCancelled => _cancellation.IsCancellationRequested;

    /// <summary>How it ends when it is cancelled after its place in the queue was taken: a write has had its effect by then, a flush has none of its own.</summary>
    public BlockError CancelledLate => Range.Blocks > 0 ? BlockError.StoreUnavailable : BlockError.Aborted;

    /// <summary>When it arrived, in the time provider's timestamps.</summary>
    public long ArrivedAt { get; private set; }

    /// <summary>Where its stages are noted.</summary>
    public TraceHandle Trace { get; private set; }

    /// <summary>For one that waits for a flush: since when.</summary>
    public long WaitsFrom { get; set; }

    /// <summary>For one that waits for a flush: the position that must be durable.</summary>
    public long DurableTarget { get; set; }

    /// <summary>Records that it takes at most: a piece of nothing but zeroes takes no data.</summary>
    public int RecordCount => Source is null ? 1 : (Source.LengthBytes + JournalFile.RecordDataMaxBytes - 1) / JournalFile.RecordDataMaxBytes;

    /// <summary>Data that it takes at most.</summary>
    public int DataBytes => Source?.LengthBytes ?? 0;

    public ValueTask<BlockResult> Begin(BlockRange range, ScatterList? source, bool forceUnitAccess, long now, CancellationToken cancellationToken)
    {
        (Range, Source, ForceUnitAccess, ArrivedAt, DurableTarget) = (range, source, forceUnitAccess, now, 0);
        (Trace, WaitsFrom) = (TraceHandle.Current, now);
        _cancellation = cancellationToken;
        return new ValueTask<BlockResult>(this, _core.Version);
    }

    /// <summary>
    /// Has its owner look through what waits when it is cancelled, which may be at once, in this call. Only for one that really waits: most do not.
    /// </summary>
    /// <remarks>The owner looks at <see cref="IsCancelled"/> after this, and under the lock that adds it to what waits: then no cancellation is missed.</remarks>
    public void WatchCancellation()
    {
        if (_cancellation.CanBeCanceled && Interlocked.Exchange(ref _isWatched, 1) == 0)
            _registration = _cancellation.UnsafeRegister(static cancelled => ((Action)cancelled!)(), cancelled);
    }

    public void Complete(BlockResult result)
    {
        Source = null;
        _core.SetResult(result);
    }

    BlockResult IValueTaskSource<BlockResult>.GetResult(short token)
    {
        var result = _core.GetResult(token);
        // Before the command can be used again: a cancellation of its next life is none of ours. Nor does it harm: it only has the owner look.
        _registration.Unregister();
        (_registration, _cancellation, _isWatched) = (default, default, 0);
        _core.Reset();
        giveBack(this);
        return result;
    }

    ValueTaskSourceStatus IValueTaskSource<BlockResult>.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource<BlockResult>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);
}
