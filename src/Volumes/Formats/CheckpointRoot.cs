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
    /// <summary>Upper bound for a whole root; anything longer is not ours.</summary>
    public const int LengthMaxBytes = 16 << 20;

    public required Guid VolumeId { get; init; }

    public required CheckpointId Id { get; init; }

    /// <summary>Tells our own put, whose answer was lost, from somebody else's.</summary>
    public required Guid Nonce { get; init; }

    /// <summary>The last segment that it covers; zeroes for an empty log.</summary>
    public required SegmentId Position { get; init; }

    /// <summary>The last write that it covers.</summary>
    public required long LastWrite { get; init; }

    /// <summary>Which epoch wrote which sequences, in order, up to the position. A first part whose segments are all deleted may be left out.</summary>
    public required EpochRange[] Epochs { get; init; }

    /// <summary>Pages of the map, in order of their numbers; absent ones left out.</summary>
    public required NumberedPointer[] MapPages { get; init; }

    /// <summary>Pages of the segment table, in order of their numbers; absent ones left out.</summary>
    public required NumberedPointer[] SegmentPages { get; init; }

    /// <summary>The map blobs that the pointers refer to, and what they refer to in turn, in order of their numbers.</summary>
    public required MapBlobUse[] MapBlobs { get; init; }

    /// <summary>The number that the next map blob gets.</summary>
    public required uint NextMapBlob { get; init; }

    public byte[] Encode() => throw new NotImplementedException();

    /// <summary>Checks and decodes a root.</summary>
    /// <param name="blob">The whole blob.</param>
    /// <param name="name">The blob's name, for the message.</param>
    /// <exception cref="VolumeException">Foreign, damaged or newer.</exception>
    public static CheckpointRoot Decode(ReadOnlySpan<byte> blob, string name) => throw new NotImplementedException();
}
