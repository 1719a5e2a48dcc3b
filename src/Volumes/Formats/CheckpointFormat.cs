using Gateway.Backends.Core;
using Gateway.Volumes.Log;
using Gateway.Volumes.Map;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Volumes.Formats;

/// <summary>Bytes of a <see cref="CheckpointRoot"/>: a header with checksums, then its four lists. See docs/formats.md, "Checkpoints".</summary>
internal static class CheckpointFormat
{
    public const int HeaderLengthBytes = 128;
    public const ushort FormatVersion = 1;

    private const int EpochLengthBytes = 24;
    private const int PageLengthBytes = 20;
    private const int BlobLengthBytes = 32;

    private static ReadOnlySpan<byte> Magic => "TCMUGCKP"u8;

    /// <exception cref="InvalidOperationException">A reader would refuse it.</exception>
    public static byte[] Encode(CheckpointRoot root)
    {
        if (root.FindFault() is { } fault) throw new InvalidOperationException($"The checkpoint would not be readable: {fault}.");
        var length = LengthOf(root.Epochs.Length, root.MapPages.Length, root.SegmentPages.Length, root.MapBlobs.Length);
        if (length > CheckpointRoot.LengthMaxBytes) throw new InvalidOperationException($"The checkpoint would be {length} bytes long.");
        var blob = new byte[length];
        var header = blob.AsSpan(0, HeaderLengthBytes);
        Magic.CopyTo(header);
        WriteUInt16LittleEndian(header[8..], FormatVersion);
        WriteUInt16LittleEndian(header[10..], HeaderLengthBytes);
        root.VolumeId.TryWriteBytes(header[16..], bigEndian: true, out _);
        WriteInt64LittleEndian(header[32..], root.Id.Epoch);
        WriteInt64LittleEndian(header[40..], root.Id.Number);
        root.Nonce.TryWriteBytes(header[48..], bigEndian: true, out _);
        WriteInt64LittleEndian(header[64..], root.Position.Epoch);
        WriteInt64LittleEndian(header[72..], root.Position.Sequence);
        WriteInt64LittleEndian(header[80..], root.LastWrite);
        WriteInt32LittleEndian(header[88..], root.Epochs.Length);
        WriteInt32LittleEndian(header[92..], root.MapPages.Length);
        WriteInt32LittleEndian(header[96..], root.SegmentPages.Length);
        WriteInt32LittleEndian(header[100..], root.MapBlobs.Length);
        WriteUInt32LittleEndian(header[104..], root.NextMapBlob);
        WriteInt32LittleEndian(header[108..], (int)length);
        WriteLists(root, blob.AsSpan(HeaderLengthBytes));
        WriteUInt32LittleEndian(header[112..], Crc32C.Compute(blob.AsSpan(HeaderLengthBytes)));
        WriteUInt32LittleEndian(header[124..], Crc32C.Compute(header[..124]));
        return blob;
    }

    /// <summary>Checks and decodes a root.</summary>
    /// <param name="blob">The whole blob.</param>
    /// <param name="name">The blob's name, for the message.</param>
    /// <exception cref="VolumeException">Foreign, damaged or newer.</exception>
    public static CheckpointRoot Decode(ReadOnlySpan<byte> blob, string name)
    {
        if (blob.Length < HeaderLengthBytes || !blob.StartsWith(Magic))
            throw new VolumeException(VolumeErrorKind.Foreign, $"Object '{name}' is not a tcmu-gateway checkpoint. Move it out of the volume's prefix, or restore the original from a backup or an older object version.");
        var header = blob[..HeaderLengthBytes];
        if (ReadUInt32LittleEndian(header[124..]) != Crc32C.Compute(header[..124])) throw RecordEnvelope.Damaged(name, "its header fails its checksum");
        var version = ReadUInt16LittleEndian(header[8..]);
        if (version != FormatVersion || ReadUInt16LittleEndian(header[10..]) != HeaderLengthBytes || ReadUInt32LittleEndian(header[12..]) != 0)
            throw new VolumeException(VolumeErrorKind.Unsupported, $"Object '{name}' was written by a newer tcmu-gateway (checkpoint format {version}). Use that version.");
        var (epochs, mapPages, segmentPages, mapBlobs) = (ReadUInt32LittleEndian(header[88..]), ReadUInt32LittleEndian(header[92..]), ReadUInt32LittleEndian(header[96..]), ReadUInt32LittleEndian(header[100..]));
        if (blob.Length > CheckpointRoot.LengthMaxBytes || ReadUInt32LittleEndian(header[108..]) != blob.Length || LengthOf(epochs, mapPages, segmentPages, mapBlobs) != blob.Length)
            throw RecordEnvelope.Damaged(name, "its length is not what its header says");
        var lists = blob[HeaderLengthBytes..];
        if (ReadUInt32LittleEndian(header[112..]) != Crc32C.Compute(lists)) throw RecordEnvelope.Damaged(name, "its content fails its checksum");

        var root = new CheckpointRoot
        {
            VolumeId = new Guid(header[16..32], bigEndian: true),
            Id = new CheckpointId(ReadInt64LittleEndian(header[32..]), ReadInt64LittleEndian(header[40..])),
            Nonce = new Guid(header[48..64], bigEndian: true),
            Position = new SegmentId(ReadInt64LittleEndian(header[64..]), ReadInt64LittleEndian(header[72..])),
            LastWrite = ReadInt64LittleEndian(header[80..]),
            NextMapBlob = ReadUInt32LittleEndian(header[104..]),
            Epochs = Take(ref lists, epochs, EpochLengthBytes, at => new EpochSpan(ReadInt64LittleEndian(at), ReadInt64LittleEndian(at[8..]), ReadInt64LittleEndian(at[16..]))),
            MapPages = Take(ref lists, mapPages, PageLengthBytes, ReadPage),
            SegmentPages = Take(ref lists, segmentPages, PageLengthBytes, ReadPage),
            MapBlobs = Take(ref lists, mapBlobs, BlobLengthBytes, at => new MapBlobUse(
                ReadUInt32LittleEndian(at), new MapBlobId(ReadInt64LittleEndian(at[16..]), ReadInt64LittleEndian(at[24..])), ReadUInt32LittleEndian(at[4..]), ReadUInt32LittleEndian(at[8..]))),
        };
        return root.FindFault() is { } fault ? throw RecordEnvelope.Damaged(name, fault) : root;
    }

    private static long LengthOf(long epochs, long mapPages, long segmentPages, long mapBlobs) =>
        HeaderLengthBytes + (epochs * EpochLengthBytes) + ((mapPages + segmentPages) * PageLengthBytes) + (mapBlobs * BlobLengthBytes);

    private static void WriteLists(CheckpointRoot root, Span<byte> lists)
    {
        foreach (var range in root.Epochs)
        {
            WriteInt64LittleEndian(lists, range.Epoch);
            WriteInt64LittleEndian(lists[8..], range.FirstSequence);
            WriteInt64LittleEndian(lists[16..], range.LastWrite);
            lists = lists[EpochLengthBytes..];
        }

        foreach (var pages in (ReadOnlySpan<NumberedPointer[]>)[root.MapPages, root.SegmentPages])
        {
            foreach (var page in pages)
            {
                WriteUInt32LittleEndian(lists, page.Number);
                page.Pointer.WriteTo(lists[4..]);
                lists = lists[PageLengthBytes..];
            }
        }

        foreach (var blob in root.MapBlobs)
        {
            WriteUInt32LittleEndian(lists, blob.Number);
            WriteUInt32LittleEndian(lists[4..], blob.LengthBytes);
            WriteUInt32LittleEndian(lists[8..], blob.LiveBytes);
            WriteInt64LittleEndian(lists[16..], blob.Id.Epoch);
            WriteInt64LittleEndian(lists[24..], blob.Id.Number);
            lists = lists[BlobLengthBytes..];
        }
    }

    private static NumberedPointer ReadPage(ReadOnlySpan<byte> at) => new(ReadUInt32LittleEndian(at), PiecePointer.Parse(at[4..]));

    private static T[] Take<T>(ref ReadOnlySpan<byte> lists, uint count, int lengthBytes, Func<ReadOnlySpan<byte>, T> read)
    {
        var items = new T[count];
        for (var i = 0; i < items.Length; i++, lists = lists[lengthBytes..]) items[i] = read(lists);
        return items;
    }
}
