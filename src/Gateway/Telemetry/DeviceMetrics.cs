using System.Diagnostics.Metrics;
using System.Globalization;
using Gateway.Scsi;
using Gateway.Tcmu;

namespace Gateway.Telemetry;

/// <summary>The metrics of rings and of the commands on them.</summary>
internal static class DeviceMetrics
{
    private static readonly CommandKind[] Kinds = [CommandKind.Read, CommandKind.Write, CommandKind.Flush, CommandKind.Other];

    public static void AddTo(InstrumentBook book, IMetricSource source)
    {
        AddRing(book.Begin("Ring"), source);
        AddScsi(book.Begin("Scsi"), source);
    }

    private static void AddRing(InstrumentBook.Section ring, IMetricSource source)
    {
        string[] byVolume = [Tag.Volume];
        ring.Histogram("gateway.ring.wait.duration", "How long commands had been on the ring when they were taken off it, at most: the time since the ring was last looked at. After a sleep it counts as the shortest.", byVolume, Buckets.Commands,
            () => from d in WithRing(source) select new BucketSeries(d.Ring, 0, [Tag.Of(Tag.Volume, d.Volume)], () => [.. d.Ring.Waits]));
        ring.Gauge("gateway.ring.usage", "By", "Bytes of the command ring that hold entries which are not answered yet.", byVolume, () => Read(source, r => (long)r.Statistics.UsedBytes));
        ring.Gauge("gateway.ring.limit", "By", "Bytes of the command ring.", byVolume, () => Read(source, r => (long)r.Statistics.LengthBytes));
        ring.Gauge("gateway.ring.utilization", "1", "Share of the command ring in use, 0 to 1.", byVolume, () => Read(source, r => (double)r.Statistics.UsedBytes / r.Statistics.LengthBytes));
        ring.Counter("gateway.ring.doorbells", "{doorbell}", "Batches of answers handed to the kernel.", byVolume, () => Read(source, r => r.Statistics.Doorbells));
        ring.Counter("gateway.ring.wakes", "{wake}", "Times that the device's thread woke from sleep.", byVolume, () => Read(source, r => r.Statistics.Wakes));
        ring.Counter("gateway.ring.task_management", "{function}", "Task management functions that the kernel told of: an initiator gave a command up.", byVolume, () => Read(source, r => r.Statistics.TaskManagement));
        ring.Counter("gateway.ring.breaks", "{break}", "Times that the ring made no sense and was reset and opened anew.", byVolume, () => from d in source.Devices select new Measurement<long>(d.RingBreaks, Tag.Of(Tag.Volume, d.Volume)));
    }

    private static void AddScsi(InstrumentBook.Section scsi, IMetricSource source)
    {
        string[] byVolume = [Tag.Volume];
        string[] byKind = [Tag.Volume, Tag.CommandKind];
        scsi.Histogram("gateway.scsi.command.duration", "Time from taking a command off the ring to answering it.", byKind, Buckets.Commands,
            () => from d in WithRing(source) from kind in Kinds select new BucketSeries(d.Ring, (int)kind, [Tag.Of(Tag.Volume, d.Volume), KindTag(kind)], () => [.. d.Ring.Count(kind).Latencies]));
        scsi.Counter("gateway.scsi.commands", "{command}", "Commands answered.", byKind, () => ReadKinds(source, c => c.Commands));
        scsi.Counter("gateway.scsi.command.errors", "{command}", "Commands that did not end in GOOD.", byKind, () => ReadKinds(source, c => c.Errors));
        scsi.Counter("gateway.scsi.command.faults", "{command}", "Commands that a fault of the gateway's own ended (ABORTED COMMAND 44h/00h).", byVolume, () => Read(source, r => r.Statistics.Faults));
        scsi.Gauge("gateway.scsi.commands.active", "{command}", "Commands that were taken off the ring and are not answered yet.", byVolume, () => Read(source, r => (long)r.Statistics.InFlight));
        scsi.Counter("gateway.scsi.io", "By", "Bytes of data of the reads and writes that were answered.", [Tag.Volume, Tag.DiskDirection],
            () => from d in WithRing(source)
                  from kind in (CommandKind[])[CommandKind.Read, CommandKind.Write]
                  select new Measurement<long>(d.Ring.Count(kind).Bytes, Tag.Of(Tag.Volume, d.Volume), Tag.Of(Tag.DiskDirection, Tag.SnakeCase(kind))));
        scsi.Counter("gateway.scsi.sense", "{command}", "Commands that ended in CHECK CONDITION, by what the initiator was told.", [Tag.Volume, Tag.SenseKey, Tag.Asc, Tag.Ascq],
            () => from d in WithRing(source)
                  from sense in d.Ring.Senses
                  select new Measurement<long>(sense.Commands, Tag.Of(Tag.Volume, d.Volume), Tag.Of(Tag.SenseKey, Tag.SnakeCase(sense.Sense.Key)), Tag.Of(Tag.Asc, Hex(sense.Sense.Asc)), Tag.Of(Tag.Ascq, Hex(sense.Sense.Ascq))));
    }

    private static IEnumerable<(string Volume, RingDevice Ring)> WithRing(IMetricSource source) => from d in source.Devices where d.Ring is not null select (d.Volume, d.Ring);

    private static IEnumerable<Measurement<T>> Read<T>(IMetricSource source, Func<RingDevice, T> read)
        where T : struct => from d in WithRing(source) select new Measurement<T>(read(d.Ring), Tag.Of(Tag.Volume, d.Volume));

    private static IEnumerable<Measurement<long>> ReadKinds(IMetricSource source, Func<CommandCounts, long> read) =>
        from d in WithRing(source) from kind in Kinds select new Measurement<long>(read(d.Ring.Count(kind)), Tag.Of(Tag.Volume, d.Volume), KindTag(kind));

    private static KeyValuePair<string, object?> KindTag(CommandKind kind) => Tag.Of(Tag.CommandKind, Tag.SnakeCase(kind));

    private static string Hex(byte value) => value.ToString("X2", CultureInfo.InvariantCulture);
}
