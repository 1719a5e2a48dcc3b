using System.Buffers;
using Gateway.Volumes.Formats;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Volumes.Map;

/// <summary>Bytes of a stored page: a header, a bit for each leaf that exists, their pointers. See docs/formats.md, "Map".</summary>
internal static class MapPageFormat
{
    private const int BitmapOffset = 8;
    private const int BitmapLengthBytes = BucketMap.LeavesPerPage / 8;
    private const int HeaderLengthBytes = BitmapOffset + BitmapLengthBytes;
    private const byte Magic = (byte)'P';
    private const byte FormatVersion = 1;

    /// <summary>No page is longer.</summary>
    public const int LengthMaxBytes = HeaderLengthBytes + (BucketMap.LeavesPerPage * PiecePointer.EncodedLengthBytes);

    /// <summary>Appends the page's bytes; returns their number.</summary>
    public static int Encode(ReadOnlySpan<PiecePointer> leaves, int page, IBufferWriter<byte> writer)
    {
        var destination = writer.GetSpan(LengthMaxBytes);
        destination[..HeaderLengthBytes].Clear();
        destination[0] = Magic;
        destination[1] = FormatVersion;
        WriteUInt32LittleEndian(destination[4..], (uint)page);
        var length = HeaderLengthBytes;
        ushort count = 0;
        for (var slot = 0; slot < leaves.Length; slot++)
        {
            if (leaves[slot].IsNone) continue;
            destination[BitmapOffset + (slot / 8)] |= (byte)(1 << (slot % 8));
            leaves[slot].WriteTo(destination[length..]);
            length += PiecePointer.EncodedLengthBytes;
            count++;
        }

        WriteUInt16LittleEndian(destination[2..], count);
        writer.Advance(length);
        return length;
    }

    /// <summary>Decodes a page and checks that it can be what it says.</summary>
    /// <param name="bytes">The piece; its checksum held.</param>
    /// <param name="page">The page that it must be.</param>
    /// <param name="leafCount">How many of its leaves are in the volume.</param>
    /// <param name="from">Where it was, for the message.</param>
    /// <returns>One pointer for each leaf.</returns>
    /// <exception cref="VolumeException">It makes no sense.</exception>
    public static PiecePointer[] Decode(ReadOnlySpan<byte> bytes, int page, int leafCount, PiecePointer from)
    {
        VolumeException Damaged(string why) => MapDamage.Of($"page {page}", from, why);
        if (bytes.Length < HeaderLengthBytes || bytes[0] != Magic) throw Damaged("is not a page");
        if (bytes[1] != FormatVersion) throw Damaged($"has format version {bytes[1]}, which this tcmu-gateway does not know");
        if (ReadUInt32LittleEndian(bytes[4..]) != page) throw Damaged("is another page");
        var count = ReadUInt16LittleEndian(bytes[2..]);
        if (count is 0 or > BucketMap.LeavesPerPage || bytes.Length != HeaderLengthBytes + (count * PiecePointer.EncodedLengthBytes)) throw Damaged("is not as long as its header says");
        var leaves = new PiecePointer[BucketMap.LeavesPerPage];
        var at = HeaderLengthBytes;
        for (var slot = 0; slot < leaves.Length; slot++)
        {
            if ((bytes[BitmapOffset + (slot / 8)] & (1 << (slot % 8))) == 0) continue;
            if (slot >= leafCount) throw Damaged("points to a leaf past the end of the volume");
            if (at == bytes.Length) throw Damaged("has fewer pointers than leaves");
            leaves[slot] = PiecePointer.Parse(bytes[at..]);
            if (!leaves[slot].IsPossible(MapLeafFormat.LengthMaxBytes)) throw Damaged("has an impossible pointer");
            at += PiecePointer.EncodedLengthBytes;
        }

        return at == bytes.Length ? leaves : throw Damaged("has more pointers than leaves");
    }
}
