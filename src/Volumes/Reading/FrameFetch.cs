using Gateway.Backends.Core;
using Gateway.Diagnostics;
using Gateway.Volumes.Cache;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Map;

namespace Gateway.Volumes.Reading;

/// <summary>A run of blocks that a read needs from a frame, and where in its destination they go.</summary>
internal readonly record struct FrameNeed(Place Place, int OffsetBytes);

/// <summary>A frame on its way, and the reads that wait for it. Guarded by its fetcher's lock.</summary>
internal sealed class FrameFetch(FrameKey key, SegmentLocation location, ulong firstLba)
{
    public FrameKey Key { get; } = key;

    public SegmentLocation Location { get; } = location;

    /// <summary>The block that the frame must start with.</summary>
    public ulong FirstLba { get; } = firstLba;

    public int EndBytes => Location.FrameOffsetBytes + Location.FrameLengthBytes;

    public List<(ReadOperation Operation, FrameNeed Need)> Waiters { get; } = [];

    /// <summary>A bit for each page that a waiter asked for.</summary>
    public uint RequestedPages { get; set; }

    /// <summary>Only sequential readers want it.</summary>
    public bool IsStream { get; set; } = true;

    public RequestTurn Turn { get; set; } = null!;
}

/// <summary>Frames that one request brings: neighbours in one segment.</summary>
internal sealed record FrameRange(SegmentId Segment, BlobKey Blob, uint Seed, List<FrameFetch> Frames, bool IsInFile)
{
    /// <summary>Unwanted bytes between two frames that are rather fetched than cost a request of their own.</summary>
    private const int GapBytesMax = 64 << 10;

    public RequestTurn Turn => Frames[0].Turn;

    /// <summary>Of the command that asked for it first, until it was told how long this took.</summary>
    public TraceHandle Trace { get; set; }

    /// <summary>When it was begun.</summary>
    public long From { get; init; }

    /// <summary>Tells the command, before it is served: after that it takes no notes.</summary>
    public void Note(long now)
    {
        Trace.Mark(TraceStage.Fetch, From, now);
        Trace = default;
    }

    /// <summary>True if one request can bring the frames from <paramref name="first"/> on up to <paramref name="next"/>.</summary>
    public static bool Joins(in SegmentLocation first, in SegmentLocation last, in SegmentLocation next, int lengthMaxBytes)
    {
        var gap = next.FrameOffsetBytes - (last.FrameOffsetBytes + last.FrameLengthBytes);
        return first.Sequence == next.Sequence && gap is >= 0 and <= GapBytesMax
            && next.FrameOffsetBytes + next.FrameLengthBytes - first.FrameOffsetBytes <= lengthMaxBytes;
    }
}
