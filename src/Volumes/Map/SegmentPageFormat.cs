using System.Buffers;
using Gateway.Volumes.Formats;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Volumes.Map;

/// <summary>Bytes of a stored page of the segment table: a header, a bit for each segment that exists, their entries. See docs/formats.md, "Map".</summary>
internal static class SegmentPageFormat
{
    private const int BitmapOffset = 8;
    private const int HeaderLengthBytes = BitmapOffset + (SegmentTable.SegmentsPerPage / 8);
    private const byte Magic = (byte)'S';
    private const byte FormatVersion = 1;

    /// <summary>No page is longer.</summary>
    public const int LengthMaxBytes = HeaderLengthBytes + (SegmentTable.SegmentsPerPage * SegmentEntry.EncodedLengthBytes);

    public static int LengthOf(int segments) => segments == 0 ? 0 : HeaderLengthBytes + (segments * SegmentEntry.EncodedLengthBytes);

    /// <summary>Appends the page's bytes; returns their number.</summary>
    public static int Encode(ReadOnlySpan<SegmentEntry> entries, int count, uint page, IBufferWriter<byte> writer)
    {
        ArgumentOutOfRangeException.ThrowIfZero(count);
        var length = LengthOf(count);
        var destination = writer.GetSpan(length)[..length];
        destination[..HeaderLengthBytes].Clear();
        destination[0] = Magic;
        destination[1] = FormatVersion;
        WriteUInt16LittleEndian(destination[2..], (ushort)count);
        WriteUInt32LittleEndian(destination[4..], page);
        var at = HeaderLengthBytes;
        for (var i = 0; i < entries.Length; i++)
        {
            if (!entries[i].Exists) continue;
            destination[BitmapOffset + (i / 8)] |= (byte)(1 << (i % 8));
            WriteUInt32LittleEndian(destination[at..], entries[i].LengthAndKind);
            WriteUInt32LittleEndian(destination[(at + 4)..], entries[i].TotalBlocks);
            WriteUInt32LittleEndian(destination[(at + 8)..], entries[i].LiveBlocks);
            at += SegmentEntry.EncodedLengthBytes;
        }

        writer.Advance(length);
        return length;
    }

    /// <summary>Decodes a page and checks that it can be what it says.</summary>
    /// <param name="bytes">The piece; its checksum held.</param>
    /// <param name="page">The page that it must be, and where it was.</param>
    /// <param name="lastSequence">No segment comes after this.</param>
    /// <returns>One entry for each sequence of the page.</returns>
    /// <exception cref="VolumeException">It makes no sense.</exception>
    public static SegmentEntry[] Decode(ReadOnlySpan<byte> bytes, NumberedPointer page, uint lastSequence)
    {
        VolumeException Damaged(string why) => MapDamage.Of($"page {page.Number} of the segment table", page.Pointer, why);
        if (bytes.Length < HeaderLengthBytes || bytes[0] != Magic) throw Damaged("is not a page of the segment table");
        if (bytes[1] != FormatVersion) throw Damaged($"has format version {bytes[1]}, which this tcmu-gateway does not know");
        if (ReadUInt32LittleEndian(bytes[4..]) != page.Number) throw Damaged("is another page");
        var count = ReadUInt16LittleEndian(bytes[2..]);
        if (count is 0 or > SegmentTable.SegmentsPerPage || bytes.Length != LengthOf(count)) throw Damaged("is not as long as its header says");
        var entries = new SegmentEntry[SegmentTable.SegmentsPerPage];
        var at = HeaderLengthBytes;
        for (var i = 0; i < entries.Length; i++)
        {
            if ((bytes[BitmapOffset + (i / 8)] & (1 << (i % 8))) == 0) continue;
            var sequence = ((ulong)page.Number * SegmentTable.SegmentsPerPage) + (uint)i;
            if (sequence == 0 || sequence > lastSequence) throw Damaged($"names segment {sequence}, which cannot be");
            if (at == bytes.Length) throw Damaged("has fewer entries than segments");
            var entry = new SegmentEntry(ReadUInt32LittleEndian(bytes[at..]), ReadUInt32LittleEndian(bytes[(at + 4)..]), ReadUInt32LittleEndian(bytes[(at + 8)..]));
            if (entry.LengthBytes < SegmentHeader.HeaderLengthBytes || entry.Kind > SegmentKind.Moved || entry.LiveBlocks > entry.TotalBlocks) throw Damaged($"has an impossible entry for segment {sequence}");
            entries[i] = entry;
            at += SegmentEntry.EncodedLengthBytes;
        }

        return at == bytes.Length ? entries : throw Damaged("has more entries than segments");
    }
}
