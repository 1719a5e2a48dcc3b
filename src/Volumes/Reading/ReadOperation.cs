using Gateway.Scsi;
using Gateway.Volumes.Cache;

namespace Gateway.Volumes.Reading;

/// <summary>A part of a read that could not be served.</summary>
internal readonly record struct FailedPart(Place Place, int OffsetBytes, BlockError Error);

/// <summary>One look of a read at places that must be fetched: its parts, which end in any order and on any thread.</summary>
internal sealed class ReadOperation(ScatterList destination, int blockLengthBytes)
{
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<FailedPart> _failures = [];
    private int _parts = 1; // The look itself, until EndAsync.

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

        destination.CopyFrom(offsetBytes, blocks.Slice(start, length));
        EndPart();
    }

    public void Fail(in Place place, int offsetBytes, BlockError error)
    {
        lock (_failures) _failures.Add(new FailedPart(place, offsetBytes, error));
        EndPart();
    }

    /// <summary>Completes when all announced parts have ended: nobody touches the destination any more.</summary>
    public Task EndAsync()
    {
        EndPart();
        return _ended.Task;
    }

    private void EndPart()
    {
        if (Interlocked.Decrement(ref _parts) == 0) _ended.SetResult();
    }
}
