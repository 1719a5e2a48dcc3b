using Gateway.Backends.Core;
using Gateway.Volumes.Checkpoints;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Frames;
using Gateway.Volumes.Log;
using Gateway.Volumes.Map;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Cleaning;

/// <summary>A run of blocks that the map still finds in a segment that is being cleaned.</summary>
internal readonly record struct Survivor(ulong Lba, uint Blocks, ReadOnlyMemory<byte> Content);

/// <summary>
/// Gives space back: copies what is live out of segments that are mostly garbage into a moved segment, which is sent through the log like
/// any other. The map then no longer refers to the old segments, and the next checkpoint makes them free.
/// </summary>
/// <remarks>
/// The position c is noted before the map is looked at. A survivor was live at some moment after that, so it had not been overwritten
/// since c; the moved segment says c, and takes effect block by block only where that is still so when its turn in the log comes, here and
/// in every replay. What was overwritten meanwhile stays overwritten.
/// </remarks>
internal sealed class Cleaner(
    IBlobStore store,
    VolumeRecord volume,
    VolumeKeys keys,
    BucketIndex index,
    Lock gate,
    MapLoader loader,
    SegmentUploader uploader,
    VolumeOptions options,
    TimeProvider time,
    Func<Guid> newNonce,
    ILogger logger,
    VolumeMeasures measures)
{
    private const int GapMaxBytes = 64 << 10;
    private const int RangeMaxBytes = 8 << 20;

    private readonly HashSet<uint> _damaged = [];

    // Those, and victims since the last checkpoint: if one still has live blocks, an overlay hides them, or they were counted wrong. To
    // choose it again at once would win nothing, again and again.
    private readonly HashSet<uint> _excluded = [];
    private readonly CompressionHistory _history = new();
    private readonly Pace _pace = new(options.CleanBytesPerSecond, time);

    /// <summary>True if so much is garbage that cleaning is worth it; while writes wait to be sent, only if it is much more than that.</summary>
    public bool IsDue()
    {
        const double Urgent = 0.1;
        var bound = options.CleanAbove + (uploader.PendingBytes >= options.SegmentBytes ? Urgent : 0);
        lock (gate) return VictimChoice.Garbage(index.Segments, _excluded) > bound;
    }

    /// <summary>A checkpoint has merged all overlays: what still counts as live can be chosen again.</summary>
    public void CountsAreExact()
    {
        _excluded.Clear();
        _excluded.UnionWith(_damaged);
    }

    /// <summary>Cleans up to one segment's worth of survivors; false when there is nothing that can be cleaned.</summary>
    /// <exception cref="BlobStoreException">The store failed; nothing is lost, and the round can be made again.</exception>
    public async Task<bool> RunOnceAsync(CancellationToken cancellationToken)
    {
        uint covered;
        List<SegmentUse> victims;
        lock (gate)
        {
            covered = (uint)index.Position.Sequence;
            victims = VictimChoice.Choose(index.Segments, covered, options.SegmentBytes / volume.BlockSizeBytes, _excluded.Contains);
        }

        if (victims.Count == 0) return false;
        var survivors = new List<Survivor>();
        long bytes = 0;
        foreach (var victim in victims)
        {
            try
            {
                bytes += await CollectAsync(victim, survivors, cancellationToken);
            }
            catch (Exception e) when (e is VolumeException || e is BlobStoreException { Kind: BlobErrorKind.NotFound or BlobErrorKind.Corrupt })
            {
                // It stays as it is, with what can still be read of it.
                _damaged.Add(victim.Sequence);
                _excluded.Add(victim.Sequence);
                measures.CleaningFailures.Add();
                VolumeLog.CleanFailed(logger, volume.Name, victim.Sequence, e.Message);
            }
        }

        measures.CleanedBytes.Add(bytes);
        if (survivors.Count > 0)
        {
            survivors.Sort(static (a, b) => a.Lba.CompareTo(b.Lba));
            long length = 0;
            var counted = await uploader.PutMovedAsync((id, lastWrite) =>
            {
                var dataBytes = survivors.Sum(s => s.Content.Length);
                VolumeRecord grown;
                lock (gate) grown = index.Volume;
                using var builder = new MovedSegmentBuilder(grown, dataBytes, _history, SegmentBufferPool.Shared);
                foreach (var survivor in survivors)
                    if (!builder.TryAdd(survivor.Lba, survivor.Content.Span)) throw new InvalidOperationException("A moved segment has no room for what it was made for.");
                var segment = builder.Build(id, newNonce(), time.GetUtcNow(), lastWrite, covered);
                length = segment.Content.Length;
                return segment;
            }).WaitAsync(cancellationToken);
            if (!counted) return false;
            bytes += length;
        }

        foreach (var victim in victims) _excluded.Add(victim.Sequence);
        measures.CleanedSegments.Add(victims.Count);
        VolumeLog.Cleaned(logger, volume.Name, victims.Count, survivors.Count, bytes);
        await _pace.TakeAsync(bytes, cancellationToken);
        return true;
    }

    /// <summary>Adds what is live in a segment; returns the bytes read.</summary>
    private async Task<long> CollectAsync(SegmentUse victim, List<Survivor> survivors, CancellationToken cancellationToken)
    {
        long epoch;
        VolumeRecord grown;
        lock (gate) (epoch, grown) = (index.Epochs.EpochOf(victim.Sequence), index.Volume);
        var id = new SegmentId(epoch, victim.Sequence);
        var (header, entries) = await LogState.ReadMetadataAsync(store, keys, grown, new ListedSegment(id, victim.LengthBytes), cancellationToken);
        var live = new List<(SegmentIndexEntry Entry, ulong Lba, uint Blocks, int BlockOffset)>();
        foreach (var entry in entries)
        {
            if (entry.Kind != ExtentKind.Data) continue;
            for (uint done = 0; done < entry.Blocks;)
            {
                var (answer, blocks, location) = await FindAsync(entry.Lba + done, entry.Blocks - done, cancellationToken);
                if (answer == MapAnswer.Data && location.Sequence == victim.Sequence && location.FrameOffsetBytes == entry.FrameOffsetBytes && location.BlockOffset == done)
                    live.Add((entry, entry.Lba + done, blocks, location.BlockOffset));
                done += blocks;
            }
        }

        long read = header.MetadataLengthBytes;
        var key = keys.Segment(id);
        var seed = FrameHeader.Seed(volume.Id, id);
        live.Sort(static (a, b) => a.Entry.FrameOffsetBytes.CompareTo(b.Entry.FrameOffsetBytes));
        for (var first = 0; first < live.Count;)
        {
            var from = live[first].Entry.FrameOffsetBytes;
            var end = from + live[first].Entry.FrameLengthBytes;
            var next = first + 1;
            for (; next < live.Count; next++)
            {
                var entry = live[next].Entry;
                var entryEnd = entry.FrameOffsetBytes + entry.FrameLengthBytes;
                if (entry.FrameOffsetBytes - end > GapMaxBytes || entryEnd - from > RangeMaxBytes) break;
                end = Math.Max(end, entryEnd);
            }

            var content = new byte[end - from];
            await store.ReadExactlyAsync(key, from, content, cancellationToken);
            read += content.Length;
            var decoded = -1;
            ReadOnlyMemory<byte> plain = default;
            for (; first < next; first++)
            {
                var (entry, lba, blocks, blockOffset) = live[first];
                if (decoded != entry.FrameOffsetBytes)
                {
                    var intact = FrameDecoder.TryDecode(content.AsMemory(entry.FrameOffsetBytes - from, entry.FrameLengthBytes), seed, volume.BlockSizeBytes, out plain, out var frame)
                        && frame.Lba == entry.Lba && frame.Blocks == entry.Blocks;
                    if (!intact) throw RecordEnvelope.Damaged(key.Value, $"its frame at {entry.FrameOffsetBytes} fails its check");
                    decoded = entry.FrameOffsetBytes;
                }

                survivors.Add(new Survivor(lba, blocks, plain.Slice(blockOffset * volume.BlockSizeBytes, (int)blocks * volume.BlockSizeBytes)));
            }
        }

        return read;
    }

    private async ValueTask<(MapAnswer Answer, uint Blocks, SegmentLocation Location)> FindAsync(ulong lba, uint blocksMax, CancellationToken cancellationToken)
    {
        while (true)
        {
            lock (gate)
            {
                var answer = index.Map.Find(lba, blocksMax, out var blocks, out var location);
                if (answer != MapAnswer.Unloaded) return (answer, blocks, location);
            }

            await loader.LoadAsync(lba, cancellationToken);
        }
    }
}
