using Gateway.Volumes.Formats;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes;

/// <summary>Log events of the volume engine, 300 to 399.</summary>
internal static partial class VolumeLog
{
    [LoggerMessage(EventId = 300, EventName = "VolumeOpened", Level = LogLevel.Information,
        Message = "Volume {Volume} ({VolumeId}) is open as epoch {Epoch}: {Segments} segments in the bucket up to write {BucketWrite}, {Replayed} writes replayed from the journal.")]
    public static partial void Opened(ILogger logger, string volume, Guid volumeId, long epoch, int segments, long bucketWrite, long replayed);

    [LoggerMessage(EventId = 301, EventName = "VolumeClosed", Level = LogLevel.Information,
        Message = "Volume {Volume} is closed; {PendingBytes} bytes of its journal are not in the bucket yet and will be sent at the next start.")]
    public static partial void Closed(ILogger logger, string volume, long pendingBytes);

    [LoggerMessage(EventId = 302, EventName = "VolumeOffline", Level = LogLevel.Error,
        Message = "Volume {Volume} is offline, its initiators get NOT READY: {Reason} Restart the gateway once the cause is removed.")]
    public static partial void Offline(ILogger logger, string volume, string reason, Exception? exception);

    [LoggerMessage(EventId = 303, EventName = "VolumeFenced", Level = LogLevel.Error,
        Message = "Volume {Volume} was opened for writing elsewhere (epoch {Epoch} exists); this gateway stops serving it. Writes that it had not sent yet stay in its journal.")]
    public static partial void Fenced(ILogger logger, string volume, long epoch);

    [LoggerMessage(EventId = 304, EventName = "JournalCreated", Level = LogLevel.Information,
        Message = "Volume {Volume} has no journal here: it opens at write {LastWrite}, the last in the bucket, with a new journal {Path} of {CapacityBytes} bytes.")]
    public static partial void JournalCreated(ILogger logger, string volume, long lastWrite, string path, long capacityBytes);

    [LoggerMessage(EventId = 305, EventName = "JournalOutdated", Level = LogLevel.Warning,
        Message = "Journal {Path} of volume {Volume} is older than the bucket and holds nothing that is not there; it starts anew after write {LastWrite}.")]
    public static partial void JournalOutdated(ILogger logger, string volume, string path, long lastWrite);

    [LoggerMessage(EventId = 306, EventName = "JournalUnsafe", Level = LogLevel.Warning,
        Message = "Journal directory {Path} is on {FileSystem}; it is used because journal.allowUnsafeFileSystem is set. Flushed writes can be lost.")]
    public static partial void JournalUnsafe(ILogger logger, string path, string fileSystem);

    [LoggerMessage(EventId = 307, EventName = "FlushSuspicious", Level = LogLevel.Warning,
        Message = "A write and its fdatasync take {Microseconds} microseconds in journal directory {Path}. No disk is that fast: something below ignores flushes, and a power cut can lose flushed writes. Check the disk's write cache and the hypervisor's cache mode.")]
    public static partial void FlushSuspicious(ILogger logger, string path, double microseconds);

    [LoggerMessage(EventId = 308, EventName = "NoJournal", Level = LogLevel.Information,
        Message = "Volume {Volume} is served without a journal directory: writes stay in memory, up to {CapacityBytes} bytes, until a flush brings them to the bucket.")]
    public static partial void NoJournal(ILogger logger, string volume, long capacityBytes);

    [LoggerMessage(EventId = 310, EventName = "JournalFull", Level = LogLevel.Warning,
        Message = "Journal of volume {Volume} is full: writes wait for segments to reach the store.")]
    public static partial void JournalFull(ILogger logger, string volume);

    [LoggerMessage(EventId = 320, EventName = "SegmentStored", Level = LogLevel.Debug,
        Message = "Volume {Volume}: segment {Segment} with writes {FirstWrite} to {LastWrite} is in the store, {LengthBytes} bytes.")]
    public static partial void SegmentStored(ILogger logger, string volume, SegmentId segment, long firstWrite, long lastWrite, long lengthBytes);

    [LoggerMessage(EventId = 321, EventName = "SegmentDelayed", Level = LogLevel.Warning,
        Message = "Volume {Volume}: segment {Segment} did not reach the store at attempt {Attempt}; trying again in {Delay}. {Reason}")]
    public static partial void SegmentDelayed(ILogger logger, string volume, SegmentId segment, int attempt, TimeSpan delay, string reason);

    [LoggerMessage(EventId = 322, EventName = "ReadFailed", Level = LogLevel.Warning,
        Message = "Volume {Volume}: reading {Blob} failed. {Reason}")]
    public static partial void ReadFailed(ILogger logger, string volume, string blob, string reason);

    [LoggerMessage(EventId = 323, EventName = "FrameCorrupt", Level = LogLevel.Error,
        Message = "Volume {Volume}: blocks from LBA {Lba} on cannot be read, {Blob} at {OffsetBytes} fails its check. Restore that object from a backup or an older object version.")]
    public static partial void FrameCorrupt(ILogger logger, string volume, ulong lba, string blob, long offsetBytes);
}
