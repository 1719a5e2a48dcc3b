namespace Gateway.Volumes.Leases;

/// <summary>How far a writer's history has got, by write number.</summary>
/// <param name="LastWrite">The last write in the journal.</param>
/// <param name="LastWriteFlushed">The last write that an acknowledged flush covers and that must not be lost; not below <paramref name="LastWriteInBucket"/>.</param>
/// <param name="LastWriteInBucket">The last write that counts in the bucket.</param>
internal readonly record struct WriterProgress(long LastWrite, long LastWriteFlushed, long LastWriteInBucket)
{
    /// <summary>True if the journal holds flushed writes that the bucket does not have.</summary>
    public bool IsDirty => LastWriteFlushed > LastWriteInBucket;
}

/// <summary>Keeps account of what was promised to be durable and is in the journal alone: what the heartbeat tells others.</summary>
/// <remarks>
/// Positions are the journal's. The ends of the last <see cref="BatchesMax"/> batches are known by write number; for an older one the number is rounded
/// up, so that the heartbeat rather says too much. Thread safe; allocates nothing.
/// </remarks>
internal sealed class FlushLedger
{
    private const int BatchesMax = 1024;

    private readonly Lock _gate = new();
    private readonly (long Position, long LastWrite)[] _batches = new (long, long)[BatchesMax];
    private int _next;
    private int _count;
    private long _lastWrite;
    private long _flushedPosition;
    private long _storedPosition;
    private long _storedWrite;

    /// <param name="tailPosition">Everything before it is in the bucket.</param>
    /// <param name="tailWrite">The last write before it.</param>
    public FlushLedger(long tailPosition, long tailWrite)
    {
        (_storedPosition, _storedWrite, _lastWrite, _flushedPosition) = (tailPosition, tailWrite, tailWrite, tailPosition);
    }

    /// <summary>Starts with what a journal holds: any of it may have been flushed and promised.</summary>
    public static FlushLedger Of(RecoveredVolume recovered, Durability durability)
    {
        var superblock = recovered.Journal.Superblock;
        var ledger = new FlushLedger(superblock.TailPosition, recovered.BucketWrite);
        foreach (var batch in recovered.Pending) ledger.Appended(batch.Header.EndPosition, batch.Header.LastWrite);
        if (recovered.Pending.Count > 0 && durability == Durability.Journal) ledger.Flushed(recovered.Pending[^1].Header.EndPosition);
        return ledger;
    }

    /// <summary>Called, without any lock held, when the journal turns from clean to dirty or back.</summary>
    public Action? Turned { get; set; }

    public WriterProgress Progress
    {
        get
        {
            lock (_gate) return new WriterProgress(_lastWrite, _flushedPosition > _storedPosition ? WriteAt(_flushedPosition) : _storedWrite, _storedWrite);
        }
    }

    /// <summary>A batch is in the journal.</summary>
    public void Appended(long endPosition, long lastWrite)
    {
        lock (_gate)
        {
            _lastWrite = lastWrite;
            _batches[_next] = (endPosition, lastWrite);
            _next = (_next + 1) % BatchesMax;
            _count = Math.Min(_count + 1, BatchesMax);
        }
    }

    /// <summary>Everything before a position has been promised to be durable.</summary>
    public void Flushed(long position)
    {
        bool turned;
        lock (_gate)
        {
            if (position <= _flushedPosition) return;
            turned = _flushedPosition <= _storedPosition && position > _storedPosition;
            _flushedPosition = position;
        }

        if (turned) Turned?.Invoke();
    }

    /// <summary>Everything before a position counts in the bucket.</summary>
    public void Stored(long position, long lastWrite)
    {
        bool turned;
        lock (_gate)
        {
            turned = _flushedPosition > _storedPosition && _flushedPosition <= position;
            (_storedPosition, _storedWrite) = (position, lastWrite);
        }

        if (turned) Turned?.Invoke();
    }

    /// <summary>The last write before a position: of the first known batch that ends there or behind.</summary>
    private long WriteAt(long position)
    {
        var write = _lastWrite;
        for (var i = 1; i <= _count; i++)
        {
            var batch = _batches[(_next - i + BatchesMax) % BatchesMax];
            if (batch.Position < position) break;
            write = batch.LastWrite;
        }

        return write;
    }
}
