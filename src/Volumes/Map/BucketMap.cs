namespace Gateway.Volumes.Map;

/// <summary>What the bucket's map says of a block.</summary>
internal enum MapAnswer
{
    /// <summary>Never written, or trimmed: it reads as zeroes.</summary>
    Hole,

    /// <summary>In a frame of a segment.</summary>
    Data,

    /// <summary>The map's own piece must be loaded first.</summary>
    Unloaded,
}

/// <summary>Where in the bucket each block of a volume is. Not thread safe: the volume's gate guards it.</summary>
internal sealed class BucketMap
{
    /// <summary>Bytes of a volume that one leaf maps.</summary>
    public const int LeafSpanBytes = 2 << 20;

    /// <summary>Leaves that one page points to.</summary>
    public const int LeavesPerPage = 1024;

    /// <param name="capacityBlocks">Size of the volume.</param>
    /// <param name="blockLengthBytes">512 or 4096.</param>
    /// <param name="segments">Keeps the live blocks of each segment, and says which segments exist.</param>
    public BucketMap(ulong capacityBlocks, int blockLengthBytes, SegmentTable segments) => throw new NotImplementedException();

    /// <summary>Leaves changed since the last freeze.</summary>
    public long DirtyLeaves => throw new NotImplementedException();

    /// <summary>Memory held, in bytes (an estimate). What a running checkpoint keeps of leaves changed since is not in it.</summary>
    public long ResidentBytes => throw new NotImplementedException();

    /// <summary>The part of <see cref="ResidentBytes"/> in leaves changed since the last freeze: it cannot be evicted.</summary>
    public long DirtyBytes => throw new NotImplementedException();

    /// <summary>About what a checkpoint would write for the dirty leaves, in bytes.</summary>
    public long EncodedDirtyBytes => throw new NotImplementedException();

    /// <summary>The top level as of the last <see cref="Publish"/>: one pointer for each page, by number. Do not change it.</summary>
    public ReadOnlySpan<PiecePointer> Pages => throw new NotImplementedException();

    /// <summary>
    /// Looks at the blocks from <paramref name="lba"/> on. <paramref name="blocks"/> is how many of them share the answer, 1 to
    /// <paramref name="blocksMax"/>; of data they are in one frame, from <paramref name="location"/> on.
    /// </summary>
    public MapAnswer Find(ulong lba, uint blocksMax, out uint blocks, out SegmentLocation location) => throw new NotImplementedException();

    /// <summary>Takes a committed log segment's data entry. Its segment is in the table.</summary>
    public void Set(ulong lba, uint blocks, SegmentLocation location) => throw new NotImplementedException();

    /// <summary>Takes a committed log segment's zero entry.</summary>
    public void Trim(ulong lba, uint blocks, uint sequence) => throw new NotImplementedException();

    /// <summary>False if a leaf there must be loaded (<see cref="TryGetMissingForMoved"/>) before <see cref="SetMoved"/> can tell what is unchanged since <paramref name="coveredSequence"/>.</summary>
    public bool CanApplyMoved(ulong lba, uint blocks, uint coveredSequence) => throw new NotImplementedException();

    /// <summary>What to fetch next so that <see cref="CanApplyMoved"/> will hold; false when it does.</summary>
    public bool TryGetMissingForMoved(ulong lba, uint blocks, uint coveredSequence, out MissingPiece missing) => throw new NotImplementedException();

    /// <summary>Takes an entry of a moved segment for those blocks that were neither written nor trimmed since <paramref name="coveredSequence"/>; returns how many those are.</summary>
    public uint SetMoved(ulong lba, uint blocks, SegmentLocation location, uint coveredSequence) => throw new NotImplementedException();

    /// <summary>What to fetch next so that <see cref="Find"/> at <paramref name="lba"/> will not say Unloaded: its page, then its leaf. False when nothing is missing.</summary>
    public bool TryGetMissing(ulong lba, out MissingPiece missing) => throw new NotImplementedException();

    /// <summary>Loads a piece whose checksum held. No effect if it is loaded already, or has since been replaced by another.</summary>
    /// <exception cref="VolumeException">Its content makes no sense; the map is unchanged.</exception>
    public void Load(in MissingPiece piece, ReadOnlySpan<byte> bytes)
    {
        if (piece.IsPage) LoadPage((int)piece.Number, piece.Pointer, bytes);
        else LoadLeaf(piece.Number, piece.Pointer, bytes);
    }

    /// <inheritdoc cref="Load"/>
    public void LoadPage(int page, PiecePointer from, ReadOnlySpan<byte> bytes) => throw new NotImplementedException();

    /// <inheritdoc cref="Load"/>
    public void LoadLeaf(long leaf, PiecePointer from, ReadOnlySpan<byte> bytes) => throw new NotImplementedException();

    /// <summary>
    /// What must be loaded before <see cref="Freeze"/>, in order of blob and offset, so that neighbours can be fetched together. Ask again when all of it is
    /// loaded: a page shows which leaves are missing. Empty: freeze.
    /// </summary>
    public IReadOnlyList<MissingPiece> MissingForFreeze() => throw new NotImplementedException();

    /// <summary>Takes what changed since the last freeze for a checkpoint. One at a time; nothing is missing for it. Cheap: nothing is copied or encoded.</summary>
    public FrozenMap Freeze() => throw new NotImplementedException();

    /// <summary>The checkpoint is in force: its pointers replace the old ones, and leaves unchanged since are clean.</summary>
    public void Publish(FrozenMap frozen) => throw new NotImplementedException();

    /// <summary>The checkpoint failed: what it took is dirty again.</summary>
    public void Abandon(FrozenMap frozen) => throw new NotImplementedException();

    /// <summary>Opens the map at a checkpoint. The map is new.</summary>
    /// <param name="pages">Pointers of the pages, by number; missing ones at the end are absent.</param>
    /// <param name="coveredSequence">The last sequence that the checkpoint covers.</param>
    public void RestorePages(ReadOnlySpan<PiecePointer> pages, uint coveredSequence) => throw new NotImplementedException();

    /// <summary>Drops clean leaves not used lately, and pages without leaves, until at most <paramref name="residentBytesMax"/> are held or nothing more can go; returns the bytes freed.</summary>
    public long Evict(long residentBytesMax) => throw new NotImplementedException();

    /// <summary>For compaction of map blobs: the leaf will be written again by the next checkpoint, whether it changes or not.</summary>
    public void MarkDirty(long leaf) => throw new NotImplementedException();

    /// <summary>For compaction of map blobs: the page will be written again by the next checkpoint.</summary>
    public void MarkPageDirty(int page) => throw new NotImplementedException();

    /// <summary>The pages, and the leaves of loaded pages, that are stored in a map blob.</summary>
    public IEnumerable<MissingPiece> PiecesIn(uint blob) => throw new NotImplementedException();
}
