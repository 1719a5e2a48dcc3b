using Gateway.Diagnostics;
using Gateway.Scsi;
using Gateway.Volumes.Cache;

namespace Gateway.Volumes.Reading;

/// <summary>A part of a read that could not be served.</summary>
/// <param name="Place">Where its blocks were.</param>
/// <param name="OffsetBytes">Where they go.</param>
/// <param name="Error">Why.</param>
/// <param name="IsTimeUp">The time of the fetch was up, which may have begun long before the read.</param>
internal readonly record struct FailedPart(Place Place, int OffsetBytes, BlockError Error, bool IsTimeUp);

/// <summary>One look of a read at places that must be fetched: its parts, which end in any order and on any thread.</summary>
internal sealed class ReadOperation(ScatterList destination, int blockLengthBytes)
{
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<FailedPart> _failures = [];
    private int _parts = 1; // The look itself, until EndAsync.
    private bool _isAbandoned;

    /// <summary>Of the command that reads.</summary>
    public TraceHandle Trace { get; init; }

    /// <summary>True if its time was up, or it was cancelled, before all parts had ended. Complete after <see cref="EndAsync"/>.</summary>
    public bool IsAbandoned => _isAbandoned;

    /// <summary>What failed. Complete after <see cref="EndAsync"/>.</summary>
    public IReadOnlyList<FailedPart> Failures => _failures;

    /// <summary>Announces a part: one call of <see cref="Deliver"/> or <see cref="Fail"/> follows.</summary>
    public void Expect() => Interlocked.Increment(ref _parts);

    /// <summary>Copies a part from memory, if it is there; it needs no announcement.</summary>
    public bool TryCopy(PageCache cache, FrameKey key, in FrameNeed need, bool isStream) => cache.TryCopy(
        key, need.Place.BlockOffset * blockLengthBytes, (int)need.Place.Blocks * blockLengthBytes, destination, need.OffsetBytes, isStream);

    /// <summary>Copies a part out of its frame's or record's blocks.</summary>
    public void Deliver(in Place place, int offsetBytes, ReadOnlySpan<byte> blocks)
    {
        var (start, length) = (place.BlockOffset * blockLengthBytes, (int)place.Blocks * blockLengthBytes);
        if (start + length > blocks.Length)
        {
            Fail(place, offsetBytes, BlockError.Corrupt); // The map expects more of the frame than it has.
            return;
        }

        lock (_failures)
        {
            if (!_isAbandoned) destination.CopyFrom(offsetBytes, blocks.Slice(start, length));
        }

        EndPart();
    }

    public void Fail(in Place place, int offsetBytes, BlockError error, bool isTimeUp = false)
    {
        lock (_failures)
        {
            if (!_isAbandoned) _failures.Add(new FailedPart(place, offsetBytes, error, isTimeUp));
        }

        EndPart();
    }

    /// <summary>Completes when all announced parts have ended, the time is up, or the token is cancelled: nobody touches the destination any more.</summary>
    /// <param name="time">The clock.</param>
    /// <param name="left">How long to wait at most.</param>
    /// <param name="cancellationToken">Ends the wait, too.</param>
    public async ValueTask EndAsync(TimeProvider time, TimeSpan left, CancellationToken cancellationToken)
    {
        EndPart();
        if (_ended.Task.IsCompleted) return;
        using var timer = time.CreateTimer(static operation => ((ReadOperation)operation!).Abandon(), this, left > TimeSpan.Zero ? left : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
        using var cancellation = cancellationToken.UnsafeRegister(static operation => ((ReadOperation)operation!).Abandon(), this);
        await _ended.Task;
    }

    /// <summary>Fetches that others still wait for go on; what they bring no longer reaches the destination.</summary>
    private void Abandon()
    {
        lock (_failures)
        {
            if (_ended.Task.IsCompleted) return;
            _isAbandoned = true;
        }

        _ended.TrySetResult();
    }

    private void EndPart()
    {
        if (Interlocked.Decrement(ref _parts) == 0) _ended.TrySetResult();
    }
}
