using System.Diagnostics;
using Gateway.Backends.Core;
using Gateway.Diagnostics;
using Gateway.Scsi;
using Gateway.Volumes.Cache;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Frames;
using Gateway.Volumes.Map;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Reading;

/// <summary>
/// Brings frames from the cache file or the store, proves them, keeps them, and hands them to all reads that wait for them. A frame is on its
/// way once at a time, however many want it; neighbours in a segment come with one request.
/// </summary>
/// <remarks>
/// 1. A frame is entered in the table of those on their way; reads join it there. 2. Its bytes come and are proved. 3. The memory cache takes
/// it. 4. It leaves the table, and its waiters are served. A read that finds it neither in the table nor in the memory cache comes before 1
/// or after 4, with the frame evicted already, and starts anew. A fetch, with its wait for a turn, ends after the command timeout.
/// </remarks>
internal sealed class FrameFetcher(
    IBlobStore store,
    VolumeRecord volume,
    VolumeKeys keys,
    IBlockPlaces places,
    PageCache cache,
    CacheFile? file,
    RequestWindow window,
    VolumeOptions options,
    TimeProvider time,
    ILogger logger,
    VolumeMeasures measures) : IAsyncDisposable
{
    /// <summary>Requests that commands wait for are cut there: several at once are faster than a long one.</summary>
    private const int ForegroundBytesMax = RangeBuffers.RangeBytesMax / 4;

    private readonly Lock _gate = new();
    private readonly Dictionary<FrameKey, FrameFetch> _frames = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _running = 1; // The fetcher itself, until it is disposed of.
    private bool _isClosed;

    /// <summary>Starts what is not on its way yet and is not in memory.</summary>
    /// <param name="needs">The blocks, in order. Those without an operation are only to be kept.</param>
    /// <param name="operation">The read that waits for them; null for a read-ahead.</param>
    /// <param name="isStream">A sequential reader's.</param>
    /// <returns>Number of frames that this call started.</returns>
    public int Fetch(List<FrameNeed> needs, ReadOperation? operation, bool isStream)
    {
        var fresh = new List<FrameFetch>();
        List<FrameNeed>? refused = null;
        lock (_gate)
        {
            foreach (var need in needs)
            {
                if (_isClosed)
                {
                    (refused ??= []).Add(need);
                    continue;
                }

                var key = FrameKey.Of(need.Place.Segment);
                if (!_frames.TryGetValue(key, out var frame))
                {
                    // A fetch may have ended since the caller looked.
                    if (operation?.TryCopy(cache, key, need, isStream) ?? false) continue;
                    frame = new FrameFetch(key, need.Place.Segment, need.Place.Lba - (uint)need.Place.BlockOffset);
                    _frames.Add(key, frame);
                    fresh.Add(frame);
                }

                Join(frame, need, operation, isStream);
            }

            if (fresh.Count > 0) _running++;
        }

        foreach (var need in refused ?? [])
        {
            operation?.Expect();
            operation?.Fail(need.Place, need.OffsetBytes, BlockError.Offline);
        }

        if (fresh.Count == 0) return 0;
        foreach (var range in Group(fresh, operation)) Start(range);
        EndRun();
        return fresh.Count;
    }

    public async ValueTask DisposeAsync()
    {
        lock (_gate) _isClosed = true;
        _stop.Cancel();
        EndRun();
        await _idle.Task;
        _stop.Dispose();
    }

    private void Join(FrameFetch frame, in FrameNeed need, ReadOperation? operation, bool isStream)
    {
        if (!isStream) frame.IsStream = false;
        if (operation is null) return;
        operation.Expect();
        frame.Waiters.Add((operation, need));
        frame.RequestedPages |= PageCache.PagesOf(need.Place.BlockOffset * volume.BlockSizeBytes, (int)need.Place.Blocks * volume.BlockSizeBytes);
        if (frame.Turn is { IsBackground: true } turn) window.Promote(turn);
    }

    /// <summary>Puts neighbours together, by segment and place in it. What the cache file has comes from there, each by itself.</summary>
    private List<FrameRange> Group(List<FrameFetch> frames, ReadOperation? operation)
    {
        var (isBackground, trace, from) = (operation is null, operation?.Trace ?? default, time.GetTimestamp());
        var lengthMax = isBackground ? RangeBuffers.RangeBytesMax : ForegroundBytesMax;
        frames.Sort(static (a, b) => a.Location.Sequence != b.Location.Sequence
            ? a.Location.Sequence.CompareTo(b.Location.Sequence)
            : a.Location.FrameOffsetBytes.CompareTo(b.Location.FrameOffsetBytes));
        var ranges = new List<FrameRange>();
        foreach (var frame in frames)
        {
            var isInFile = file?.Contains(frame.Key) ?? false;
            if (!isInFile && ranges.Count > 0 && ranges[^1] is { IsInFile: false } range
                && FrameRange.Joins(range.Frames[0].Location, range.Frames[^1].Location, frame.Location, lengthMax))
            {
                range.Frames.Add(frame);
            }
            else
            {
                var id = new SegmentId(places.EpochOf(frame.Location.Sequence), frame.Location.Sequence);
                ranges.Add(new FrameRange(id, keys.Segment(id), FrameHeader.Seed(volume.Id, id), [frame], isInFile) { Trace = trace, From = from });
            }
        }

        lock (_gate)
        {
            foreach (var range in ranges)
            {
                var turn = new RequestTurn(isBackground && range.Frames.TrueForAll(f => f.Waiters.Count == 0));
                foreach (var frame in range.Frames) frame.Turn = turn;
            }
        }

        return ranges;
    }

    private void Start(FrameRange range)
    {
        lock (_gate) _running++;
        // Not on this thread, which may be a ring's: what a store does before it first waits takes its time.
        if (SynchronizationContext.Current is { } context) context.Post(static s => Run(((FrameFetcher, FrameRange))s!), (this, range));
        else ThreadPool.UnsafeQueueUserWorkItem(static s => Run(s), (this, range), preferLocal: false);

        static void Run((FrameFetcher Fetcher, FrameRange Range) work) => _ = work.Fetcher.RunAsync(work.Range);
    }

    private async Task RunAsync(FrameRange range)
    {
        // In its context the store is asked: what another machine does for a sampled command belongs to its trace.
        using var span = range.Trace.Root is { } root ? CommandTracing.Source.StartActivity("cache fetch", ActivityKind.Internal, root.Context) : null;
        if (span is not null) range.Trace = default; // It is noted already.
        var (error, reason, isTimeUp) = (BlockError.StoreUnavailable, "", false);
        try
        {
            using var deadline = Deadline();
            using var stopping = StopWith(deadline);
            if (range.IsInFile && await TryReadFileAsync(range))
            {
                measures.CacheFileFetches.Add(time.GetElapsedTime(range.From));
                return;
            }

            await ReadStoreAsync(range, deadline.Token);
            measures.StoreFetches.Add(time.GetElapsedTime(range.From));
        }
        catch (BlobStoreException e)
        {
            (error, reason) = (ErrorOf(e), e.Message);
        }
        catch (OperationCanceledException)
        {
            isTimeUp = !_isClosed;
            reason = _isClosed ? "The volume was closed." : $"No answer within {options.CommandTimeout}.";
        }
        catch (Exception e)
        {
            reason = e.ToString(); // What a store must not throw: the commands that wait here must end all the same.
        }
        finally
        {
            range.Note(time.GetTimestamp());
            FailRest(range, error, reason, isTimeUp);
            EndRun();
        }
    }

    private async ValueTask<bool> TryReadFileAsync(FrameRange range)
    {
        var frame = range.Frames[0];
        var buffer = RangeBuffers.Rent(frame.Location.FrameLengthBytes);
        var stored = buffer.AsMemory(0, frame.Location.FrameLengthBytes);
        var read = await file!.TryReadAsync(frame.Key, stored);
        if (read == CacheFileRead.Done) range.Note(time.GetTimestamp());
        var served = read == CacheFileRead.Done && TryServe(range, frame, stored.Span);
        if (read == CacheFileRead.Done && !served)
        {
            measures.CacheFileCheckErrors.Add();
            file.Drop(frame.Key);
        }

        if (read != CacheFileRead.GivenUp) RangeBuffers.Return(buffer);
        return served;
    }

    private async ValueTask ReadStoreAsync(FrameRange range, CancellationToken cancellationToken)
    {
        var again = new List<FrameFetch>();
        try
        {
            await ReadRangeAsync(range, range.Frames, range.Turn, again, cancellationToken);
        }
        catch (BlobStoreException e) when (e.Kind == BlobErrorKind.Corrupt)
        {
            measures.StoreCheckErrors.Add(range.Frames.Count);
            again.AddRange(range.Frames);
        }

        // A transfer may go wrong without the store's noticing: only what is bad twice is bad in the store.
        foreach (var frame in again)
        {
            var bad = new List<FrameFetch>();
            try
            {
                await ReadRangeAsync(range, [frame], new RequestTurn(range.Turn.IsBackground), bad, cancellationToken);
                if (bad.Count > 0) Fail(range, frame, BlockError.Corrupt, "");
            }
            catch (BlobStoreException e) when (e.Kind == BlobErrorKind.Corrupt)
            {
                measures.StoreCheckErrors.Add();
                Fail(range, frame, BlockError.Corrupt, e.Message);
            }
        }
    }

    /// <summary>Fetches frames with one request and serves those that are whole; the others go to <paramref name="bad"/>.</summary>
    private async ValueTask ReadRangeAsync(FrameRange range, List<FrameFetch> frames, RequestTurn turn, List<FrameFetch> bad, CancellationToken cancellationToken)
    {
        var start = frames[0].Location.FrameOffsetBytes;
        var length = frames[^1].EndBytes - start;
        await window.EnterAsync(turn, cancellationToken);
        Task<int>? request = null;
        var buffer = RangeBuffers.Rent(length);
        try
        {
            int read;
            try
            {
                request = store.ReadAsync(range.Blob, start, buffer.AsMemory(0, length), cancellationToken).AsTask();
                // A store may be deaf to the token (a hung mount, say): it is left behind then, with the buffer that it may still write to.
                read = await request.WaitAsync(cancellationToken);
            }
            finally
            {
                window.Leave(turn);
            }

            range.Note(time.GetTimestamp());
            foreach (var frame in frames)
            {
                var at = frame.Location.FrameOffsetBytes - start;
                var stored = buffer.AsSpan(0, read)[Math.Min(at, read)..Math.Min(at + frame.Location.FrameLengthBytes, read)];
                if (TryServe(range, frame, stored))
                {
                    file?.Offer(frame.Key, stored);
                    continue;
                }

                measures.StoreCheckErrors.Add();
                bad.Add(frame);
            }
        }
        finally
        {
            if (request is null or { IsCompleted: true }) RangeBuffers.Return(buffer);
        }
    }

    /// <summary>Proves a frame, keeps it, and serves its waiters; false if it fails a check.</summary>
    private bool TryServe(FrameRange range, FrameFetch frame, ReadOnlySpan<byte> stored)
    {
        var scratch = RangeBuffers.Rent(FrameHeader.PayloadMaxBytes);
        var isWhole = FrameDecoder.TryDecode(stored, range.Seed, volume.BlockSizeBytes, scratch, out var blocks, out var header) && header.Lba == frame.FirstLba;
        if (isWhole)
        {
            uint requested;
            bool isStream;
            lock (_gate) (requested, isStream) = (frame.RequestedPages, frame.IsStream);
            cache.Add(frame.Key, blocks, requested, isStream);
            foreach (var (operation, need) in Leave(frame)) operation.Deliver(need.Place, need.OffsetBytes, blocks);
        }

        RangeBuffers.Return(scratch);
        return isWhole;
    }

    private void FailRest(FrameRange range, BlockError error, string reason, bool isTimeUp)
    {
        foreach (var frame in range.Frames) Fail(range, frame, error, reason, isTimeUp);
    }

    private void Fail(FrameRange range, FrameFetch frame, BlockError error, string reason, bool isTimeUp = false)
    {
        var waiters = Leave(frame);
        if (waiters.Count == 0) return; // Served already, or read ahead for nobody.
        if (error == BlockError.Corrupt) measures.CorruptReads.Add(waiters.Count);
        if (reason.Length == 0) VolumeLog.FrameCorrupt(logger, volume.Name, frame.FirstLba, range.Blob.Value, frame.Location.FrameOffsetBytes);
        else VolumeLog.ReadFailed(logger, volume.Name, range.Blob.Value, reason);
        foreach (var (operation, need) in waiters) operation.Fail(need.Place, need.OffsetBytes, error, isTimeUp);
    }

    /// <summary>Takes a frame out of the table; nobody joins it any more. Its waiters; none if it had left before.</summary>
    private List<(ReadOperation Operation, FrameNeed Need)> Leave(FrameFetch frame)
    {
        lock (_gate) return _frames.TryGetValue(frame.Key, out var entered) && entered == frame && _frames.Remove(frame.Key) ? frame.Waiters : [];
    }

    private static BlockError ErrorOf(BlobStoreException e) =>
        e.Kind is BlobErrorKind.NotFound or BlobErrorKind.Corrupt ? BlockError.Corrupt : BlockError.StoreUnavailable;

    private CancellationTokenSource Deadline() => new(options.CommandTimeout, time);

    private CancellationTokenRegistration StopWith(CancellationTokenSource deadline) =>
        _stop.Token.UnsafeRegister(static source => ((CancellationTokenSource)source!).Cancel(), deadline);

    private void EndRun()
    {
        bool last;
        lock (_gate) last = --_running == 0;
        if (last) _idle.SetResult();
    }
}
