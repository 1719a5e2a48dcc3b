using Gateway.Backends.Core;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Volumes.Formats;

/// <summary>Where a segment's content comes from.</summary>
internal enum SegmentKind : ushort
{
    /// <summary>Writes, in the order of their numbers.</summary>
    Log = 0,

    /// <summary>Blocks that were copied out of older segments, so that those can be deleted. It holds no writes.</summary>
    Moved = 1,
}

/// <summary>The first 128 bytes of a segment. See docs/formats.md, "Segments".</summary>
/// <param name="VolumeId">The volume it belongs to.</param>
/// <param name="Id">Epoch and sequence, as in its name.</param>
/// <param name="Nonce">Random for every segment built: tells our own put from somebody else's, and will key its encryption.</param>
/// <param name="FirstWrite">Number of the first write it holds; of a moved one, that of the next write.</param>
/// <param name="LastWrite">Number of the last write it holds; of a moved one, that of the segment before it.</param>
/// <param name="IndexCount">Number of index entries.</param>
/// <param name="LengthBytes">Length of the whole blob in bytes.</param>
/// <param name="IndexCrc">CRC-32C of the index.</param>
/// <param name="BlockLengthBytes">Logical block length in bytes.</param>
/// <param name="SealedAtUnixMilliseconds">When it was built, for people.</param>
/// <param name="Kind">Where its content comes from.</param>
/// <param name="CoveredSequence">
/// Of a moved one: the last sequence that the map held when its blocks were chosen. A block applies only if no later segment wrote it. Of
/// any other: 0.
/// </param>
internal readonly record struct SegmentHeader(
    Guid VolumeId,
    SegmentId Id,
    Guid Nonce,
    long FirstWrite,
    long LastWrite,
    int IndexCount,
    long LengthBytes,
    uint IndexCrc,
    int BlockLengthBytes,
    long SealedAtUnixMilliseconds,
    SegmentKind Kind = SegmentKind.Log,
    long CoveredSequence = 0)
{
    public const int HeaderLengthBytes = 128;
    public const ushort FormatVersion = 1;

    private static ReadOnlySpan<byte> Magic => "TCMUGSEG"u8;

    /// <summary>Length of header and index together: what an open has to read.</summary>
    public int MetadataLengthBytes => HeaderLengthBytes + (IndexCount * SegmentIndexEntry.EntryLengthBytes);

    public void WriteTo(Span<byte> header)
    {
        header = header[..HeaderLengthBytes];
        header.Clear();
        Magic.CopyTo(header);
        WriteUInt16LittleEndian(header[8..], FormatVersion);
        WriteUInt16LittleEndian(header[10..], HeaderLengthBytes);
        VolumeId.TryWriteBytes(header[16..], bigEndian: true, out _);
        WriteInt64LittleEndian(header[32..], Id.Epoch);
        WriteInt64LittleEndian(header[40..], Id.Sequence);
        Nonce.TryWriteBytes(header[48..], bigEndian: true, out _);
        WriteInt64LittleEndian(header[64..], FirstWrite);
        WriteInt64LittleEndian(header[72..], LastWrite);
        WriteInt32LittleEndian(header[80..], IndexCount);
        WriteInt32LittleEndian(header[84..], IndexCount * SegmentIndexEntry.EntryLengthBytes);
        WriteInt64LittleEndian(header[88..], LengthBytes);
        WriteUInt32LittleEndian(header[96..], IndexCrc);
        WriteInt32LittleEndian(header[100..], BlockLengthBytes);
        WriteInt64LittleEndian(header[104..], SealedAtUnixMilliseconds);
        WriteUInt16LittleEndian(header[112..], (ushort)Kind);
        WriteInt64LittleEndian(header[116..], CoveredSequence);
        WriteUInt32LittleEndian(header[124..], Crc32C.Compute(header[..124]));
    }

    /// <summary>Checks and decodes a header.</summary>
    /// <param name="blob">The blob's first bytes.</param>
    /// <param name="name">The blob's name, for the message.</param>
    /// <exception cref="VolumeException">Foreign, damaged or newer.</exception>
    public static SegmentHeader Parse(ReadOnlySpan<byte> blob, string name)
    {
        if (blob.Length < HeaderLengthBytes || !blob.StartsWith(Magic))
            throw new VolumeException(VolumeErrorKind.Foreign, $"Object '{name}' is not a tcmu-gateway segment. Move it out of the volume's prefix, or restore the original from a backup or an older object version.");
        if (ReadUInt32LittleEndian(blob[124..]) != Crc32C.Compute(blob[..124])) throw RecordEnvelope.Damaged(name, "its header fails its checksum");
        var version = ReadUInt16LittleEndian(blob[8..]);
        if (version != FormatVersion || ReadUInt16LittleEndian(blob[10..]) != HeaderLengthBytes || ReadUInt32LittleEndian(blob[12..]) != 0)
            throw new VolumeException(VolumeErrorKind.Unsupported, $"Object '{name}' was written by a newer tcmu-gateway (segment format {version}). Use that version.");
        var kind = (SegmentKind)ReadUInt16LittleEndian(blob[112..]);
        if (kind is not (SegmentKind.Log or SegmentKind.Moved))
            throw new VolumeException(VolumeErrorKind.Unsupported, $"Object '{name}' was written by a newer tcmu-gateway (segment kind {(ushort)kind}). Use that version.");
        var header = new SegmentHeader(
            new Guid(blob[16..32], bigEndian: true),
            new SegmentId(ReadInt64LittleEndian(blob[32..]), ReadInt64LittleEndian(blob[40..])),
            new Guid(blob[48..64], bigEndian: true),
            ReadInt64LittleEndian(blob[64..]),
            ReadInt64LittleEndian(blob[72..]),
            ReadInt32LittleEndian(blob[80..]),
            ReadInt64LittleEndian(blob[88..]),
            ReadUInt32LittleEndian(blob[96..]),
            ReadInt32LittleEndian(blob[100..]),
            ReadInt64LittleEndian(blob[104..]),
            kind,
            ReadInt64LittleEndian(blob[116..]));
        var possible = header.IndexCount is >= 0 and <= SegmentIndexEntry.CountMax
            && ReadInt32LittleEndian(blob[84..]) == header.IndexCount * SegmentIndexEntry.EntryLengthBytes
            && header.LengthBytes >= header.MetadataLengthBytes && header.LengthBytes < Map.SegmentLocation.SegmentLengthMaxBytes
            && header.FirstWrite > 0 && header.HasPossibleWrites;
        return possible ? header : throw RecordEnvelope.Damaged(name, "its header holds impossible values");
    }

    private bool HasPossibleWrites => Kind switch
    {
        SegmentKind.Log => LastWrite >= FirstWrite && CoveredSequence == 0,
        _ => LastWrite == FirstWrite - 1 && CoveredSequence > 0 && CoveredSequence < Id.Sequence,
    };
}

/// <summary>What an extent of a segment holds.</summary>
internal enum ExtentKind : byte
{
    /// <summary>Data, in the frame at the entry's offset.</summary>
    Data = 0,

    /// <summary>Zeroes or trimmed blocks: no frame.</summary>
    Zero = 1,
}

/// <summary>One entry of a segment's index: 32 bytes. See docs/formats.md, "Segments".</summary>
/// <param name="Lba">First logical block.</param>
/// <param name="Blocks">Number of blocks, 1 or more.</param>
/// <param name="Kind">Data or zeroes.</param>
/// <param name="FrameOffsetBytes">For data: where its frame starts in the segment, a multiple of 16.</param>
/// <param name="FrameLengthBytes">For data: length of the frame, header included, without the padding after it.</param>
internal readonly record struct SegmentIndexEntry(ulong Lba, uint Blocks, ExtentKind Kind, int FrameOffsetBytes, int FrameLengthBytes)
{
    public const int EntryLengthBytes = 32;

    /// <summary>Bound on the entries of one segment: an 8 MiB segment of 512-byte frames has 16,384.</summary>
    public const int CountMax = 1 << 20;

    public void WriteTo(Span<byte> entry)
    {
        entry = entry[..EntryLengthBytes];
        entry.Clear();
        WriteUInt64LittleEndian(entry, Lba);
        WriteUInt32LittleEndian(entry[8..], Blocks);
        entry[12] = (byte)Kind;
        WriteInt32LittleEndian(entry[16..], FrameOffsetBytes);
        WriteInt32LittleEndian(entry[20..], FrameLengthBytes);
    }

    /// <summary>Decodes an index whose checksum held, and checks every entry against the segment's shape.</summary>
    /// <exception cref="VolumeException">An entry points outside the segment or the volume.</exception>
    public static SegmentIndexEntry[] ParseIndex(ReadOnlySpan<byte> index, in SegmentHeader header, ulong capacityBlocks, string name)
    {
        if (Crc32C.Compute(index) != header.IndexCrc) throw RecordEnvelope.Damaged(name, "its index fails its checksum");
        var entries = new SegmentIndexEntry[header.IndexCount];
        for (var i = 0; i < entries.Length; i++)
        {
            var at = index.Slice(i * EntryLengthBytes, EntryLengthBytes);
            var entry = new SegmentIndexEntry(
                ReadUInt64LittleEndian(at),
                ReadUInt32LittleEndian(at[8..]),
                (ExtentKind)at[12],
                ReadInt32LittleEndian(at[16..]),
                ReadInt32LittleEndian(at[20..]));
            var inVolume = entry.Blocks > 0 && entry.Lba <= capacityBlocks && entry.Blocks <= capacityBlocks - entry.Lba;
            var inSegment = entry.Kind switch
            {
                ExtentKind.Zero => header.Kind == SegmentKind.Log,
                ExtentKind.Data => entry.FrameOffsetBytes >= header.MetadataLengthBytes && entry.FrameOffsetBytes % FrameHeader.AlignmentBytes == 0
                    && entry.FrameLengthBytes > FrameHeader.HeaderLengthBytes && entry.FrameLengthBytes <= FrameHeader.FrameLengthMaxBytes
                    && entry.FrameOffsetBytes <= header.LengthBytes - FrameHeader.PaddedLength(entry.FrameLengthBytes)
                    && entry.Blocks <= FrameHeader.PayloadMaxBytes / header.BlockLengthBytes,
                _ => false,
            };
            if (!inVolume || !inSegment) throw RecordEnvelope.Damaged(name, $"index entry {i} points outside the segment or the volume");
            entries[i] = entry;
        }

        return entries;
    }
}
