using Gateway.Volumes.Log;
using Gateway.Volumes.Map;

namespace Gateway.Volumes.Formats;

/// <summary>Names a checkpoint: the epoch that wrote it and its number within that epoch, from 1 on without a gap.</summary>
internal readonly record struct CheckpointId(long Epoch, long Number)
{
    public override string ToString() => $"{Epoch}-{Number}";
}

/// <summary>A map blob that a checkpoint refers to.</summary>
/// <param name="Number">By which <see cref="PiecePointer.Blob"/> refers to it; never used twice in a volume's life.</param>
/// <param name="Id">Its name.</param>
/// <param name="LengthBytes">Its length.</param>
/// <param name="LiveBytes">Bytes of it that the checkpoint refers to.</param>
internal readonly record struct MapBlobUse(uint Number, MapBlobId Id, uint LengthBytes, uint LiveBytes);

/// <summary>Content of <c>checkpoints/&lt;epoch&gt;-&lt;number&gt;</c>: the map as it was at one position of the log. See docs/formats.md, "Checkpoints".</summary>
internal sealed record CheckpointRoot
{
    /// <summary>Upper bound for a whole root; anything longer is not ours. 64 TiB have 32,768 pages, which take 640 KiB.</summary>
    public const int LengthMaxBytes = 16 << 20;

    private static readonly Comparer<MapBlobUse> ByNumber = Comparer<MapBlobUse>.Create((a, b) => a.Number.CompareTo(b.Number));

    public required Guid VolumeId { get; init; }

    public required CheckpointId Id { get; init; }

    /// <summary>Tells our own put, whose answer was lost, from somebody else's.</summary>
    public required Guid Nonce { get; init; }

    /// <summary>The last segment that it covers; zeroes for an empty log.</summary>
    public required SegmentId Position { get; init; }

    /// <summary>The last write that it covers.</summary>
    public required long LastWrite { get; init; }

    /// <summary>Which epoch wrote which sequences, in order, up to the position. A first part whose segments are all deleted may be left out.</summary>
    public required EpochSpan[] Epochs { get; init; }

    /// <summary>Pages of the map, in order of their numbers; absent ones left out.</summary>
    public required NumberedPointer[] MapPages { get; init; }

    /// <summary>Pages of the segment table, in order of their numbers; absent ones left out.</summary>
    public required NumberedPointer[] SegmentPages { get; init; }

    /// <summary>The map blobs that the pointers refer to, those in pages included, in order of their numbers.</summary>
    public required MapBlobUse[] MapBlobs { get; init; }

    /// <summary>The number that the next map blob gets.</summary>
    public required uint NextMapBlob { get; init; }

    /// <summary>The blob's bytes.</summary>
    /// <exception cref="InvalidOperationException">A reader would refuse them.</exception>
    public byte[] Encode() => CheckpointFormat.Encode(this);

    /// <inheritdoc cref="CheckpointFormat.Decode"/>
    public static CheckpointRoot Decode(ReadOnlySpan<byte> blob, string name) => CheckpointFormat.Decode(blob, name);

    /// <summary>What of it cannot be; null if nothing.</summary>
    internal string? FindFault()
    {
        var positioned = Position is { Epoch: > 0, Sequence: > 0 and <= uint.MaxValue } ? LastWrite >= 0 : Position == default && LastWrite == 0 && Epochs.Length == 0 && MapPages.Length == 0 && SegmentPages.Length == 0;
        if (Id.Epoch <= 0 || Id.Number <= 0 || !positioned || Position.Epoch > Id.Epoch) return "its position or name cannot be";
        return FindEpochFault() ?? FindBlobFault() ?? FindPageFault(MapPages, MapPageFormat.LengthMaxBytes, uint.MaxValue)
            ?? FindPageFault(SegmentPages, SegmentPageFormat.LengthMaxBytes, (uint)(Position.Sequence / SegmentTable.SegmentsPerPage));
    }

    private string? FindEpochFault()
    {
        const string Fault = "its list of epochs cannot be";
        for (var i = 0; i < Epochs.Length; i++)
        {
            var range = Epochs[i];
            if (range.Epoch <= 0 || range.FirstSequence <= 0 || range.LastWrite < 0) return Fault;
            if (i > 0 && (range.Epoch <= Epochs[i - 1].Epoch || range.FirstSequence <= Epochs[i - 1].FirstSequence || range.LastWrite < Epochs[i - 1].LastWrite)) return Fault;
        }

        return Position != default && (Epochs.Length == 0 || Epochs[^1].Epoch != Position.Epoch || Epochs[^1].FirstSequence > Position.Sequence || Epochs[^1].LastWrite != LastWrite) ? Fault : null;
    }

    private string? FindBlobFault()
    {
        uint last = 0;
        foreach (var blob in MapBlobs)
        {
            if (blob.Number <= last || blob.Number >= NextMapBlob || blob.Id.Epoch <= 0 || blob.Id.Epoch > Id.Epoch || blob.Id.Number <= 0 || blob.LengthBytes < MapBlobHeader.HeaderLengthBytes || blob.LiveBytes > blob.LengthBytes)
                return "its list of map blobs cannot be";
            last = blob.Number;
        }

        return NextMapBlob == 0 ? "its next map blob cannot be" : null;
    }

    private string? FindPageFault(NumberedPointer[] pages, int lengthMaxBytes, uint numberMax)
    {
        for (var i = 0; i < pages.Length; i++)
        {
            var (number, pointer) = pages[i];
            if (number > numberMax || (i > 0 && number <= pages[i - 1].Number) || !pointer.IsPossible(lengthMaxBytes)) return "its list of pages cannot be";
            var blob = Array.BinarySearch(MapBlobs, new MapBlobUse(pointer.Blob, default, 0, 0), ByNumber);
            if (blob < 0 || pointer.OffsetBytes > MapBlobs[blob].LengthBytes || pointer.LengthBytes > MapBlobs[blob].LengthBytes - pointer.OffsetBytes) return "it refers to a map blob that cannot be";
        }

        return null;
    }
}
