using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using Gateway.Backends.Core;
using Gateway.Volumes.Checkpoints;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Frames;
using Gateway.Volumes.Log;
using Gateway.Volumes.Map;
using Gateway.Volumes.Names;

namespace Gateway.Volumes.Checking;

/// <summary>
/// Shows what the bucket holds of a volume, part by part, for people. What is damaged is shown as such, and the dump goes on. It only reads,
/// and holds one part at a time, besides the pieces of the map that <see cref="BlocksAsync"/> asks for and the table of segments.
/// </summary>
public sealed class VolumeDumper
{
    private const int HeartbeatLengthMaxBytes = 64 << 10;

    private readonly IBlobStore _store;
    private VolumeKeys _keys;

    /// <param name="store">Where the volume is.</param>
    /// <param name="name">The volume.</param>
    public VolumeDumper(IBlobStore store, string name)
    {
        VolumeCatalog.CheckName(name);
        _store = store;
        _keys = new VolumeKeys(name);
    }

    /// <summary>The volume: its records, its newest checkpoint, its segments, and the log behind the checkpoint.</summary>
    /// <exception cref="VolumeException">There is no such volume.</exception>
    /// <exception cref="BlobStoreException">The store failed in another way than by damage.</exception>
    public async IAsyncEnumerable<DumpEntry> VolumeAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await RefuseUnknownAsync(cancellationToken);
        foreach (var prefix in new[] { _keys.RecordPrefix, _keys.EpochPrefix, _keys.TakeoverPrefix, _keys.ReleasePrefix, _keys.HeartbeatKey.Value })
        {
            await foreach (var blob in _store.ListAsync(prefix, null, cancellationToken)) yield return await RecordAsync(blob, cancellationToken);
        }

        CheckpointId newest = default;
        await foreach (var blob in _store.ListAsync(_keys.CheckpointPrefix, null, cancellationToken))
        {
            if (VolumeKeys.TryParseCheckpoint(blob.Name.AsSpan(_keys.CheckpointPrefix.Length), out var id)) newest = id; // Names are in order.
            yield return Entry("checkpoint", ("blob", blob.Name), ("bytes", Text(blob.LengthBytes)));
        }

        var (root, fault) = newest == default ? (null, null) : await ReadRootAsync(newest, cancellationToken);
        if (fault is not null) yield return fault;
        if (root is not null)
        {
            await foreach (var entry in RootAsync(root, cancellationToken)) yield return entry;
        }

        await foreach (var blob in _store.ListAsync(_keys.LogPrefix, root is null || root.Position == default ? null : _keys.Segment(root.Position).Value, cancellationToken))
        {
            if (VolumeKeys.TryParseSegment(blob.Name.AsSpan(_keys.LogPrefix.Length), out var id)) yield return await SegmentAsync("log segment", id, blob.LengthBytes, cancellationToken);
            else yield return Damage(blob.Name, "its name is not that of a segment");
        }
    }

    /// <summary>Header and index of every segment of that sequence: normally one, more if fenced writers left theirs.</summary>
    /// <exception cref="VolumeException">There is no such volume.</exception>
    /// <exception cref="BlobStoreException">The store failed in another way than by damage.</exception>
    public async IAsyncEnumerable<DumpEntry> SegmentAsync(long sequence, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await RefuseUnknownAsync(cancellationToken);
        var (volume, fault) = await ReadVolumeAsync(cancellationToken);
        if (fault is not null) yield return fault;
        var found = false;
        await foreach (var blob in _store.ListAsync(_keys.LogPrefix, null, cancellationToken))
        {
            if (!VolumeKeys.TryParseSegment(blob.Name.AsSpan(_keys.LogPrefix.Length), out var id) || id.Sequence != sequence) continue;
            found = true;
            yield return await SegmentAsync("segment", id, blob.LengthBytes, cancellationToken);
            if (volume is null) continue;
            var (metadata, damage) = await TryAsync(_keys.Segment(id).Value, () => LogState.ReadMetadataAsync(_store, _keys, volume, new ListedSegment(id, blob.LengthBytes), cancellationToken));
            if (damage is not null) yield return damage;
            else
                foreach (var entry in metadata.Index)
                    yield return Entry("entry", ("lba", Text(entry.Lba)), ("blocks", Text(entry.Blocks)), ("kind", Lower(entry.Kind)), ("frameOffset", Text(entry.FrameOffsetBytes)), ("frameLength", Text(entry.FrameLengthBytes)));
        }

        if (!found) yield return Damage(_keys.LogPrefix, $"there is no segment {sequence}: it was removed, or never was");
    }

    /// <summary>Where blocks are: runs of them with their segment and frame, and whether the frame proves.</summary>
    /// <param name="lba">First block.</param>
    /// <param name="count">Number of blocks.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="VolumeException">The volume's state cannot be read, or the blocks are past its end.</exception>
    /// <exception cref="BlobStoreException">The store failed in another way than by damage.</exception>
    public async IAsyncEnumerable<DumpEntry> BlocksAsync(ulong lba, ulong count, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        _keys = new VolumeKeys(await VolumeNames.ResolveAsync(_store, _keys.VolumeName, cancellationToken));
        var state = await LogState.LoadAsync(_store, _keys.VolumeName, cancellationToken);
        var capacity = (ulong)(state.Volume.SizeBytes / state.Volume.BlockSizeBytes);
        if (count == 0 || lba >= capacity || count > capacity - lba)
            throw new VolumeException(VolumeErrorKind.InvalidArgument, $"Volume '{_keys.VolumeName}' has LBA 0 to {capacity - 1}; {lba}+{count} is not in there.");
        var index = new BucketIndex(state.Volume);
        var loader = new MapLoader(_store, state.Volume, _keys, index, new Lock());
        if (state.Root is { } root) await index.RestoreAsync(root, loader, cancellationToken);
        await foreach (var (header, entries) in state.ReadLogAsync(_store, cancellationToken))
        {
            while (index.TryGetMissing(header, entries, out var missing)) await loader.LoadAsync([missing], cancellationToken);
            index.Apply(header, entries);
        }

        for (ulong done = 0; done < count;)
        {
            var at = lba + done;
            var answer = index.Map.Find(at, (uint)Math.Min(count - done, uint.MaxValue), out var blocks, out var location);
            if (answer == MapAnswer.Unloaded)
            {
                var (_, damage) = await TryAsync($"map of LBA {at}", async () =>
                {
                    await loader.LoadAsync(at, cancellationToken);
                    return true;
                });
                if (damage is null) continue;
                yield return damage;
            }
            else if (answer == MapAnswer.Hole)
            {
                yield return Entry("hole", ("lba", Text(at)), ("blocks", Text(blocks)));
            }
            else
            {
                yield return await FrameAsync(state.Volume, index, at, blocks, location, cancellationToken);
            }

            done += blocks;
            index.Map.Evict(64 << 20);
        }
    }

    private static DumpEntry Entry(string part, params (string Name, string Value)[] fields) =>
        new(part, [.. fields.Select(f => new KeyValuePair<string, string>(f.Name, f.Value))]);

    private static DumpEntry Damage(string blob, string why) => Entry("damage", ("blob", blob), ("why", why));

    /// <summary>For people, who compare it with logs. What no calendar has is shown as it is stored.</summary>
    private static string Time(long unixMilliseconds) =>
        unixMilliseconds >= 0 && unixMilliseconds <= DateTimeOffset.MaxValue.ToUnixTimeMilliseconds()
            ? DateTimeOffset.FromUnixTimeMilliseconds(unixMilliseconds).ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture)
            : Text(unixMilliseconds);

    private static string Text(IFormattable value) => value.ToString(null, CultureInfo.InvariantCulture);

    private static string Lower<T>(T value)
        where T : struct, Enum => value.ToString().ToLowerInvariant();

    private static async Task<(T? Value, DumpEntry? Damage)> TryAsync<T>(string blob, Func<Task<T>> read)
    {
        try
        {
            return (await read(), null);
        }
        catch (VolumeException e)
        {
            return (default, Damage(blob, e.Message));
        }
        catch (BlobStoreException e) when (e.Kind is BlobErrorKind.NotFound or BlobErrorKind.Corrupt)
        {
            return (default, Damage(blob, e.Message));
        }
    }

    /// <summary>A record's own text, as it is: none of them holds a secret.</summary>
    private async Task<DumpEntry> RecordAsync(BlobInfo blob, CancellationToken cancellationToken)
    {
        var (content, damage) = await TryAsync(blob.Name, async () => await _store.ReadWholeAsync(new BlobKey(blob.Name), HeartbeatLengthMaxBytes, cancellationToken));
        if (damage is not null) return damage;
        var json = content!.AsSpan(Math.Min(content!.Length, RecordEnvelope.LengthBytes));
        var intact = content!.Length > RecordEnvelope.LengthBytes
            && BitConverter.ToUInt32(content!, 60) == Crc32C.Compute(content.AsSpan(0, 60)) && BitConverter.ToUInt32(content!, 32) == Crc32C.Compute(json);
        if (!intact) return Damage(blob.Name, "it fails its checksum, or is no record");
        return Entry("record", ("blob", blob.Name), ("content", string.Join(' ', Encoding.UTF8.GetString(json).Split('\n', StringSplitOptions.TrimEntries))));
    }

    /// <summary>A name that was mistyped is no damage.</summary>
    private async Task RefuseUnknownAsync(CancellationToken cancellationToken)
    {
        _keys = new VolumeKeys(await VolumeNames.ResolveAsync(_store, _keys.VolumeName, cancellationToken));
        try
        {
            await LogState.ReadVolumeAsync(_store, _keys, cancellationToken);
        }
        catch (Exception e) when (e is VolumeException { Kind: not VolumeErrorKind.NotFound } or BlobStoreException { Kind: BlobErrorKind.NotFound or BlobErrorKind.Corrupt })
        {
            // Shown as damaged.
        }
    }

    private async Task<(VolumeRecord? Volume, DumpEntry? Damage)> ReadVolumeAsync(CancellationToken cancellationToken) =>
        await TryAsync(_keys.RecordPrefix, () => LogState.ReadVolumeAsync(_store, _keys, cancellationToken));

    private async Task<(CheckpointRoot? Root, DumpEntry? Damage)> ReadRootAsync(CheckpointId id, CancellationToken cancellationToken)
    {
        var key = _keys.Checkpoint(id);
        return await TryAsync(key.Value, async () => CheckpointRoot.Decode(await _store.ReadWholeAsync(key, CheckpointRoot.LengthMaxBytes, cancellationToken), key.Value));
    }

    private async IAsyncEnumerable<DumpEntry> RootAsync(CheckpointRoot root, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        yield return Entry("root", ("id", root.Id.ToString()), ("position", root.Position.ToString()), ("lastWrite", Text(root.LastWrite)), ("mapPages", Text(root.MapPages.Length)), ("segmentPages", Text(root.SegmentPages.Length)), ("mapBlobs", Text(root.MapBlobs.Length)));
        foreach (var span in root.Epochs) yield return Entry("epoch", ("epoch", Text(span.Epoch)), ("firstSequence", Text(span.FirstSequence)), ("lastWrite", Text(span.LastWrite)));
        foreach (var blob in root.MapBlobs)
        {
            yield return Entry("map blob", ("number", Text(blob.Number)), ("blob", _keys.MapBlob(blob.Id).Value), ("bytes", Text(blob.LengthBytes)), ("live", string.Create(CultureInfo.InvariantCulture, $"{100.0 * blob.LiveBytes / blob.LengthBytes:0} %")));
            if (await _store.GetLengthAsync(_keys.MapBlob(blob.Id), cancellationToken) != blob.LengthBytes) yield return Damage(_keys.MapBlob(blob.Id).Value, "it is missing, or has another length");
        }

        var (volume, fault) = await ReadVolumeAsync(cancellationToken);
        if (volume is null)
        {
            yield return fault!;
            yield break;
        }

        foreach (var page in root.SegmentPages)
        {
            var index = new BucketIndex(volume); // For one page at a time.
            var loader = new MapLoader(_store, volume, _keys, index, new Lock());
            var (_, damage) = await TryAsync($"page {page.Number} of the segment table", async () =>
            {
                await index.RestoreAsync(root with { SegmentPages = [page], MapPages = [] }, loader, cancellationToken);
                return true;
            });
            if (damage is not null) yield return damage;
            else
                foreach (var s in index.Segments.Segments())
                    yield return Entry("segment", ("sequence", Text(s.Sequence)), ("epoch", Text(index.Epochs.EpochOf(s.Sequence))), ("kind", Lower(s.Kind)), ("bytes", Text(s.LengthBytes)), ("liveBlocks", Text(s.LiveBlocks)), ("totalBlocks", Text(s.TotalBlocks)));
        }
    }

    private async Task<DumpEntry> SegmentAsync(string part, SegmentId id, long lengthBytes, CancellationToken cancellationToken)
    {
        var key = _keys.Segment(id);
        var (header, damage) = await TryAsync(key.Value, async () =>
        {
            var bytes = new byte[SegmentHeader.HeaderLengthBytes];
            return SegmentHeader.Parse(bytes.AsSpan(0, await _store.ReadAsync(key, 0, bytes, cancellationToken)), key.Value);
        });
        return damage ?? Entry(
            part, ("blob", key.Value), ("bytes", Text(lengthBytes)), ("headerBytes", Text(header.LengthBytes)), ("id", header.Id.ToString()), ("kind", Lower(header.Kind)), ("covered", Text(header.CoveredSequence)),
            ("firstWrite", Text(header.FirstWrite)), ("lastWrite", Text(header.LastWrite)), ("entries", Text(header.IndexCount)), ("sealedAt", Time(header.SealedAtUnixMilliseconds)));
    }

    private async Task<DumpEntry> FrameAsync(VolumeRecord volume, BucketIndex index, ulong lba, uint blocks, SegmentLocation location, CancellationToken cancellationToken)
    {
        var id = new SegmentId(index.Epochs.EpochOf(location.Sequence), location.Sequence);
        if (id.Epoch == 0) return Damage($"segment {location.Sequence}", $"LBA {lba}+{blocks}: no epoch is known to have written it");
        var key = _keys.Segment(id);
        var (frame, damage) = await TryAsync(key.Value, async () =>
        {
            var bytes = new byte[location.FrameLengthBytes];
            await _store.ReadExactlyAsync(key, location.FrameOffsetBytes, bytes, cancellationToken);
            return bytes;
        });
        if (damage is not null) return damage;
        var seed = FrameHeader.Seed(volume.Id, id);
        var readable = FrameHeader.TryRead(frame, seed, out var header);
        var proven = FrameDecoder.TryDecode(frame, seed, volume.BlockSizeBytes, new byte[FrameHeader.PayloadMaxBytes], out _) && header.Lba + (uint)location.BlockOffset == lba && location.BlockOffset + blocks <= header.Blocks;
        return Entry(
            "block", ("lba", Text(lba)), ("blocks", Text(blocks)), ("segment", key.Value), ("frameOffset", Text(location.FrameOffsetBytes)), ("frameLength", Text(location.FrameLengthBytes)), ("blockOffset", Text(location.BlockOffset)),
            ("codec", readable ? Lower(header.Codec) : "unknown"), ("storedCrc", readable ? header.StoredCrc.ToString("x8", CultureInfo.InvariantCulture) : "unknown"), ("plainCrc", readable ? header.PlainCrc.ToString("x8", CultureInfo.InvariantCulture) : "unknown"),
            ("check", proven ? "proven" : "DAMAGED"));
    }
}
