using System.Diagnostics.Metrics;
using Gateway.Scsi;
using Gateway.Volumes;

namespace Gateway.Telemetry;

/// <summary>The metrics of volumes: their state, lease, journal and cache.</summary>
internal static class VolumeMetrics
{
    private static readonly string[] States = ["serving", "opening", "standby", "offline"];
    private static readonly string[] ByVolume = [Tag.Volume];

    public static void AddTo(InstrumentBook book, IMetricSource source)
    {
        AddVolume(book.Begin("Volumes"), source);
        AddJournal(book.Begin("Journal"), source);
        AddCache(book.Begin("Cache"), source);
    }

    private static void AddVolume(InstrumentBook.Section volumes, IMetricSource source)
    {
        volumes.Gauge("gateway.volumes", "{volume}", "Devices of this gateway, by the state of their volume.", [Tag.VolumeState],
            () => from state in States select new Measurement<long>(source.Devices.Count(d => StateOf(d) == state), Tag.Of(Tag.VolumeState, state)));
        volumes.Gauge("gateway.volume.state", "{volume}", "1 for the state that the volume is in here, 0 for the others.", [Tag.Volume, Tag.VolumeState],
            () => from d in source.Devices from state in States select new Measurement<long>(StateOf(d) == state ? 1 : 0, Tag.Of(Tag.Volume, d.Volume), Tag.Of(Tag.VolumeState, state)));
        volumes.Gauge("gateway.volume.size", "By", "Capacity of the volume, while it is open.", ByVolume, () => Read(source, v => v.SizeBytes));
        volumes.Gauge("gateway.volume.epoch", "{epoch}", "Writer number under which the volume is open.", ByVolume, () => Read(source, v => v.Epoch));
        volumes.Histogram("gateway.volume.operation.duration", "Time that an operation of the volume took, of those that waited for something. Reads that memory serves at once are not in it.", [Tag.Volume, Tag.VolumeOperation], Buckets.Commands,
            () => Series(source, Tag.VolumeOperation, ("read", v => v.Reads), ("write", v => v.Writes), ("flush", v => v.Flushes)));
        volumes.Gauge("gateway.volume.dirty", "By", "Bytes of the journal that are not in the bucket yet.", ByVolume, () => Read(source, v => v.Statistics.DirtyBytes));
        volumes.Gauge("gateway.volume.dirty.age", "s", "Time since the oldest write that is not in the bucket yet was made; 0 if there is none. After a restart it counts from the opening.", ByVolume, () => Read(source, v => v.OldestDirtyAge.TotalSeconds));
        volumes.Counter("gateway.volume.io", "By", "Bytes that initiators read from the volume, and bytes of data that they wrote to it; zeroes have none. What amplification is measured against.", [Tag.Volume, Tag.DiskDirection],
            () => ReadBoth(source, Tag.DiskDirection, ("read", v => (v.Statistics.BlocksAtOnce + v.Statistics.BlocksFetched) * v.Geometry.BlockLengthBytes), ("write", v => v.Measures.WrittenBytes.Value)));
        volumes.Counter("gateway.volume.check.errors", "{check}", "Stored data that failed its check when it was read. What failed twice is a MEDIUM ERROR.", [Tag.Volume, Tag.CheckSource],
            () => ReadBoth(source, Tag.CheckSource, ("store", v => v.Measures.StoreCheckErrors.Value), ("cache_file", v => v.Measures.CacheFileCheckErrors.Value), ("map", v => v.Measures.MapCheckErrors.Value)));
        volumes.Counter("gateway.volume.corrupt.reads", "{read}", "Parts of reads that ended in MEDIUM ERROR: their data is damaged or gone in the store.", ByVolume, () => Read(source, v => v.Measures.CorruptReads.Value));
        volumes.Gauge("gateway.lease.state", "{volume}", "1 for the state that the volume's lease is in, 0 for the others.", [Tag.Volume, Tag.LeaseState],
            () => from d in Open(source) from state in Enum.GetValues<LeaseState>() select new Measurement<long>(d.Open.Lease == state ? 1 : 0, Tag.Of(Tag.Volume, d.Volume), Tag.Of(Tag.LeaseState, Tag.SnakeCase(state))));
        volumes.Gauge("gateway.lease.remaining", "s", "How long this gateway may still acknowledge without another look at the store. Nothing is reported without a lease.", ByVolume,
            () => from d in Open(source) let left = d.Open.LeaseLeft where left is not null select new Measurement<double>(left.Value.TotalSeconds, Tag.Of(Tag.Volume, d.Volume)));
    }

    private static void AddJournal(InstrumentBook.Section journal, IMetricSource source)
    {
        journal.Gauge("gateway.journal.usage", "By", "Bytes of the journal in use.", ByVolume, () => Read(source, v => v.Statistics.DirtyBytes));
        journal.Gauge("gateway.journal.limit", "By", "Bytes that the journal can hold.", ByVolume, () => Read(source, v => v.Statistics.JournalCapacityBytes));
        journal.Gauge("gateway.journal.utilization", "1", "Share of the journal in use, 0 to 1. Writes are slowed down above volumes.highWaterPercent.", ByVolume, () => Read(source, v => (double)v.Statistics.DirtyBytes / v.Statistics.JournalCapacityBytes));
        journal.Histogram("gateway.journal.append.duration", "Time that one write of a batch to the journal took.", ByVolume, Buckets.Commands, () => Series(source, null, ("", v => v.JournalAppends)));
        journal.Counter("gateway.journal.writes", "{write}", "Records appended to the journal: writes and zeroed ranges.", ByVolume, () => Read(source, v => v.Measures.JournalWrites.Value));
        journal.Counter("gateway.journal.io", "By", "Bytes appended to the journal, headers and padding included.", ByVolume, () => Read(source, v => v.Measures.JournalBytes.Value));
        journal.Histogram("gateway.journal.flush.duration", "Time that one fdatasync of the journal took.", ByVolume, Buckets.Commands, () => Series(source, null, ("", v => v.JournalFlushes)));
        journal.Histogram("gateway.journal.backpressure.duration", "How long a batch of writes was held back because the journal fills faster than the store takes segments.", ByVolume, Buckets.Commands, () => Series(source, null, ("", v => v.BackPressure)));
        journal.Counter("gateway.journal.full", "{occurrence}", "Times that writes began to wait because the journal was full.", ByVolume, () => Read(source, v => v.Measures.JournalFull.Value));
    }

    private static void AddCache(InstrumentBook.Section cache, IMetricSource source)
    {
        cache.Counter("gateway.cache.blocks", "{block}", "Blocks that initiators read: from memory at once, never written ones included (hit), or fetched (miss).", [Tag.Volume, Tag.CacheResult],
            () => ReadBoth(source, Tag.CacheResult, ("hit", v => v.Statistics.BlocksAtOnce), ("miss", v => v.Statistics.BlocksFetched)));
        cache.Histogram("gateway.cache.fetch.duration", "Time that one fetch took of what memory did not have.", [Tag.Volume, Tag.CacheSource], Buckets.Requests,
            () => Series(source, Tag.CacheSource, ("store", v => v.StoreFetches), ("cache_file", v => v.CacheFileFetches), ("journal", v => v.JournalFetches)));
        cache.Gauge("gateway.cache.usage", "By", "Bytes of blocks in memory.", ByVolume, () => Read(source, v => v.Statistics.CachedBytes));
        cache.Gauge("gateway.cache.limit", "By", "Bytes of blocks that memory keeps at most, those read ahead included.", ByVolume, () => Read(source, v => v.CacheLimitBytes));
    }

    /// <summary>What is said of a volume in a word.</summary>
    private static string StateOf(MeteredDevice device) => device switch
    {
        { Open.Readiness.Error: BlockError.Standby } or { State.IsStandby: true } => "standby",
        { Open.Readiness.Error: BlockError.Offline } => "offline",
        { Open: null } => "opening",
        _ => "serving",
    };

    internal static IEnumerable<(string Volume, Volume Open)> Open(IMetricSource source) => from d in source.Devices where d.Open is not null select (d.Volume, d.Open);

    internal static IEnumerable<Measurement<T>> Read<T>(IMetricSource source, Func<Volume, T> read)
        where T : struct => from d in Open(source) select new Measurement<T>(read(d.Open), Tag.Of(Tag.Volume, d.Volume));

    internal static IEnumerable<Measurement<long>> ReadBoth(IMetricSource source, string tag, params (string Value, Func<Volume, long> Read)[] parts) =>
        from d in Open(source) from part in parts select new Measurement<long>(part.Read(d.Open), Tag.Of(Tag.Volume, d.Volume), Tag.Of(tag, part.Value));

    private static IEnumerable<BucketSeries> Series(IMetricSource source, string? tag, params (string Value, Func<VolumeMeasures, DurationCounts> Of)[] parts) =>
        from d in Open(source)
        from part in parts
        let counts = part.Of(d.Open.Measures)
        select new BucketSeries(counts, 0, tag is null ? [Tag.Of(Tag.Volume, d.Volume)] : [Tag.Of(Tag.Volume, d.Volume), Tag.Of(tag, part.Value)], counts.ToArray);
}
