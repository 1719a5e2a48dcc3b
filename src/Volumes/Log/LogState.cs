using System.Globalization;
using System.Runtime.CompilerServices;
using Gateway.Backends.Core;
using Gateway.Volumes.Formats;

namespace Gateway.Volumes.Log;

/// <summary>A run of the log that one epoch wrote: sequences <paramref name="FirstSequence"/> to <paramref name="LastSequence"/>.</summary>
internal readonly record struct EpochRange(long Epoch, long FirstSequence, long LastSequence);

/// <summary>A segment as the listing shows it.</summary>
internal readonly record struct ListedSegment(SegmentId Id, long LengthBytes);

/// <summary>What the bucket says of a volume: its record, its epochs, and the valid log as far as it is consecutive.</summary>
/// <remarks>
/// The newest takeover names the last segment that its epoch took over. Walking back from there, each epoch's takeover says where its own
/// part of the log begins; epochs that wrote nothing are not on that path, and claims without a takeover never served. Segments off the
/// path are leftovers of writers that were fenced.
/// </remarks>
internal sealed record LogState
{
    private const int RequestsAtOnce = 16;

    public required VolumeRecord Volume { get; init; }

    public required VolumeKeys Keys { get; init; }

    /// <summary>The newest epoch, 0 if the volume was never opened for writing.</summary>
    public required long NewestEpoch { get; init; }

    public required EpochRecord? NewestRecord { get; init; }

    /// <summary>The newest epoch that served; null if there is none. Its segments are the end of the log.</summary>
    public required TakeoverRecord? NewestTakeover { get; init; }

    /// <summary>The valid log in order of sequence, from 1 on without a gap.</summary>
    public required ListedSegment[] Segments { get; init; }

    /// <summary>All segments listed, leftovers included.</summary>
    public required int ListedCount { get; init; }

    /// <summary>Bytes of all blobs of the volume.</summary>
    public required long BucketBytes { get; init; }

    /// <summary>The last segment of the valid log; zeroes for an empty one.</summary>
    public SegmentId End => Segments.Length == 0 ? default : Segments[^1].Id;

    /// <summary>Lists the volume's blobs and reads its records.</summary>
    /// <exception cref="VolumeException">No such volume, a foreign object, damage.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public static async Task<LogState> LoadAsync(IBlobStore store, string volumeName, CancellationToken cancellationToken)
    {
        var keys = new VolumeKeys(volumeName);
        long newestRecord = 0, bucketBytes = 0;
        long newestEpoch = 0;
        var takeoverNumbers = new List<long>();
        var listed = new Dictionary<SegmentId, long>();
        var foreign = new List<string>();
        await foreach (var blob in store.ListAsync(keys.Prefix, null, cancellationToken))
        {
            bucketBytes += blob.LengthBytes;
            var name = blob.Name;
            if (name.StartsWith(keys.LogPrefix, StringComparison.Ordinal) && VolumeKeys.TryParseSegment(name.AsSpan(keys.LogPrefix.Length), out var id)) listed[id] = blob.LengthBytes;
            else if (name.StartsWith(keys.EpochPrefix, StringComparison.Ordinal) && VolumeKeys.TryParseNumber(name.AsSpan(keys.EpochPrefix.Length), out var epoch)) newestEpoch = Math.Max(newestEpoch, epoch);
            else if (name.StartsWith(keys.TakeoverPrefix, StringComparison.Ordinal) && VolumeKeys.TryParseNumber(name.AsSpan(keys.TakeoverPrefix.Length), out var takeover)) takeoverNumbers.Add(takeover);
            else if (name.StartsWith(keys.RecordPrefix, StringComparison.Ordinal) && VolumeKeys.TryParseNumber(name.AsSpan(keys.RecordPrefix.Length), out var record)) newestRecord = Math.Max(newestRecord, record);
            else foreign.Add(name);
        }

        if (newestRecord == 0 && newestEpoch == 0 && listed.Count == 0 && foreign.Count == 0)
            throw new VolumeException(VolumeErrorKind.NotFound, $"There is no volume '{volumeName}' in {store.Description}. 'tcmu-gateway volume list' shows what is there; 'tcmu-gateway volume create' makes one.");
        if (foreign.Count > 0)
            throw new VolumeException(VolumeErrorKind.Foreign, $"{store.Description} holds {(foreign.Count == 1 ? "an object" : $"{foreign.Count} objects")} below '{keys.Prefix}' that tcmu-gateway did not make: {string.Join(", ", foreign.Take(3).Select(n => $"'{n}'"))}{(foreign.Count > 3 ? ", ..." : "")}. Nothing was changed. Move them elsewhere, then try again.");
        if (newestRecord == 0)
            throw new VolumeException(VolumeErrorKind.Damaged, $"Volume '{volumeName}' has lost its record: there is no object below '{keys.RecordPrefix}'. Restore it from a backup or an older object version.");

        var recordName = keys.Record(newestRecord);
        var volume = RecordCodec.DecodeVolume(await ReadRecordAsync(store, recordName, cancellationToken), recordName.Value);
        EpochRecord? newest = null;
        if (newestEpoch > 0)
        {
            var name = keys.Epoch(newestEpoch);
            newest = RecordCodec.DecodeEpoch(await ReadRecordAsync(store, name, cancellationToken), name.Value, volume.Id, newestEpoch);
        }

        var takeovers = new SortedDictionary<long, TakeoverRecord>();
        foreach (var chunk in takeoverNumbers.Chunk(RequestsAtOnce))
        {
            var records = await Task.WhenAll(chunk.Select(async number =>
            {
                var name = keys.Takeover(number);
                return RecordCodec.DecodeTakeover(await ReadRecordAsync(store, name, cancellationToken), name.Value, volume.Id, number);
            }));
            foreach (var record in records) takeovers[record.Epoch] = record;
        }

        if (takeovers.Count == 0 && listed.Count > 0)
            throw new VolumeException(VolumeErrorKind.Damaged, $"Volume '{volumeName}' has segments, but no object below '{keys.TakeoverPrefix}' says which are valid. Restore those objects from a backup or older object versions.");
        var newestTakeover = takeovers.Count == 0 ? null : takeovers.Values.Last();
        return new LogState
        {
            Volume = volume,
            Keys = keys,
            NewestEpoch = newestEpoch,
            NewestRecord = newest,
            NewestTakeover = newestTakeover,
            Segments = ValidLog(keys, takeovers, newestTakeover, listed),
            ListedCount = listed.Count,
            BucketBytes = bucketBytes,
        };
    }

    /// <summary>Reads header and index of a segment and checks both.</summary>
    /// <exception cref="VolumeException">Damaged, truncated, foreign, or of another volume.</exception>
    public async Task<(SegmentHeader Header, SegmentIndexEntry[] Index)> ReadMetadataAsync(IBlobStore store, ListedSegment segment, CancellationToken cancellationToken)
    {
        const int FirstReadBytes = 64 << 10; // Enough for header and index of most segments in one request.
        var key = Keys.Segment(segment.Id);
        var buffer = new byte[(int)Math.Min(FirstReadBytes, segment.LengthBytes)];
        var read = await store.ReadAsync(key, 0, buffer, cancellationToken);
        var header = SegmentHeader.Parse(buffer.AsSpan(0, read), key.Value);
        if (header.VolumeId != Volume.Id || header.Id != segment.Id)
            throw new VolumeException(VolumeErrorKind.Foreign, $"Object '{key}' is segment {header.Id} of volume {header.VolumeId}, which does not belong there. Nothing was changed. Restore the original from a backup or an older object version, then try again.");
        if (header.LengthBytes != segment.LengthBytes)
            throw RecordEnvelope.Damaged(key.Value, $"it has {segment.LengthBytes} bytes instead of {header.LengthBytes}");
        if (header.BlockLengthBytes != Volume.BlockSizeBytes)
            throw RecordEnvelope.Damaged(key.Value, $"its block length is {header.BlockLengthBytes} instead of {Volume.BlockSizeBytes}");
        if (header.MetadataLengthBytes > read)
        {
            Array.Resize(ref buffer, header.MetadataLengthBytes);
            await store.ReadExactlyAsync(key, read, buffer.AsMemory(read), cancellationToken);
        }

        var index = buffer.AsSpan(SegmentHeader.HeaderLengthBytes, header.MetadataLengthBytes - SegmentHeader.HeaderLengthBytes);
        return (header, SegmentIndexEntry.ParseIndex(index, header, (ulong)(Volume.SizeBytes / Volume.BlockSizeBytes), key.Value));
    }

    /// <summary>Reads the metadata of all segments of the valid log, several at a time, and yields it in order of the log.</summary>
    /// <exception cref="VolumeException">A segment is damaged, or does not continue the one before it.</exception>
    public async IAsyncEnumerable<(SegmentHeader Header, SegmentIndexEntry[] Index)> ReadLogAsync(
        IBlobStore store, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        long lastWrite = 0;
        foreach (var chunk in Segments.Chunk(RequestsAtOnce))
        {
            foreach (var (header, index) in await Task.WhenAll(chunk.Select(s => ReadMetadataAsync(store, s, cancellationToken))))
            {
                if (header.FirstWrite != lastWrite + 1)
                    throw RecordEnvelope.Damaged(Keys.Segment(header.Id).Value, $"it starts at write {header.FirstWrite}, but the segment before it ends at {lastWrite}");
                lastWrite = header.LastWrite;
                yield return (header, index);
            }
        }
    }

    private static ListedSegment[] ValidLog(VolumeKeys keys, SortedDictionary<long, TakeoverRecord> takeovers, TakeoverRecord? newest, Dictionary<SegmentId, long> listed)
    {
        if (newest is null) return [];
        var ranges = new Stack<EpochRange>();
        var (epoch, last) = (newest.LastEpoch, newest.LastSequence);
        while (epoch > 0)
        {
            if (!takeovers.TryGetValue(epoch, out var record))
                throw new VolumeException(VolumeErrorKind.Damaged, $"Object '{keys.Takeover(epoch)}' is missing: without it nobody can tell which segments are valid. Restore it from a backup or an older object version.");
            while (Mutation.TakeoverEndIgnored && listed.ContainsKey(new SegmentId(epoch, last + 1))) last++;
            ranges.Push(new EpochRange(epoch, record.LastSequence + 1, last));
            (epoch, last) = (record.LastEpoch, record.LastSequence);
        }

        var log = new List<ListedSegment>();
        foreach (var range in ranges)
        {
            for (var sequence = range.FirstSequence; sequence <= range.LastSequence; sequence++)
            {
                var id = new SegmentId(range.Epoch, sequence);
                if (!listed.TryGetValue(id, out var length))
                    throw new VolumeException(VolumeErrorKind.Damaged, string.Create(CultureInfo.InvariantCulture, $"Segment '{keys.Segment(id)}' is missing. Nothing was changed. Restore the object from a backup or an older object version, then try again."));
                log.Add(new ListedSegment(id, length));
            }
        }

        // The newest writer's own part has no end yet: it reaches as far as its segments follow each other.
        for (var id = new SegmentId(newest.Epoch, newest.LastSequence + 1); listed.TryGetValue(id, out var length); id = id with { Sequence = id.Sequence + 1 })
            log.Add(new ListedSegment(id, length));
        return [.. log];
    }

    private static async Task<byte[]> ReadRecordAsync(IBlobStore store, BlobKey key, CancellationToken cancellationToken) =>
        await store.ReadWholeAsync(key, RecordEnvelope.RecordLengthMaxBytes, cancellationToken);
}
