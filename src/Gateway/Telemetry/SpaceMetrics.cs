using System.Diagnostics.Metrics;

namespace Gateway.Telemetry;

/// <summary>The metrics of what volumes take in their buckets, and of what brings it there.</summary>
internal static class SpaceMetrics
{
    public static void AddTo(InstrumentBook book, IMetricSource source)
    {
        string[] byVolume = [Tag.Volume];
        var space = book.Begin("Space");
        space.Counter("gateway.segments.stored", "{segment}", "Segments that reached the bucket and count.", [Tag.Volume, Tag.SegmentKind],
            () => VolumeMetrics.ReadBoth(source, Tag.SegmentKind, ("log", v => v.Measures.LogSegments.Value), ("moved", v => v.Measures.MovedSegments.Value)));
        space.Counter("gateway.segments.io", "By", "Bytes of those segments.", [Tag.Volume, Tag.SegmentKind],
            () => VolumeMetrics.ReadBoth(source, Tag.SegmentKind, ("log", v => v.Measures.LogSegmentBytes.Value), ("moved", v => v.Measures.MovedSegmentBytes.Value)));
        space.Counter("gateway.cleaning.io", "By", "Bytes that cleaning read from the bucket and wrote to it.", [Tag.Volume, Tag.DiskDirection],
            () => VolumeMetrics.ReadBoth(source, Tag.DiskDirection, ("read", v => v.Measures.CleanedBytes.Value), ("write", v => v.Measures.MovedSegmentBytes.Value)));
        space.Counter("gateway.cleaning.segments", "{segment}", "Segments that cleaning emptied.", byVolume, () => VolumeMetrics.Read(source, v => v.Measures.CleanedSegments.Value));
        space.Counter("gateway.cleaning.failures", "{segment}", "Segments that could not be cleaned, since they are damaged.", byVolume, () => VolumeMetrics.Read(source, v => v.Measures.CleaningFailures.Value));
        space.Gauge("gateway.space.segments", "{segment}", "Segments in the bucket.", byVolume, () => VolumeMetrics.Read(source, v => v.Space.Segments));
        space.Gauge("gateway.space.stored", "By", "Bytes of the volume in the bucket: segments with live blocks, segments without that wait to be removed, and the map.", [Tag.Volume, Tag.SpaceKind],
            () => VolumeMetrics.ReadBoth(source, Tag.SpaceKind, ("used", v => v.Space.UsedBytes), ("dead", v => v.Space.DeadBytes), ("map", v => v.Space.MapBytes)));
        space.Gauge("gateway.space.live", "By", "Bytes of the volume's blocks that have data, before compression.", byVolume, () => VolumeMetrics.Read(source, v => v.Space.LiveBytes));
        space.Gauge("gateway.space.garbage", "1", "Share of the stored blocks that nothing refers to any more, 0 to 1. Cleaning starts above 0.2.", byVolume, () => VolumeMetrics.Read(source, v => v.Statistics.GarbageShare));
    }
}
