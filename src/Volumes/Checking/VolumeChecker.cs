using Gateway.Backends.Core;
using Gateway.Volumes.Checkpoints;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Frames;
using Gateway.Volumes.Log;
using Gateway.Volumes.Map;
using Gateway.Volumes.Names;

namespace Gateway.Volumes.Checking;

/// <summary>
/// Reads everything that a volume has in its bucket and proves it: every checksum, every reference from the map to a frame, every count. It
/// changes nothing, so it may run while the volume is served; what the journal still holds is not looked at.
/// </summary>
/// <remarks>
/// A gateway that serves the volume removes blobs when a newer checkpoint has made them free. If something is missing and the checkpoint has
/// changed meanwhile, the check starts again; <see cref="AttemptsMax"/> times at most.
/// </remarks>
public sealed class VolumeChecker
{
    private const int AttemptsMax = 4;
    private const int SegmentsAtOnce = 4;
    private const int RangeMaxBytes = 8 << 20;

    private readonly IBlobStore _store;
    private VolumeKeys _keys;
    private readonly IProgress<CheckProgress>? _progress;
    private readonly Lock _gate = new();
    private LogState _state = null!;
    private BucketIndex _index = null!;
    private List<CheckFinding> _findings = [];
    private Dictionary<uint, SegmentScan> _scans = [];
    private DamageList _damage = null!;
    private HashSet<uint> _lostTablePages = [];
    private long _frames;
    private long _bytes;
    private long _done;

    /// <param name="store">Where the volume is.</param>
    /// <param name="name">The volume.</param>
    /// <param name="progress">Hears how far it is, or null.</param>
    public VolumeChecker(IBlobStore store, string name, IProgress<CheckProgress>? progress = null)
    {
        VolumeCatalog.CheckName(name);
        _store = store;
        _keys = new VolumeKeys(name);
        _progress = progress;
    }

    /// <summary>What one segment's own index said.</summary>
    private sealed class SegmentScan
    {
        public bool IsUnreadable { get; set; }

        public HashSet<int> BadFrames { get; } = [];

        /// <summary>Blocks that the map finds in this segment, and that are there.</summary>
        public long MatchedBlocks { get; set; }
    }

    /// <summary>Checks the volume.</summary>
    /// <exception cref="VolumeException">There is no such volume, or nothing of it can be understood.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public async Task<CheckReport> RunAsync(CancellationToken cancellationToken)
    {
        _keys = new VolumeKeys(await VolumeNames.ResolveAsync(_store, _keys.VolumeName, cancellationToken));
        for (var attempt = 1; ; attempt++)
        {
            var report = await RunOnceAsync(cancellationToken);
            if (report.IsClean || attempt == AttemptsMax || await IsUnchangedAsync(cancellationToken)) return report;
        }
    }

    private async Task<bool> IsUnchangedAsync(CancellationToken cancellationToken)
    {
        try
        {
            var now = await LogState.LoadAsync(_store, _keys.VolumeName, cancellationToken);
            return _state is not null && now.Root?.Id == _state.Root?.Id;
        }
        catch (VolumeException e) when (e.Kind == VolumeErrorKind.Damaged)
        {
            return _state is null; // It was no better when it was looked at.
        }
    }

    private async Task<CheckReport> RunOnceAsync(CancellationToken cancellationToken)
    {
        (_findings, _scans, _frames, _bytes, _done, _damage, _lostTablePages) = ([], [], 0, 0, 0, new DamageList(), []);
        _state = null!;
        try
        {
            _state = await LogState.LoadAsync(_store, _keys.VolumeName, cancellationToken);
        }
        catch (VolumeException e) when (e.Kind == VolumeErrorKind.Damaged)
        {
            return await ReportUnreadableAsync(e, cancellationToken);
        }

        _index = new BucketIndex(_state.Volume);
        var loader = new MapLoader(_store, _state.Volume, _keys, _index, _gate);
        await LoadMapAsync(loader, cancellationToken);
        var segments = _index.Segments.Segments().ToArray();
        foreach (var chunk in segments.Chunk(SegmentsAtOnce)) await Task.WhenAll(chunk.Select(s => ScanAsync(s, segments.Length, cancellationToken)));
        var mapped = WalkMap();
        foreach (var segment in segments) CompareCounts(segment, mapped.GetValueOrDefault(segment.Sequence));
        await LookForStrangersAsync(cancellationToken);
        var mappedBytes = mapped.Values.Sum() * _state.Volume.BlockSizeBytes;
        return new CheckReport(
            _keys.VolumeName,
            _state.Root?.Id.ToString() ?? "none",
            _state.End.ToString(),
            segments.Length,
            _frames,
            mappedBytes,
            segments.Sum(s => (long)s.LengthBytes) + _index.Blobs.LengthBytes,
            [.. _findings.OrderByDescending(f => f.Severity)],
            _damage.ToRanges());
    }

    /// <summary>Without its checkpoint or its log nothing is known of a volume but its size.</summary>
    /// <exception cref="VolumeException">Not even that.</exception>
    private async Task<CheckReport> ReportUnreadableAsync(VolumeException cause, CancellationToken cancellationToken)
    {
        var volume = await LogState.ReadVolumeAsync(_store, _keys, cancellationToken);
        Add(CheckSeverity.Damage, "", cause.Message);
        Add(CheckSeverity.Note, "", "What the segments hold was not checked. If a checkpoint is damaged, 'volume check --repair' can make its map again, if that can be proven.");
        _damage.Add(0, (ulong)(volume.SizeBytes / volume.BlockSizeBytes), "the volume cannot be opened");
        return new CheckReport(_keys.VolumeName, "unreadable", "unknown", 0, 0, 0, 0, [.. _findings.OrderByDescending(f => f.Severity)], _damage.ToRanges());
    }

    /// <summary>Reads the whole map: the checkpoint's pieces, then the log behind it.</summary>
    private async Task LoadMapAsync(MapLoader loader, CancellationToken cancellationToken)
    {
        if (_state.Root is { } root)
        {
            await _index.RestoreAsync(root with { SegmentPages = [] }, loader, cancellationToken);
            await LoadTableAsync(loader, root, cancellationToken);
            await LoadPiecesAsync(loader, root, cancellationToken);
        }

        await foreach (var (header, index) in _state.ReadLogAsync(_store, cancellationToken))
        {
            if (_index.TryGetMissing(header, index, out _))
            {
                Add(CheckSeverity.Damage, _keys.Segment(header.Id).Value, "It moved blocks whose part of the map cannot be read.");
                continue;
            }

            _index.Apply(header, index);
        }
    }

    private async Task LoadTableAsync(MapLoader loader, CheckpointRoot root, CancellationToken cancellationToken)
    {
        foreach (var page in root.SegmentPages)
        {
            try
            {
                _index.Segments.LoadPage(page, await loader.ReadAsync(page.Pointer, cancellationToken), (uint)root.Position.Sequence);
            }
            catch (Exception e) when (IsDamage(e))
            {
                Add(CheckSeverity.Damage, "", $"The part of the segment table about segments {(long)page.Number * SegmentTable.SegmentsPerPage} to {((page.Number + 1L) * SegmentTable.SegmentsPerPage) - 1} cannot be read, so the volume cannot be opened: {e.Message} 'volume check --repair' can make it again.");
                _lostTablePages.Add(page.Number);
            }
        }

        if (_lostTablePages.Count == 0) return;
        await LostSegments.ReadAsync(_store, _state, root, _index, _lostTablePages, (id, why) => Add(CheckSeverity.Damage, _keys.Segment(id).Value, why), cancellationToken);
    }

    private async Task LoadPiecesAsync(MapLoader loader, CheckpointRoot root, CancellationToken cancellationToken)
    {
        var spanBlocks = (ulong)(BucketMap.LeafSpanBytes / _state.Volume.BlockSizeBytes);
        foreach (var page in root.MapPages)
        {
            var first = (ulong)page.Number * BucketMap.LeavesPerPage;
            await LoadAsync(new MissingPiece(true, page.Number, page.Pointer), first * spanBlocks, BucketMap.LeavesPerPage * spanBlocks);
        }

        foreach (var blob in root.MapBlobs)
        {
            MissingPiece[] leaves = [.. _index.Map.PiecesIn(blob.Number).Where(p => !p.IsPage).OrderBy(p => p.Pointer.OffsetBytes)];
            try
            {
                await loader.LoadAsync(leaves, cancellationToken);
            }
            catch (Exception e) when (IsDamage(e))
            {
                foreach (var leaf in leaves) await LoadAsync(leaf, (ulong)leaf.Number * spanBlocks, spanBlocks);
            }
        }

        async Task LoadAsync(MissingPiece piece, ulong lba, ulong blocks)
        {
            try
            {
                await loader.LoadAsync([piece], cancellationToken);
            }
            catch (Exception e) when (IsDamage(e))
            {
                var capacity = (ulong)(_state.Volume.SizeBytes / _state.Volume.BlockSizeBytes);
                Add(CheckSeverity.Damage, "", $"The map of LBA {lba} to {Math.Min(lba + blocks, capacity) - 1} cannot be read: {e.Message}");
                _damage.Add(lba, Math.Min(blocks, capacity - lba), "its part of the map cannot be read");
                _damage.Unknown = true;
            }
        }
    }

    /// <summary>Reads a whole segment and proves every frame of it.</summary>
    private async Task ScanAsync(SegmentUse segment, int total, CancellationToken cancellationToken)
    {
        var scan = new SegmentScan();
        var id = new SegmentId(_index.Epochs.EpochOf(segment.Sequence), segment.Sequence);
        var key = _keys.Segment(id);
        try
        {
            var (header, entries) = await LogState.ReadMetadataAsync(_store, _keys, _state.Volume, new ListedSegment(id, segment.LengthBytes), cancellationToken);
            if (await _store.GetLengthAsync(key, cancellationToken) is var length && length != header.LengthBytes)
                Add(CheckSeverity.Damage, key.Value, $"It has {length} bytes instead of {header.LengthBytes}. Restore the object from a backup or an older object version.");
            if (entries.Where(e => e.Kind == ExtentKind.Data).Sum(e => (long)e.Blocks) != segment.TotalBlocks)
                Add(CheckSeverity.Warning, key.Value, $"It holds another number of blocks than the checkpoint says ({segment.TotalBlocks}).");
            var data = entries.Where(e => e.Kind == ExtentKind.Data).OrderBy(e => e.FrameOffsetBytes).ToArray();
            for (var first = 0; first < data.Length;)
            {
                var next = first + 1;
                while (next < data.Length && data[next].FrameOffsetBytes + data[next].FrameLengthBytes - data[first].FrameOffsetBytes <= RangeMaxBytes) next++;
                await ScanFramesAsync(scan, key, id, data.AsMemory(first, next - first), cancellationToken);
                first = next;
            }

            Interlocked.Add(ref _bytes, header.LengthBytes);
        }
        catch (Exception e) when (IsDamage(e))
        {
            scan.IsUnreadable = true;
            Add(segment.LiveBlocks > 0 ? CheckSeverity.Damage : CheckSeverity.Note, key.Value, segment.LiveBlocks > 0
                ? $"{segment.LiveBlocks} blocks were in it. {e.Message}"
                : $"It cannot be read, but nothing refers to it. {e.Message}");
        }

        lock (_gate) _scans[segment.Sequence] = scan;
        _progress?.Report(new CheckProgress(Interlocked.Increment(ref _done), total, Interlocked.Read(ref _bytes)));
    }

    private async Task ScanFramesAsync(SegmentScan scan, BlobKey key, SegmentId id, ReadOnlyMemory<SegmentIndexEntry> entries, CancellationToken cancellationToken)
    {
        var from = entries.Span[0].FrameOffsetBytes;
        var last = entries.Span[^1];
        var content = new byte[last.FrameOffsetBytes + last.FrameLengthBytes - from];
        var read = await _store.ReadAsync(key, from, content, cancellationToken); // Less: the blob was cut off there.
        var plain = new byte[FrameHeader.PayloadMaxBytes];
        var seed = FrameHeader.Seed(_state.Volume.Id, id);
        foreach (var entry in entries.Span)
        {
            var frame = content.AsSpan(entry.FrameOffsetBytes - from, entry.FrameLengthBytes);
            var intact = entry.FrameOffsetBytes + entry.FrameLengthBytes - from <= read && FrameDecoder.TryDecode(frame, seed, _state.Volume.BlockSizeBytes, plain, out var header) && header.Lba == entry.Lba && header.Blocks == entry.Blocks;
            Interlocked.Increment(ref _frames);
            if (!intact)
            {
                scan.BadFrames.Add(entry.FrameOffsetBytes);
                Add(CheckSeverity.Damage, key.Value, $"Its frame at {entry.FrameOffsetBytes}, LBA {entry.Lba} to {entry.Lba + entry.Blocks - 1}, fails its check. Restore the object from a backup or an older object version.");
                continue;
            }

            lock (_gate) scan.MatchedBlocks += CountMapped(id, entry);
        }
    }

    /// <summary>Blocks of a frame that the map finds in it.</summary>
    private long CountMapped(SegmentId id, in SegmentIndexEntry entry)
    {
        long matched = 0;
        for (uint done = 0; done < entry.Blocks;)
        {
            var answer = _index.Map.Find(entry.Lba + done, entry.Blocks - done, out var blocks, out var location);
            if (answer == MapAnswer.Data && location.Sequence == id.Sequence && location.FrameOffsetBytes == entry.FrameOffsetBytes && location.BlockOffset == done) matched += blocks;
            done += blocks;
        }

        return matched;
    }

    /// <summary>Goes through all blocks that have data; returns how many of them each segment has.</summary>
    private Dictionary<uint, long> WalkMap()
    {
        var mapped = new Dictionary<uint, long>();
        var capacity = (ulong)(_state.Volume.SizeBytes / _state.Volume.BlockSizeBytes);
        for (ulong lba = 0; lba < capacity;)
        {
            var answer = _index.Map.Find(lba, (uint)Math.Min(capacity - lba, uint.MaxValue), out var blocks, out var location);
            if (answer == MapAnswer.Data)
            {
                var sequence = (uint)location.Sequence;
                mapped[sequence] = mapped.GetValueOrDefault(sequence) + blocks;
                if (!_scans.TryGetValue(sequence, out var scan)) _damage.Add(lba, blocks, $"segment {sequence} is not in the checkpoint's table");
                else if (scan.IsUnreadable) _damage.Add(lba, blocks, $"segment {sequence} cannot be read");
                else if (scan.BadFrames.Contains(location.FrameOffsetBytes)) _damage.Add(lba, blocks, $"a frame of segment {sequence} fails its check");
            }

            lba += blocks;
        }

        return mapped;
    }

    private void CompareCounts(SegmentUse segment, long mapped)
    {
        var scan = _scans[segment.Sequence];
        if (!scan.IsUnreadable && scan.BadFrames.Count == 0 && scan.MatchedBlocks != mapped)
            Add(CheckSeverity.Damage, "", $"The map looks for {mapped} blocks in segment {segment.Sequence}, but {scan.MatchedBlocks} of them are there.");
        if (mapped != segment.LiveBlocks && !_damage.Unknown && !_lostTablePages.Contains(segment.Sequence / SegmentTable.SegmentsPerPage))
            Add(CheckSeverity.Warning, "", $"Segment {segment.Sequence} is counted to hold {segment.LiveBlocks} live blocks, but the map finds {mapped} there.");
    }

    /// <summary>Lists everything in the volume's prefix, and names what is not part of it.</summary>
    private async Task LookForStrangersAsync(CancellationToken cancellationToken)
    {
        var unneeded = 0;
        long unneededBytes = 0;
        await foreach (var blob in _store.ListAsync(_keys.Prefix, null, cancellationToken))
        {
            switch (Classify(blob.Name))
            {
                case false:
                    unneeded++;
                    unneededBytes += blob.LengthBytes;
                    break;
                case null:
                    Add(CheckSeverity.Note, blob.Name, "No tcmu-gateway of this version made it. It takes space and nothing else.");
                    break;
            }
        }

        if (unneeded > 0) Add(CheckSeverity.Note, "", $"{unneeded} blobs of {unneededBytes} bytes are not needed any more, or not yet: a gateway that serves the volume removes them some time after its next checkpoint.");
    }

    /// <summary>True: needed. False: ours, but not needed. Null: not ours.</summary>
    private bool? Classify(string name)
    {
        if (name == _keys.HeartbeatKey.Value || name == _keys.HandoverKey.Value || name == _keys.ImportKey.Value) return true;
        if (Number(_keys.RecordPrefix) || Number(_keys.EpochPrefix) || Number(_keys.TakeoverPrefix) || Number(_keys.AliasPrefix) || Number(_keys.ReleasePrefix)) return true;
        if (name.StartsWith(_keys.LogPrefix, StringComparison.Ordinal) && VolumeKeys.TryParseSegment(name.AsSpan(_keys.LogPrefix.Length), out var segment))
            return _index.Segments.TryGet((uint)segment.Sequence, out var use) && use.LiveBlocks + (use.TotalBlocks == 0 ? 1 : 0) > 0 && _index.Epochs.EpochOf(segment.Sequence) == segment.Epoch;
        if (name.StartsWith(_keys.MapPrefix, StringComparison.Ordinal) && VolumeKeys.TryParseMapBlob(name.AsSpan(_keys.MapPrefix.Length), out var map))
            return _index.Blobs.Blobs.Any(b => b.Id == map);
        if (name.StartsWith(_keys.CheckpointPrefix, StringComparison.Ordinal) && VolumeKeys.TryParseCheckpoint(name.AsSpan(_keys.CheckpointPrefix.Length), out var root))
            return _state.Root?.Id == root;
        return null;

        bool Number(string prefix) => name.StartsWith(prefix, StringComparison.Ordinal) && VolumeKeys.TryParseNumber(name.AsSpan(prefix.Length), out _);
    }

    private void Add(CheckSeverity severity, string blob, string message)
    {
        lock (_gate) _findings.Add(new CheckFinding(severity, blob, message));
    }

    private static bool IsDamage(Exception e) => e is VolumeException || e is BlobStoreException { Kind: BlobErrorKind.NotFound or BlobErrorKind.Corrupt };
}
