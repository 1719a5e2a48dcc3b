using Gateway.Scsi;
using Gateway.Volumes.Cache;
using Gateway.Volumes.Map;

namespace Gateway.Volumes.Reading;

/// <summary>Fetches what sequential readers will ask for, in ranges as long as segments and requests allow.</summary>
internal sealed class ReadAhead(IBlockPlaces places, FrameFetcher fetcher, PageCache cache, PinnedHead head, StreamDetector streams, int blockLengthBytes, ulong capacityBlocks, int rangesMax)
{
    private ulong _capacityBlocks = capacityBlocks;

    /// <summary>The volume has grown.</summary>
    public void Grow(ulong blocks) => Volatile.Write(ref _capacityBlocks, blocks);

    /// <summary>Starts as advised. Unless parts of the map must be loaded, the frames are on their way when it returns, so that the next read finds them.</summary>
    public async Task StartAsync(StreamAdvice advice)
    {
        var at = advice.AheadLba;
        try
        {
            at = await FetchAsync(advice);
        }
        finally
        {
            streams.Issued(advice, at);
        }
    }

    /// <summary>Starts the fetches; the block after the last one that they bring.</summary>
    private async ValueTask<ulong> FetchAsync(StreamAdvice advice)
    {
        var volumeEnd = Volatile.Read(ref _capacityBlocks);
        var end = Math.Min(advice.AheadLba + advice.AheadBlocks, volumeEnd);
        var needs = new List<FrameNeed>();
        SegmentLocation first = default, last = default;
        var ranges = 0;
        var at = advice.AheadLba;
        while (at < volumeEnd)
        {
            if (at >= end && !advice.MayPass) break;
            var kind = places.Find(at, (uint)Math.Min(volumeEnd - at, uint.MaxValue), out var place);
            if (kind == PlaceKind.Unloaded)
            {
                if (at >= end) break;
                Fetch(needs);
                if (await places.LoadAsync(at) != BlockError.None) break;
                continue;
            }

            if (kind == PlaceKind.Segment)
            {
                var joins = ranges > 0 && FrameRange.Joins(first, last, place.Segment, RangeBuffers.RangeBytesMax);
                if (at >= end && !joins) break;
                if (!joins && ++ranges > rangesMax) break;
                if (!joins) first = place.Segment;
                last = place.Segment;
                var (offset, length) = (place.BlockOffset * blockLengthBytes, (int)place.Blocks * blockLengthBytes);
                var isHere = (place.Lba < head.Blocks && head.Holds(place)) || cache.Contains(FrameKey.Of(place.Segment), offset, length);
                if (!isHere) needs.Add(new FrameNeed(place, 0));
            }
            else if (at >= end)
            {
                break;
            }

            at += place.Blocks;
        }

        Fetch(needs);
        return Math.Min(at, volumeEnd);
    }

    private void Fetch(List<FrameNeed> needs)
    {
        if (needs.Count > 0) fetcher.Fetch(needs, null, isStream: true);
        needs.Clear();
    }
}
