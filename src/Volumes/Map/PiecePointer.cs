namespace Gateway.Volumes.Map;

/// <summary>Where a piece of the map (a leaf, a page, a page of the segment table) is stored. 16 bytes; the default value: nowhere.</summary>
/// <param name="Blob">Number of the map blob, from 1 on; 0: nowhere.</param>
/// <param name="OffsetBytes">Where the piece starts in the blob.</param>
/// <param name="LengthBytes">The piece's length.</param>
/// <param name="Crc">CRC-32C of the piece, seeded with the blob's identity (<see cref="Formats.MapBlobHeader.Seed"/>).</param>
internal readonly record struct PiecePointer(uint Blob, uint OffsetBytes, uint LengthBytes, uint Crc)
{
    public const int EncodedLengthBytes = 16;

    /// <summary>True if it points nowhere: what it stands for is empty.</summary>
    public bool IsNone => Blob == 0;
}

/// <summary>A piece of the map that must be fetched: hand its bytes, once their checksum held, to <see cref="BucketMap.Load"/>.</summary>
/// <param name="IsPage">A page of leaf pointers; else a leaf.</param>
/// <param name="Number">The page's or the leaf's number.</param>
/// <param name="Pointer">Where it is.</param>
internal readonly record struct MissingPiece(bool IsPage, long Number, PiecePointer Pointer);
