using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Frames;
using Gateway.Volumes.Journal;
using Gateway.Volumes.Map;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Cache;

/// <summary>Fetches frames and journal records, proves them, and keeps them. Misses of the same frame at the same time share one request.</summary>
internal sealed class FrameReader(
    IBlobStore store,
    VolumeRecord volume,
    VolumeKeys keys,
    JournalFile journal,
    Func<long, long> epochOfSequence,
    VolumeOptions options,
    TimeProvider time,
    ILogger logger)
{
    private readonly FrameCache _cache = new(options.CacheBytes);
    private readonly Lock _gate = new();
    private readonly Dictionary<FrameKey, Task<(BlockError, ReadOnlyMemory<byte>)>> _fetching = [];

    public bool TryGetCached(in SegmentLocation location, out ReadOnlyMemory<byte> blocks) =>
        _cache.TryGet(new FrameKey(location.Sequence, location.FrameOffsetBytes), out blocks);

    public bool TryGetCached(in JournalLocation location, out ReadOnlyMemory<byte> blocks) =>
        _cache.TryGet(FrameKey.OfJournal(location.DataPosition), out blocks);

    /// <summary>The blocks of a frame in the bucket, from its first on.</summary>
    public Task<(BlockError Error, ReadOnlyMemory<byte> Blocks)> ReadFrameAsync(SegmentLocation location, ulong lba)
    {
        var key = new FrameKey(location.Sequence, location.FrameOffsetBytes);
        lock (_gate)
        {
            if (_fetching.TryGetValue(key, out var fetch)) return fetch;
            fetch = FetchAsync(key, location, lba);
            if (!fetch.IsCompleted) _fetching.Add(key, fetch);
            return fetch;
        }
    }

    /// <summary>The blocks of a journal record. The caller checks afterwards that the journal had not yet given its space back.</summary>
    public async ValueTask<(bool Intact, ReadOnlyMemory<byte> Blocks)> ReadRecordAsync(JournalLocation location)
    {
        var blocks = new byte[location.RecordBlocks * volume.BlockSizeBytes];
        await journal.ReadAsync(blocks, location.DataPosition);
        return (Crc32C.Compute(blocks) == location.DataCrc, blocks);
    }

    public void Keep(in JournalLocation location, ReadOnlyMemory<byte> blocks) => _cache.Add(FrameKey.OfJournal(location.DataPosition), blocks);

    private async Task<(BlockError, ReadOnlyMemory<byte>)> FetchAsync(FrameKey key, SegmentLocation location, ulong lba)
    {
        await Task.Yield(); // The entry must be in the table before it can be taken out.
        BlobKey blob = default;
        try
        {
            var id = new SegmentId(epochOfSequence(location.Sequence), location.Sequence);
            blob = keys.Segment(id);
            using var timeout = new CancellationTokenSource(options.CommandTimeout, time);
            var frame = new byte[location.FrameLengthBytes];
            // A store may be deaf to the token (a hung mount, say): it is left behind then, with the buffer that it may still write to.
            var read = await store.ReadAsync(blob, location.FrameOffsetBytes, frame, timeout.Token).AsTask().WaitAsync(timeout.Token);
            var intact = FrameDecoder.TryDecode(frame.AsMemory(0, read), FrameHeader.Seed(volume.Id, id), volume.BlockSizeBytes, out var blocks, out var header);
            if (!intact || header.Lba + (ulong)location.BlockOffset != lba)
            {
                VolumeLog.FrameCorrupt(logger, volume.Name, lba, blob.Value, location.FrameOffsetBytes);
                return (BlockError.Corrupt, default);
            }

            _cache.Add(key, blocks);
            return (BlockError.None, blocks);
        }
        catch (BlobStoreException e)
        {
            VolumeLog.ReadFailed(logger, volume.Name, blob.Value, e.Message);
            return (e.Kind is BlobErrorKind.NotFound or BlobErrorKind.Corrupt ? BlockError.Corrupt : BlockError.StoreUnavailable, default);
        }
        catch (OperationCanceledException)
        {
            VolumeLog.ReadFailed(logger, volume.Name, blob.Value, $"No answer within {options.CommandTimeout}.");
            return (BlockError.StoreUnavailable, default);
        }
        catch (Exception e)
        {
            // What a store must not throw: the commands that wait here must end all the same.
            VolumeLog.ReadFailed(logger, volume.Name, blob.Value, e.ToString());
            return (BlockError.StoreUnavailable, default);
        }
        finally
        {
            lock (_gate) _fetching.Remove(key);
        }
    }
}
