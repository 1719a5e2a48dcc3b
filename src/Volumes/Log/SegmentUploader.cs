using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Journal;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Log;

/// <summary>What the uploader needs of its volume.</summary>
internal interface IUploadTarget
{
    /// <summary>The segment is in the store, in order, and valid for good: take its index into the map.</summary>
    void Commit(BuiltSegment segment);

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
    private const int RecordsMax = SegmentIndexEntry.CountMax / 4;

    private readonly IBlobStore _store;
    private readonly VolumeRecord _volume;
    private readonly VolumeKeys _keys;
    private readonly JournalFile _journal;
    private readonly JournalAppender _appender;
    private readonly IUploadTarget _target;
    private readonly VolumeOptions _options;
    private readonly long _epoch;
    private readonly TimeProvider _time;
    private readonly Random _random;
    private readonly Func<Guid> _newNonce;
    private readonly ILogger _logger;

    private readonly Lock _gate = new();
    private readonly Queue<(JournalBatch Batch, long At)> _pending = new();
    private readonly Queue<Upload> _uploads = new();
    private readonly AsyncSignal _signal = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly ITimer _ageTimer;
    private long _pendingBytes;
    private bool _drain;
    private bool _ended;
    private TaskCompletionSource<bool>? _drained;
    private long _nextSequence;
    private Task _loop = Task.CompletedTask;

    public SegmentUploader(
        IBlobStore store,
        LogState state,
        JournalFile journal,
        JournalAppender appender,
        IUploadTarget target,
        long epoch,
        VolumeOptions options,
        TimeProvider time,
        Random random,
        Func<Guid> newNonce,
        ILogger logger)
    {
        _store = store;
        _volume = state.Volume;
        _keys = state.Keys;
        _journal = journal;
        _appender = appender;
        _target = target;
        _options = options;
        _epoch = epoch;
        _time = time;
        _random = random;
        _newNonce = newNonce;
        _logger = logger;
        _nextSequence = state.End.Sequence + 1;
        _ageTimer = time.CreateTimer(static s => ((AsyncSignal)s!).Set(), _signal, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    private sealed record Upload(JournalBatchHeader Last, Task<BuiltSegment?> Segment);

    /// <summary>Journal data that no sealed segment holds yet, in bytes.</summary>
    public long PendingBytes => Volatile.Read(ref _pendingBytes);

    public void Start() => _loop = RunAsync();

    /// <summary>Takes note of a batch that is in the journal.</summary>
    public void Add(in JournalBatch batch)
    {
        bool wake;
        lock (_gate)
        {
            if (_pending.Count == 0) _ageTimer.Change(_options.SealAfter, Timeout.InfiniteTimeSpan);
            _pending.Enqueue((batch, _time.GetTimestamp()));
            wake = _pendingBytes < _options.SegmentBytes;
            _pendingBytes += batch.DataBytes;
            wake &= _pendingBytes >= _options.SegmentBytes;
        }

        if (wake) _signal.Set();
    }

    /// <summary>Seals what is pending without waiting for size or age; true when it is in the bucket, false if the uploader ended before.</summary>
    public async Task<bool> DrainAsync()
    {
        Task<bool> drained;
        lock (_gate)
        {
            if (_ended) return false;
            _drain = true;
            _drained ??= new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
            drained = _drained.Task;
        }

        _signal.Set();
        return await drained;
    }

    /// <summary>Seals what is pending without waiting for size or age.</summary>
    public void Hurry()
    {
        lock (_gate) _drain = true;
        _signal.Set();
    }

    /// <summary>Stops at once; what is not in the bucket stays in the journal.</summary>
    public async ValueTask DisposeAsync()
    {
        _stop.Cancel();
        _signal.Set();
        await _loop;
        await _ageTimer.DisposeAsync();
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        try
        {
            while (!_stop.IsCancellationRequested)
            {
                while (_uploads.Count < _options.UploadWindow && TakeSealed() is { } batches)
                {
                    var id = new SegmentId(_epoch, _nextSequence++);
                    var upload = UploadAsync(id, batches);
                    _uploads.Enqueue(new Upload(batches[^1].Header, upload));
                    _ = WakeAfterAsync(upload);
                }

                if (_uploads.TryPeek(out var oldest) && (oldest.Segment.IsCompleted || (Mutation.CountedOutOfOrder && _uploads.Any(u => u.Segment.IsCompleted))))
                {
                    if (!await CommitAsync()) return;
                    continue;
                }

                await _signal.WaitAsync();
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Stopped in the middle: the journal has it all.
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
                _drained?.TrySetResult(false);
            }

            _stop.Cancel(); // What still travels would not count any more.
            foreach (var upload in _uploads) await EndAsync(upload.Segment);
        }
    }

    private async Task WakeAfterAsync(Task upload)
    {
        await EndAsync(upload);
        _signal.Set();
    }

    /// <summary>Completes with the task, whatever became of it.</summary>
    private static async Task EndAsync(Task task) => await task.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);

    /// <summary>Takes the batches of the next segment off the queue, or null if none is due yet.</summary>
    private List<JournalBatch>? TakeSealed()
    {
        lock (_gate)
        {
            if (_pending.Count == 0)
            {
                _drain = false;
                if (_uploads.Count > 0) return null;
                _drained?.TrySetResult(true);
                _drained = null;
                return null;
            }

            var age = _time.GetElapsedTime(_pending.Peek().At);
            if (!_drain && _pendingBytes < _options.SegmentBytes && age < _options.SealAfter)
            {
                _ageTimer.Change(_options.SealAfter - age, Timeout.InfiniteTimeSpan);
                return null;
            }

            var batches = new List<JournalBatch>();
            var records = 0;
            for (long bytes = 0; bytes < _options.SegmentBytes && records < RecordsMax && _pending.TryDequeue(out var next);)
            {
                batches.Add(next.Batch);
                records += next.Batch.Header.RecordCount;
                bytes += next.Batch.DataBytes;
                _pendingBytes -= next.Batch.DataBytes;
            }

            return batches;
        }
    }

    /// <summary>Builds and puts one segment. Null: somebody else holds its name, so we are fenced.</summary>
    private async Task<BuiltSegment?> UploadAsync(SegmentId id, List<JournalBatch> batches)
    {
        var segment = await BuildAsync(id, batches);
        if (Mutation.SpaceFreedBeforeCount && batches.Count > 0) await FreeAsync(batches[^1].Header);
        return await PutAsync(segment) ? segment : null;
    }

    private async Task<BuiltSegment> BuildAsync(SegmentId id, List<JournalBatch> batches)
    {
        var builder = new SegmentBuilder(_volume);
        foreach (var batch in batches)
        {
            var content = new byte[batch.Header.LengthBytes];
            await _journal.ReadAsync(content, batch.Header.Position);
            var intact = JournalBatchHeader.TryParse(content, _journal.Seed, out var header) && header == batch.Header && JournalFile.TryCheckRecords(content, header, out _);
            if (!intact) throw new IOException($"Journal '{_journal.Path}' does not return what was written to it at position {batch.Header.Position}.");
            builder.Add(header, content);
        }

        return builder.Build(id, _newNonce(), _time.GetUtcNow());
    }

    private async Task<bool> PutAsync(BuiltSegment segment)
    {
        var key = _keys.Segment(segment.Header.Id);
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await _store.PutAsync(key, segment.Content, Mutation.SegmentNamesReused ? Precondition.None : Precondition.Absent, _stop.Token);
                return true;
            }
            catch (BlobStoreException e) when (e.Kind == BlobErrorKind.PreconditionFailed)
            {
                // Either an earlier attempt of ours succeeded and its answer was lost, or somebody else wrote it.
                if (await IsOursAsync(key, segment.Header) is { } ours) return ours;
                await DelayAsync(segment.Header.Id, attempt, e);
            }
            catch (Exception e) when (!_stop.IsCancellationRequested)
            {
                // Also what a store must not throw: the put can be made again, and the data is safe meanwhile.
                await DelayAsync(segment.Header.Id, attempt, e);
            }
        }
    }

    private async Task<bool?> IsOursAsync(BlobKey key, SegmentHeader header)
    {
        try
        {
            var stored = new byte[SegmentHeader.HeaderLengthBytes];
            await _store.ReadExactlyAsync(key, 0, stored, _stop.Token);
            return SegmentHeader.Parse(stored, key.Value) == header;
        }
        catch (VolumeException)
        {
            return false;
        }
        catch (Exception) when (!_stop.IsCancellationRequested)
        {
            return null; // Cannot tell yet.
        }
    }

    private async Task DelayAsync(SegmentId id, int attempt, Exception cause)
    {
        var ceiling = _options.RetryDelayMin * Math.Pow(2, Math.Min(attempt, 10) - 1);
        if (ceiling > _options.RetryDelayMax) ceiling = _options.RetryDelayMax;
        TimeSpan delay;
        lock (_random) delay = ceiling * (0.5 + (_random.NextDouble() / 2));
        VolumeLog.SegmentDelayed(_logger, _volume.Name, id, attempt, delay, cause.Message);
        await Task.Delay(delay, _time, _stop.Token);
    }

    /// <summary>Lets every segment that arrived in order count; false when this gateway must stop.</summary>
    private async Task<bool> CommitAsync()
    {
        var arrived = (Mutation.CountedOutOfOrder ? _uploads.Where(u => u.Segment.IsCompleted) : _uploads.TakeWhile(u => u.Segment.IsCompleted)).ToArray();
        var segments = new List<BuiltSegment>();
        foreach (var upload in arrived)
        {
            if (await upload.Segment is not { } segment)
            {
                _target.Fenced(_epoch);
                return false;
            }

            segments.Add(segment);
        }

        if (!Mutation.NewerEpochIgnored && await NewerEpochExistsAsync())
        {
            _target.Fenced(_epoch + 1);
            return false;
        }

        foreach (var segment in segments)
        {
            _target.Commit(segment);
            VolumeLog.SegmentStored(_logger, _volume.Name, segment.Header.Id, segment.Header.FirstWrite, segment.Header.LastWrite, segment.Header.LengthBytes);
        }

        var last = arrived[^1].Last;
        if (Mutation.SpaceFreedBeforeSuperblock && arrived.Length > 0) _appender.Release(last.EndPosition);
        if (!Mutation.SpaceFreedBeforeCount) await FreeAsync(last);
        foreach (var _ in arrived) _uploads.Dequeue();
        return true;
    }

    /// <summary>Gives the journal its space up to a batch back, whose writes are in the bucket for good.</summary>
    private async Task FreeAsync(JournalBatchHeader last)
    {
        await _journal.WriteSuperblockAsync(_journal.Superblock with { TailPosition = last.EndPosition, TailWrite = last.LastWrite });
        _appender.Release(last.EndPosition);
    }

    private async Task<bool> NewerEpochExistsAsync()
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await _store.GetLengthAsync(_keys.Epoch(_epoch + 1), _stop.Token) is not null;
            }
            catch (Exception e) when (!_stop.IsCancellationRequested)
            {
                await DelayAsync(new SegmentId(_epoch, _nextSequence - 1), attempt, e);
            }
        }
    }
}
