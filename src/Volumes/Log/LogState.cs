using System.Globalization;
using System.Runtime.CompilerServices;
using Gateway.Backends.Core;
using Gateway.Volumes.Formats;

namespace Gateway.Volumes.Log;

/// <summary>A run of the log that one epoch wrote: sequences <paramref name="FirstSequence"/> to <paramref name="LastSequence"/>.</summary>
internal readonly record struct EpochRange(long Epoch, long FirstSequence, long LastSequence);

/// <summary>A segment as the bucket shows it.</summary>
internal readonly record struct ListedSegment(SegmentId Id, long LengthBytes);

/// <summary>What the bucket says of a volume: its record, its epochs, its newest checkpoint, and the valid log behind that, as far as it is consecutive.</summary>
/// <remarks>
/// The newest takeover names the last segment that its epoch took over. Walking back from there, each epoch's takeover says where its own
/// part of the log begins; the walk ends at the checkpoint's position. Epochs that wrote nothing are not on that path, and claims without a
/// takeover never served. Segments off the path are leftovers of writers that were fenced.
/// A listing only gives hints: it may show the bucket as it was a moment ago. What is newest is settled by asking for the next number
/// until there is none, and a segment that the listing lacks is asked for by name.
/// </remarks>
internal sealed record LogState
{
    private const int RequestsAtOnce = 16;

    public required VolumeRecord Volume { get; init; }

    /// <summary>The number of that record.</summary>
    public required long VolumeNumber { get; init; }

    public required VolumeKeys Keys { get; init; }

    /// <summary>True if the folder has, or had, records of another volume that takes its name: <see cref="VolumeNames"/> knows whose it is.</summary>
    public required bool HasAliases { get; init; }

    /// <summary>The newest epoch, 0 if the volume was never opened for writing.</summary>
    public required long NewestEpoch { get; init; }

    public required EpochRecord? NewestRecord { get; init; }

    /// <summary>The newest epoch that served; null if there is none. Its segments are the end of the log.</summary>
    public required TakeoverRecord? NewestTakeover { get; init; }

    /// <summary>The newest checkpoint; null: the log is replayed from its start.</summary>
    public required CheckpointRoot? Root { get; init; }

    /// <summary>The valid log behind <see cref="Root"/>, in order of sequence, without a gap.</summary>
    public required ListedSegment[] Segments { get; init; }

    /// <summary>The last segment that the checkpoint covers; zeroes without one.</summary>
    public SegmentId Covered => Root?.Position ?? default;

    /// <summary>The last segment of the valid log; zeroes for an empty one.</summary>
    public SegmentId End => Segments.Length == 0 ? Covered : Segments[^1].Id;

    /// <summary>Lists what is new in the volume and reads its records.</summary>
    /// <exception cref="VolumeException">No such volume, a foreign object, damage.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public static async Task<LogState> LoadAsync(IBlobStore store, string volumeName, CancellationToken cancellationToken)
    {
        const int AttemptsMax = 4;
        var keys = new VolumeKeys(volumeName);
        (long, CheckpointId)? seen = null;
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await LoadOnceAsync(store, keys, cancellationToken);
            }
            catch (Exception e) when (e is VolumeException { Kind: VolumeErrorKind.Damaged } or BlobStoreException { Kind: BlobErrorKind.NotFound } && attempt < AttemptsMax)
            {
                // What was read piece by piece may not fit together, or be gone, because a gateway changed it meanwhile: then look again.
                var now = await NewestOpeningAsync();
                if (now == seen && e is VolumeException) throw;
                seen = now;
            }
            catch (BlobStoreException e) when (e.Kind == BlobErrorKind.NotFound)
            {
                // The store itself showed it just before: its listing is behind, or a gateway removes what it has replaced.
                throw new BlobStoreException(BlobErrorKind.Unavailable, $"{e.Message} It was listed a moment ago. Opening volume '{volumeName}' again will find out more.", e);
            }
        }

        async Task<(long Epoch, CheckpointId Root)> NewestOpeningAsync() => (
            await NewestNumberAsync(store, keys, keys.EpochPrefix, keys.Epoch, cancellationToken), await NewestRootAsync(store, keys, cancellationToken));
    }

    private static async Task<LogState> LoadOnceAsync(IBlobStore store, VolumeKeys keys, CancellationToken cancellationToken)
    {
        // At once, since an opening waits for them; none rests on what another found. The first fault in this order is the one that is told.
        var folders = RefuseUnknownFoldersAsync(store, keys, cancellationToken);
        var volumeRead = ReadNumberedVolumeAsync(store, keys, cancellationToken);
        var epochRead = ReadNewestEpochAsync(store, keys, cancellationToken);
        var rootRead = ReadRootAsync(store, keys, cancellationToken);
        await Task.WhenAll(folders, volumeRead, epochRead, rootRead);
        var (volumeNumber, volume) = await volumeRead;
        var (newestEpoch, record) = await epochRead;
        var newest = record is null ? null : RecordCodec.DecodeEpoch(record, keys.Epoch(newestEpoch).Value, volume.Id, newestEpoch);
        var root = await rootRead;
        if (root is not null && root.VolumeId != volume.Id)
            throw new VolumeException(VolumeErrorKind.Foreign, $"Object '{keys.Checkpoint(root.Id)}' belongs to another volume ({root.VolumeId}). Move it out of this volume's prefix.");
        var covered = root?.Position ?? default;
        // Segments first: whoever is being fenced, or fences us, may add one at any time, and its takeover came before it.
        var listed = await ListSegmentsAsync(store, keys, covered, cancellationToken);
        var takeovers = await ReadTakeoversAsync(store, keys, volume, covered.Epoch, newestEpoch, cancellationToken);
        if (takeovers.Count == 0 && (listed.Count > 0 || root is not null) && await store.GetLengthAsync(keys.Epoch(newestEpoch + 1), cancellationToken) is not null)
            throw new BlobStoreException(BlobErrorKind.Unavailable, $"{store.Description}: volume '{keys.VolumeName}' was opened elsewhere while its log was being read. Opening it again will find out more.");
        if (takeovers.Count == 0 && (listed.Count > 0 || root is not null))
            throw new VolumeException(VolumeErrorKind.Damaged, $"Volume '{keys.VolumeName}' has segments, but no object below '{keys.TakeoverPrefix}' says which are valid. Restore those objects from a backup or older object versions.");
        var newestTakeover = takeovers.Count == 0 ? null : takeovers.Values.Last();
        var segments = await ValidLogAsync(store, keys, takeovers, newestTakeover, covered, listed, cancellationToken);
        // Again, last: a writer grows its volume before it writes behind the old end, so that what was listed here lies in the volume as it is now.
        if (await store.GetLengthAsync(keys.Record(volumeNumber + 1), cancellationToken) is not null) (volumeNumber, volume) = await ReadNumberedVolumeAsync(store, keys, cancellationToken);
        return new LogState
        {
            Volume = volume,
            VolumeNumber = volumeNumber,
            HasAliases = await folders,
            Keys = keys,
            NewestEpoch = newestEpoch,
            NewestRecord = newest,
            NewestTakeover = newestTakeover,
            Root = root,
            Segments = segments,
        };
    }

    /// <summary>Reads the newest volume record.</summary>
    /// <exception cref="VolumeException">There is none, or it is damaged.</exception>
    public static async Task<VolumeRecord> ReadVolumeAsync(IBlobStore store, VolumeKeys keys, CancellationToken cancellationToken) =>
        (await ReadNumberedVolumeAsync(store, keys, cancellationToken)).Record;

    /// <summary>Reads the newest volume record, with its number.</summary>
    /// <inheritdoc cref="ReadVolumeAsync"/>
    public static async Task<(long Number, VolumeRecord Record)> ReadNumberedVolumeAsync(IBlobStore store, VolumeKeys keys, CancellationToken cancellationToken)
    {
        var number = await NewestNumberAsync(store, keys, keys.RecordPrefix, keys.Record, cancellationToken);
        if (number > 0)
        {
            var name = keys.Record(number);
            var record = RecordCodec.DecodeVolume(await ReadRecordAsync(store, name, cancellationToken), name.Value);
            // A purge removes the first record before the others: whoever puts one late makes no volume of it.
            if (number > 1 && !record.Purging && await store.GetLengthAsync(keys.Record(1), cancellationToken) is null)
                throw RecordEnvelope.Damaged(keys.Record(1).Value, "it is missing, as if the volume had been purged");
            return (number, record);
        }

        await foreach (var blob in store.ListAsync(keys.Prefix, null, cancellationToken))
            if (!blob.Name.StartsWith(keys.AliasPrefix, StringComparison.Ordinal)) throw new VolumeException(VolumeErrorKind.Damaged, $"Volume '{keys.VolumeName}' has lost its record: there is no object below '{keys.RecordPrefix}'. Restore it from a backup or an older object version.");
        throw new VolumeException(VolumeErrorKind.NotFound, $"There is no volume '{keys.VolumeName}' in {store.Description}. 'tcmu-gateway volume list' shows what is there; 'tcmu-gateway volume create' makes one.");
    }

    /// <summary>Reads header and index of a segment and checks both.</summary>
    /// <exception cref="VolumeException">Damaged, truncated, foreign, or of another volume.</exception>
    public Task<(SegmentHeader Header, SegmentIndexEntry[] Index)> ReadMetadataAsync(IBlobStore store, ListedSegment segment, CancellationToken cancellationToken) =>
        ReadMetadataAsync(store, Keys, Volume, segment, cancellationToken);

    /// <inheritdoc cref="ReadMetadataAsync(IBlobStore, ListedSegment, CancellationToken)"/>
    public static async Task<(SegmentHeader Header, SegmentIndexEntry[] Index)> ReadMetadataAsync(
        IBlobStore store, VolumeKeys keys, VolumeRecord volume, ListedSegment segment, CancellationToken cancellationToken) =>
        await TwiceAsync(() => ReadMetadataOnceAsync(store, keys, volume, segment, cancellationToken));

    private static async Task<(SegmentHeader Header, SegmentIndexEntry[] Index)> ReadMetadataOnceAsync(
        IBlobStore store, VolumeKeys keys, VolumeRecord volume, ListedSegment segment, CancellationToken cancellationToken)
    {
        const int FirstReadBytes = 80 << 10; // Enough for header and index of an 8 MiB segment of 4 KiB writes in one request.
        var key = keys.Segment(segment.Id);
        var buffer = new byte[(int)Math.Min(FirstReadBytes, segment.LengthBytes)];
        var read = await store.ReadAsync(key, 0, buffer, cancellationToken);
        var header = SegmentHeader.Parse(buffer.AsSpan(0, read), key.Value);
        if (header.VolumeId != volume.Id || header.Id != segment.Id)
            throw new VolumeException(VolumeErrorKind.Foreign, $"Object '{key}' is segment {header.Id} of volume {header.VolumeId}, which does not belong there. Nothing was changed. Restore the original from a backup or an older object version, then try again.");
        if (header.LengthBytes != segment.LengthBytes)
            throw RecordEnvelope.Damaged(key.Value, $"it has {segment.LengthBytes} bytes instead of {header.LengthBytes}");
        if (header.BlockLengthBytes != volume.BlockSizeBytes)
            throw RecordEnvelope.Damaged(key.Value, $"its block length is {header.BlockLengthBytes} instead of {volume.BlockSizeBytes}");
        if (header.MetadataLengthBytes > read)
        {
            Array.Resize(ref buffer, header.MetadataLengthBytes);
            await store.ReadExactlyAsync(key, read, buffer.AsMemory(read), cancellationToken);
        }

        var index = buffer.AsSpan(SegmentHeader.HeaderLengthBytes, header.MetadataLengthBytes - SegmentHeader.HeaderLengthBytes);
        return (header, SegmentIndexEntry.ParseIndex(index, header, (ulong)(volume.SizeBytes / volume.BlockSizeBytes), key.Value));
    }

    /// <summary>Reads the metadata of all segments behind the checkpoint, several at a time, and yields it in order of the log.</summary>
    /// <exception cref="VolumeException">A segment is damaged, or does not continue the one before it.</exception>
    public async IAsyncEnumerable<(SegmentHeader Header, SegmentIndexEntry[] Index)> ReadLogAsync(
        IBlobStore store, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var lastWrite = Root?.LastWrite ?? 0;
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

    /// <summary>Tries once more if what came is damaged: a transfer may have gone wrong, and only what is bad twice is bad in the store.</summary>
    private static async Task<T> TwiceAsync<T>(Func<Task<T>> readAsync)
    {
        try
        {
            return await readAsync();
        }
        catch (Exception e) when (e is VolumeException { Kind: VolumeErrorKind.Damaged or VolumeErrorKind.Foreign } or BlobStoreException { Kind: BlobErrorKind.Corrupt })
        {
            return await readAsync();
        }
    }

    /// <summary>A folder that is none of ours was made by somebody else, or by a newer version. True if there are aliases.</summary>
    private static async Task<bool> RefuseUnknownFoldersAsync(IBlobStore store, VolumeKeys keys, CancellationToken cancellationToken)
    {
        var (foreign, hasAliases) = (new List<string>(), false);
        await foreach (var folder in store.ListFoldersAsync(keys.Prefix, cancellationToken))
        {
            hasAliases |= keys.Prefix + folder == keys.AliasPrefix;
            if (!keys.IsFolder(keys.Prefix + folder)) foreign.Add(keys.Prefix + folder);
        }

        return foreign.Count > 0 ? throw Foreign(store, keys, foreign) : hasAliases;
    }

    private static VolumeException Foreign(IBlobStore store, VolumeKeys keys, List<string> names) => new(
        VolumeErrorKind.Foreign,
        $"{store.Description} holds {(names.Count == 1 ? "an object" : $"{names.Count} objects")} below '{keys.Prefix}' that this tcmu-gateway does not know: {string.Join(", ", names.Take(3).Select(n => $"'{n}'"))}{(names.Count > 3 ? ", ..." : "")}. Nothing was changed. Move them elsewhere, or use the newer version that made them.");

    /// <summary>The highest number of a family; 0 if it is empty.</summary>
    public static async Task<long> NewestNumberAsync(IBlobStore store, VolumeKeys keys, string prefix, Func<long, BlobKey> keyOf, CancellationToken cancellationToken)
    {
        long newest = 0;
        var foreign = new List<string>();
        await foreach (var blob in store.ListAsync(prefix, null, cancellationToken))
        {
            if (VolumeKeys.TryParseNumber(blob.Name.AsSpan(prefix.Length), out var number)) newest = Math.Max(newest, number);
            else foreign.Add(blob.Name);
        }

        if (foreign.Count > 0) throw Foreign(store, keys, foreign);
        while (await store.GetLengthAsync(keyOf(newest + 1), cancellationToken) is not null) newest++;
        return newest;
    }

    /// <summary>Names the newest checkpoint; the default value: there is none.</summary>
    private static async Task<CheckpointId> NewestRootAsync(IBlobStore store, VolumeKeys keys, CancellationToken cancellationToken)
    {
        CheckpointId newest = default;
        var foreign = new List<string>();
        await foreach (var blob in store.ListAsync(keys.CheckpointPrefix, null, cancellationToken))
        {
            if (!VolumeKeys.TryParseCheckpoint(blob.Name.AsSpan(keys.CheckpointPrefix.Length), out var id)) foreign.Add(blob.Name);
            else if (id.Epoch > newest.Epoch || (id.Epoch == newest.Epoch && id.Number > newest.Number)) newest = id;
        }

        if (foreign.Count > 0) throw Foreign(store, keys, foreign);
        if (newest == default) return default;
        while (await store.GetLengthAsync(keys.Checkpoint(newest with { Number = newest.Number + 1 }), cancellationToken) is not null) newest = newest with { Number = newest.Number + 1 };
        return newest;
    }

    /// <summary>The newest epoch, and its record as it is stored; 0 and null if there is none.</summary>
    private static async Task<(long Epoch, byte[]? Record)> ReadNewestEpochAsync(IBlobStore store, VolumeKeys keys, CancellationToken cancellationToken)
    {
        var newest = await NewestNumberAsync(store, keys, keys.EpochPrefix, keys.Epoch, cancellationToken);
        return (newest, newest == 0 ? null : await ReadRecordAsync(store, keys.Epoch(newest), cancellationToken));
    }

    private static async Task<CheckpointRoot?> ReadRootAsync(IBlobStore store, VolumeKeys keys, CancellationToken cancellationToken)
    {
        var newest = await NewestRootAsync(store, keys, cancellationToken);
        if (newest == default) return null;
        var key = keys.Checkpoint(newest);
        var root = await TwiceAsync(async () => CheckpointRoot.Decode(await store.ReadWholeAsync(key, CheckpointRoot.LengthMaxBytes, cancellationToken), key.Value));
        return root.Id == newest ? root : throw RecordEnvelope.Damaged(key.Value, "it holds another checkpoint than its name says");
    }

    /// <summary>Reads the takeovers from the checkpoint's epoch on. Claims without one are left out.</summary>
    private static async Task<SortedDictionary<long, TakeoverRecord>> ReadTakeoversAsync(
        IBlobStore store, VolumeKeys keys, VolumeRecord volume, long fromEpoch, long newestEpoch, CancellationToken cancellationToken)
    {
        var numbers = new SortedSet<long>();
        var foreign = new List<string>();
        await foreach (var blob in store.ListAsync(keys.TakeoverPrefix, fromEpoch > 1 ? keys.Takeover(fromEpoch - 1).Value : null, cancellationToken))
        {
            if (VolumeKeys.TryParseNumber(blob.Name.AsSpan(keys.TakeoverPrefix.Length), out var number)) numbers.Add(number);
            else foreign.Add(blob.Name);
        }

        if (foreign.Count > 0) throw Foreign(store, keys, foreign);
        for (var epoch = Math.Max(numbers.Max, fromEpoch - 1) + 1; epoch <= newestEpoch; epoch++)
            if (epoch > 0 && await store.GetLengthAsync(keys.Takeover(epoch), cancellationToken) is not null) numbers.Add(epoch);
        var takeovers = new SortedDictionary<long, TakeoverRecord>();
        foreach (var chunk in numbers.Chunk(RequestsAtOnce))
        {
            var records = await Task.WhenAll(chunk.Select(async number =>
            {
                var name = keys.Takeover(number);
                return RecordCodec.DecodeTakeover(await ReadRecordAsync(store, name, cancellationToken), name.Value, volume.Id, number);
            }));
            foreach (var record in records) takeovers[record.Epoch] = record;
        }

        return takeovers;
    }

    private static async Task<Dictionary<SegmentId, long>> ListSegmentsAsync(IBlobStore store, VolumeKeys keys, SegmentId covered, CancellationToken cancellationToken)
    {
        var listed = new Dictionary<SegmentId, long>();
        var foreign = new List<string>();
        await foreach (var blob in store.ListAsync(keys.LogPrefix, covered == default ? null : keys.Segment(covered).Value, cancellationToken))
        {
            if (VolumeKeys.TryParseSegment(blob.Name.AsSpan(keys.LogPrefix.Length), out var id)) listed[id] = blob.LengthBytes;
            else foreign.Add(blob.Name);
        }

        if (foreign.Count > 0) throw Foreign(store, keys, foreign);
        return listed;
    }

    private static async Task<ListedSegment[]> ValidLogAsync(
        IBlobStore store, VolumeKeys keys, SortedDictionary<long, TakeoverRecord> takeovers, TakeoverRecord? newest, SegmentId covered, Dictionary<SegmentId, long> listed, CancellationToken cancellationToken)
    {
        if (newest is null) return [];
        var ranges = new Stack<EpochRange>();
        var (epoch, last) = (newest.LastEpoch, newest.LastSequence);
        while (epoch > covered.Epoch)
        {
            if (!takeovers.TryGetValue(epoch, out var record))
                throw new VolumeException(VolumeErrorKind.Damaged, $"Object '{keys.Takeover(epoch)}' is missing: without it nobody can tell which segments are valid. Restore it from a backup or an older object version.");
            while (Mutation.TakeoverEndIgnored && listed.ContainsKey(new SegmentId(epoch, last + 1))) last++;
            ranges.Push(new EpochRange(epoch, record.LastSequence + 1, last));
            (epoch, last) = (record.LastEpoch, record.LastSequence);
        }

        // The checkpoint's own epoch: it is the newest one itself, or on the path at or behind the covered position.
        if (newest.Epoch != covered.Epoch)
        {
            if (epoch != covered.Epoch || last < covered.Sequence)
                throw new VolumeException(VolumeErrorKind.Damaged, $"The checkpoint of volume '{keys.VolumeName}' covers segment {covered}, which is not on the path through the objects below '{keys.TakeoverPrefix}'. Restore what is missing there from a backup or older object versions.");
            if (epoch > 0) ranges.Push(new EpochRange(epoch, covered.Sequence + 1, last));
        }

        var log = new List<ListedSegment>();
        foreach (var range in ranges)
        {
            for (var sequence = range.FirstSequence; sequence <= range.LastSequence; sequence++)
            {
                var id = new SegmentId(range.Epoch, sequence);
                if (await LengthAsync(id) is not { } length)
                    throw new VolumeException(VolumeErrorKind.Damaged, string.Create(CultureInfo.InvariantCulture, $"Segment '{keys.Segment(id)}' is missing. Nothing was changed. Restore the object from a backup or an older object version, then try again."));
                log.Add(new ListedSegment(id, length));
            }
        }

        // The newest writer's own part has no end yet: it reaches as far as its segments follow each other.
        var first = newest.Epoch == covered.Epoch ? covered.Sequence + 1 : newest.LastSequence + 1;
        for (var id = new SegmentId(newest.Epoch, first); await LengthAsync(id) is { } length; id = id with { Sequence = id.Sequence + 1 })
            log.Add(new ListedSegment(id, length));
        return [.. log];

        async ValueTask<long?> LengthAsync(SegmentId id) => listed.TryGetValue(id, out var length) ? length : Mutation.ListingTrusted ? null : await store.GetLengthAsync(keys.Segment(id), cancellationToken);
    }

    private static async Task<byte[]> ReadRecordAsync(IBlobStore store, BlobKey key, CancellationToken cancellationToken) =>
        await RecordEnvelope.ReadAsync(store, key, cancellationToken);
}
