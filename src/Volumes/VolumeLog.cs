using Gateway.Volumes.Formats;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes;

/// <summary>Log events of the volume engine, 300 to 399.</summary>
internal static partial class VolumeLog
{
    [LoggerMessage(EventId = 300, EventName = "VolumeOpened", Level = LogLevel.Information,
        Message = "Volume {Volume} ({VolumeId}) is open as epoch {Epoch}: {Segments} segments in the bucket up to write {BucketWrite}, {Replayed} writes replayed from the journal.")]
    public static partial void Opened(ILogger logger, string volume, Guid volumeId, long epoch, long segments, long bucketWrite, long replayed);

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

    [LoggerMessage(EventId = 321, EventName = "StoreDelayed",
        Message = "Volume {Volume}: the store did not take or show {Blob} at attempt {Attempt}; trying again in {Delay}. {Reason}")]
    public static partial void StoreDelayed(ILogger logger, LogLevel level, string volume, string blob, int attempt, TimeSpan delay, string reason);

    [LoggerMessage(EventId = 322, EventName = "ReadFailed", Level = LogLevel.Warning,
        Message = "Volume {Volume}: reading {Blob} failed. {Reason}")]
    public static partial void ReadFailed(ILogger logger, string volume, string blob, string reason);

    [LoggerMessage(EventId = 323, EventName = "FrameCorrupt", Level = LogLevel.Error,
        Message = "Volume {Volume}: blocks from LBA {Lba} on cannot be read, {Blob} at {OffsetBytes} fails its check. Restore that object from a backup or an older object version.")]
    public static partial void FrameCorrupt(ILogger logger, string volume, ulong lba, string blob, long offsetBytes);

    [LoggerMessage(EventId = 340, EventName = "RangeCorrupt", Level = LogLevel.Error,
        Message = "Volume {Volume}: {LengthBytes} bytes of {Blob} at {OffsetBytes} fail their check. Restore that object from a backup or an older object version.")]
    public static partial void RangeCorrupt(ILogger logger, string volume, string blob, long offsetBytes, int lengthBytes);

    [LoggerMessage(EventId = 341, EventName = "CacheFileOpened", Level = LogLevel.Information,
        Message = "Volume {Volume}: cache file {Path} of {LengthBytes} bytes is in use, with {Frames} frames of before.")]
    public static partial void CacheFileOpened(ILogger logger, string volume, string path, long lengthBytes, int frames);

    [LoggerMessage(EventId = 342, EventName = "CacheFileOff", Level = LogLevel.Warning,
        Message = "Volume {Volume}: cache file {Name} is switched off until the volume is opened again; reads go to the store. {Reason}")]
    public static partial void CacheFileOff(ILogger logger, string volume, string name, string reason);

    [LoggerMessage(EventId = 343, EventName = "CacheItemBad", Level = LogLevel.Warning,
        Message = "Volume {Volume}: cache file {Path} did not return what was written to it; the store does. After a power cut that is to be expected, else check the disk. Further cases are not logged.")]
    public static partial void CacheItemBad(ILogger logger, string volume, string path);

    [LoggerMessage(EventId = 330, EventName = "CheckpointStored", Level = LogLevel.Debug,
        Message = "Volume {Volume}: checkpoint {Checkpoint} covers the log up to segment {Position}; it took {LengthBytes} bytes.")]
    public static partial void CheckpointStored(ILogger logger, string volume, CheckpointId checkpoint, SegmentId position, long lengthBytes);

    [LoggerMessage(EventId = 331, EventName = "CheckpointFailed", Level = LogLevel.Warning,
        Message = "Volume {Volume}: a checkpoint could not be written; the log behind the last one grows until one can. {Reason}")]
    public static partial void CheckpointFailed(ILogger logger, string volume, string reason);

    [LoggerMessage(EventId = 332, EventName = "MapDamaged", Level = LogLevel.Error,
        Message = "Volume {Volume}: blocks from LBA {Lba} on cannot be found, their part of the map is damaged: {Reason}")]
    public static partial void MapDamaged(ILogger logger, string volume, ulong lba, string reason);

    [LoggerMessage(EventId = 333, EventName = "RemoveFailed", Level = LogLevel.Warning,
        Message = "Volume {Volume}: {Blob} is no longer needed, but could not be removed; it will be tried again. {Reason}")]
    public static partial void RemoveFailed(ILogger logger, string volume, string blob, string reason);

    [LoggerMessage(EventId = 334, EventName = "SegmentCleaned", Level = LogLevel.Debug,
        Message = "Volume {Volume}: cleaned {Segments} segments with {Runs} runs of live blocks; {Bytes} bytes were read and written for it.")]
    public static partial void Cleaned(ILogger logger, string volume, int segments, int runs, long bytes);

    [LoggerMessage(EventId = 335, EventName = "CleanFailed", Level = LogLevel.Error,
        Message = "Volume {Volume}: segment {Sequence} cannot be cleaned and keeps its space: {Reason} 'tcmu-gateway volume check' shows what is damaged.")]
    public static partial void CleanFailed(ILogger logger, string volume, long sequence, string reason);

    [LoggerMessage(EventId = 336, EventName = "SegmentStillUsed", Level = LogLevel.Critical,
        Message = "Volume {Volume}: segment {Segment} was counted as free, but LBA {Lba} is still in it. It is kept. Please report this: it is a bug.")]
    public static partial void SegmentStillUsed(ILogger logger, string volume, SegmentId segment, ulong lba);

    [LoggerMessage(EventId = 337, EventName = "LeftoversFound", Level = LogLevel.Information,
        Message = "Volume {Volume}: {Count} blobs that earlier writers left behind will be removed.")]
    public static partial void LeftoversFound(ILogger logger, string volume, int count);

    [LoggerMessage(EventId = 350, EventName = "LeaseNotRenewed", Level = LogLevel.Warning,
        Message = "Volume {Volume}: the store did not say whether another gateway has claimed the volume. Authority to acknowledge: {IsValid}. {Reason}")]
    public static partial void LeaseNotRenewed(ILogger logger, string volume, string reason, bool isValid);

    [LoggerMessage(EventId = 351, EventName = "HeartbeatFailed", Level = LogLevel.Debug,
        Message = "Volume {Volume}: the heartbeat could not be put. {Reason}")]
    public static partial void HeartbeatFailed(ILogger logger, string volume, string reason);

    [LoggerMessage(EventId = 352, EventName = "LeaseBroken", Level = LogLevel.Critical,
        Message = "Volume {Volume}: its lease is no longer renewed for a reason that should not be; commands will end in NOT READY. Restart the gateway, and report this.")]
    public static partial void LeaseBroken(ILogger logger, string volume, Exception exception);

    [LoggerMessage(EventId = 353, EventName = "Released", Level = LogLevel.Information,
        Message = "Volume {Volume} is released (epoch {Epoch}): any gateway may open it at once{Rest}.")]
    public static partial void Released(ILogger logger, string volume, long epoch, string rest);

    [LoggerMessage(EventId = 354, EventName = "NotReleased", Level = LogLevel.Warning,
        Message = "Volume {Volume} could not be released: another gateway waits for its lease to end before it opens the volume. {Reason}")]
    public static partial void NotReleased(ILogger logger, string volume, string reason);

    [LoggerMessage(EventId = 355, EventName = "OpeningWaits", Level = LogLevel.Information,
        Message = "Volume {Volume} is not opened yet: {Reason}")]
    public static partial void OpeningWaits(ILogger logger, string volume, string reason);

    [LoggerMessage(EventId = 356, EventName = "JournalKeptAside", Level = LogLevel.Error,
        Message = "Volume {Volume} was served elsewhere since journal {Path} was last used (epoch {Epoch}). Its writes {FirstWrite} to {LastWrite} are in no other place, and cannot be merged with what was written there: the journal is kept as {AsidePath}, and the volume opens without them. 'tcmu-gateway volume journal show' tells what it holds.")]
    public static partial void JournalKeptAside(ILogger logger, string volume, string path, long epoch, long firstWrite, long lastWrite, string asidePath);

    [LoggerMessage(EventId = 357, EventName = "StoreNotTrusted", Level = LogLevel.Warning,
        Message = "{Store} does not do what fencing rests on; it is used because leaseSeconds is 0, which declares that there is one gateway only. {Reason}")]
    public static partial void StoreNotTrusted(ILogger logger, string store, string reason);

    [LoggerMessage(EventId = 366, EventName = "StoreNotTrustedAnyMore", Level = LogLevel.Error,
        Message = "A store passed its test when a volume was first opened from here, and fails it now: a second gateway could take the volume for its own. {Reason}")]
    public static partial void StoreNotTrustedAnyMore(ILogger logger, string reason);

    [LoggerMessage(EventId = 360, EventName = "SegmentUnproven", Level = LogLevel.Warning,
        Message = "Volume {Volume}: segment {Segment} was counted as free, but its own index cannot prove it. It is kept and takes space. {Reason}")]
    public static partial void SegmentUnproven(ILogger logger, string volume, SegmentId segment, string reason);

    [LoggerMessage(EventId = 361, EventName = "HousekeepingFailed", Level = LogLevel.Error,
        Message = "Volume {Volume}: its housekeeping failed for a reason that should not be, and will be tried again. Until it succeeds, space does not come back and an opening takes longer; data is not at risk. Please report this: it is a bug.")]
    public static partial void HousekeepingFailed(ILogger logger, string volume, Exception exception);

    [LoggerMessage(EventId = 362, EventName = "SweepFailed", Level = LogLevel.Warning,
        Message = "Volume {Volume}: what earlier writers left behind could not be looked for; it will be tried again. {Reason}")]
    public static partial void SweepFailed(ILogger logger, string volume, string reason);

    [LoggerMessage(EventId = 364, EventName = "SpaceUsed", Level = LogLevel.Information,
        Message = "Volume {Volume}: {Segments} segments of {SegmentBytes} bytes, of which {DeadBytes} bytes wait to be removed; {LiveBytes} bytes of the volume have data. The map takes {MapBytes} bytes, {MapLiveBytes} of them in use.")]
    public static partial void SpaceUsed(ILogger logger, string volume, long segments, long segmentBytes, long deadBytes, long liveBytes, long mapBytes, long mapLiveBytes);

    [LoggerMessage(EventId = 363, EventName = "MapBlobMiscounted", Level = LogLevel.Error,
        Message = "Volume {Volume}: of map blob {Number} more was freed than was in use. It is kept for good. Please report this: it is a bug.")]
    public static partial void MapBlobMiscounted(ILogger logger, string volume, uint number);

    [LoggerMessage(EventId = 365, EventName = "Resized", Level = LogLevel.Information, Message = "Volume {Volume} has {SizeBytes} bytes from now on.")]
    public static partial void Resized(ILogger logger, string volume, long sizeBytes);
}
