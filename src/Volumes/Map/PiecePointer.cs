using Gateway.Volumes.Formats;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Volumes.Map;

/// <summary>Where a piece of the map (a leaf, a page, a page of the segment table) is stored. 16 bytes; the default value: nowhere.</summary>
/// <param name="Blob">Number of the map blob, from 1 on; 0: nowhere.</param>
/// <param name="OffsetBytes">Where the piece starts in the blob.</param>
/// <param name="LengthBytes">The piece's length.</param>
/// <param name="Crc">CRC-32C of the piece, seeded with the blob's identity (<see cref="MapBlobHeader.Seed"/>).</param>
internal readonly record struct PiecePointer(uint Blob, uint OffsetBytes, uint LengthBytes, uint Crc)
{
    public const int EncodedLengthBytes = 16;

    /// <summary>True if it points nowhere: what it stands for is empty.</summary>
    public bool IsNone => Blob == 0;

    public void WriteTo(Span<byte> destination)
    {
        WriteUInt32LittleEndian(destination, Blob);
        WriteUInt32LittleEndian(destination[4..], OffsetBytes);
        WriteUInt32LittleEndian(destination[8..], LengthBytes);
        WriteUInt32LittleEndian(destination[12..], Crc);
    }

    public static PiecePointer Parse(ReadOnlySpan<byte> source) => new(
        ReadUInt32LittleEndian(source), ReadUInt32LittleEndian(source[4..]), ReadUInt32LittleEndian(source[8..]), ReadUInt32LittleEndian(source[12..]));

    /// <summary>True if a piece of at most <paramref name="lengthMaxBytes"/> can be there.</summary>
    public bool IsPossible(int lengthMaxBytes) =>
        !IsNone && OffsetBytes >= MapBlobHeader.HeaderLengthBytes && LengthBytes > 0 && LengthBytes <= lengthMaxBytes && OffsetBytes <= uint.MaxValue - LengthBytes;
}

/// <summary>A page's number and where it is stored.</summary>
/// <param name="Number">The page.</param>
/// <param name="Pointer">Where it is; never none.</param>
internal readonly record struct NumberedPointer(uint Number, PiecePointer Pointer);

/// <summary>A piece of the map that must be fetched: hand its bytes, once their checksum held, to <see cref="BucketMap.Load"/>.</summary>
/// <param name="IsPage">A page of leaf pointers; else a leaf.</param>
/// <param name="Number">The page's or the leaf's number.</param>
/// <param name="Pointer">Where it is.</param>
internal readonly record struct MissingPiece(bool IsPage, long Number, PiecePointer Pointer);
