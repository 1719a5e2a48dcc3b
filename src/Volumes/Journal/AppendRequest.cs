using System.Threading.Tasks.Sources;
using Gateway.Scsi;

namespace Gateway.Volumes.Journal;

/// <summary>A write or flush on its way through the journal. Pooled: it goes back when its result is taken.</summary>
internal sealed class AppendRequest(Action<AppendRequest> giveBack) : IValueTaskSource<BlockResult>
{
    // Completions run where the request completes: they only hand the command back to its ring.
    private ManualResetValueTaskSourceCore<BlockResult> _core;

    public BlockRange Range { get; private set; }

    /// <summary>Null: the blocks are zeroed.</summary>
    public ScatterList? Source { get; private set; }

    public bool ForceUnitAccess { get; private set; }

    /// <summary>When it arrived, in the time provider's timestamps.</summary>
    public long ArrivedAt { get; private set; }

    /// <summary>For one that waits for a flush: the position that must be durable.</summary>
    public long DurableTarget { get; set; }

    /// <summary>Records that it takes at most: a piece of nothing but zeroes takes no data.</summary>
    public int RecordCount => Source is null ? 1 : (Source.LengthBytes + JournalFile.RecordDataMaxBytes - 1) / JournalFile.RecordDataMaxBytes;

    /// <summary>Data that it takes at most.</summary>
    public int DataBytes => Source?.LengthBytes ?? 0;

    public ValueTask<BlockResult> Begin(BlockRange range, ScatterList? source, bool forceUnitAccess, long now)
    {
        (Range, Source, ForceUnitAccess, ArrivedAt, DurableTarget) = (range, source, forceUnitAccess, now, 0);
        return new ValueTask<BlockResult>(this, _core.Version);
    }

    public void Complete(BlockResult result)
    {
        Source = null;
        _core.SetResult(result);
    }

    BlockResult IValueTaskSource<BlockResult>.GetResult(short token)
    {
        var result = _core.GetResult(token);
        _core.Reset();
        giveBack(this);
        return result;
    }

    ValueTaskSourceStatus IValueTaskSource<BlockResult>.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource<BlockResult>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);
}
