using Gateway.Volumes.Formats;
using Gateway.Volumes.Log;
using Gateway.Volumes.Map;

namespace Gateway.Volumes.Checkpoints;

/// <summary>
/// What a volume knows of its blocks in the bucket: the map, the segments, who wrote them, and the position in the log up to which all
/// this is so. Segments are applied in order of the log, when they count or when they are replayed. Guarded by the volume's gate.
/// </summary>
internal sealed class BucketIndex
{
    public BucketIndex(VolumeRecord volume)
    {
        Volume = volume;
        Segments = new SegmentTable();
        Map = new BucketMap((ulong)(volume.SizeBytes / volume.BlockSizeBytes), volume.BlockSizeBytes, Segments);
    }

    /// <summary>The volume, with its present size.</summary>
    public VolumeRecord Volume { get; private set; }

    public BucketMap Map { get; }

    public SegmentTable Segments { get; }

    public MapBlobTable Blobs { get; } = new();

    public EpochTable Epochs { get; } = new();

    /// <summary>The last segment applied.</summary>
    public SegmentId Position { get; private set; }

    /// <summary>The last write applied; 0 for none.</summary>
    public long LastWrite { get; private set; }

    /// <summary>The newest checkpoint in force: what an opening would start from.</summary>
    public CheckpointRoot? Root { get; private set; }

    /// <summary>Bytes of the segments behind the newest checkpoint.</summary>
    public long BytesSinceRoot { get; private set; }

    /// <summary>Number of the segments behind the newest checkpoint.</summary>
    public int SegmentsSinceRoot { get; private set; }

    /// <summary>Starts from a checkpoint: reads the segment table; leaves of the map come when they are needed.</summary>
    /// <exception cref="VolumeException">A piece is damaged.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public async Task RestoreAsync(CheckpointRoot root, MapLoader loader, CancellationToken cancellationToken)
    {
        const int RequestsAtOnce = 16;
        Restore(root);
        foreach (var chunk in root.SegmentPages.Chunk(RequestsAtOnce))
        {
            var pages = await Task.WhenAll(chunk.Select(async page => (page, Content: await loader.ReadAsync(page.Pointer, cancellationToken))));
            foreach (var (page, content) in pages) Segments.LoadPage(page, content, (uint)root.Position.Sequence);
        }
    }

    private void Restore(CheckpointRoot root)
    {
        Root = root;
        Position = root.Position;
        LastWrite = root.LastWrite;
        Epochs.Restore(root.Epochs);
        Blobs.Restore(root.MapBlobs, root.NextMapBlob);
        Map.RestorePages(root.MapPages, (uint)root.Position.Sequence);
    }

    /// <summary>True: a piece of the map must be loaded before the segment can be applied.</summary>
    public bool TryGetMissing(in SegmentHeader header, SegmentIndexEntry[] index, out MissingPiece missing)
    {
        missing = default;
        if (header.Kind != SegmentKind.Moved) return false;
        foreach (var entry in index)
            if (Map.TryGetMissingForMoved(entry.Lba, entry.Blocks, (uint)header.CoveredSequence, out missing)) return true;
        return false;
    }

    /// <summary>Takes in the next segment of the log.</summary>
    public void Apply(in SegmentHeader header, SegmentIndexEntry[] index)
    {
        var sequence = checked((uint)header.Id.Sequence);
        long dataBlocks = 0;
        foreach (var entry in index)
            if (entry.Kind == ExtentKind.Data) dataBlocks += entry.Blocks;
        Segments.Add(sequence, (int)header.LengthBytes, checked((uint)dataBlocks), header.Kind);
        foreach (var entry in index)
        {
            if (entry.Kind == ExtentKind.Zero) Map.Trim(entry.Lba, entry.Blocks, sequence);
            else if (header.Kind == SegmentKind.Moved) Map.SetMoved(entry.Lba, entry.Blocks, Location(header, entry), (uint)header.CoveredSequence);
            else Map.Set(entry.Lba, entry.Blocks, Location(header, entry));
        }

        Position = header.Id;
        LastWrite = header.LastWrite;
        Epochs.Add(header.Id.Epoch, header.Id.Sequence, header.LastWrite);
        BytesSinceRoot += header.LengthBytes;
        SegmentsSinceRoot++;
    }

    /// <summary>The volume has grown.</summary>
    public void Grow(long sizeBytes)
    {
        Volume = Volume with { SizeBytes = sizeBytes };
        Map.Grow(Volume.CapacityBlocks);
    }

    /// <summary>A checkpoint is in force.</summary>
    public void Published(CheckpointRoot root, long bytesCovered, int segmentsCovered)
    {
        Root = root;
        BytesSinceRoot -= bytesCovered;
        SegmentsSinceRoot -= segmentsCovered;
    }

    private static SegmentLocation Location(in SegmentHeader header, in SegmentIndexEntry entry) =>
        new(header.Id.Sequence, entry.FrameOffsetBytes, entry.FrameLengthBytes);
}
