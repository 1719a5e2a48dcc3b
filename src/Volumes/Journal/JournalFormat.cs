using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Volumes.Journal;

/// <summary>One of the two slots at the start of a journal; the one with the higher generation holds. See docs/formats.md, "Journal".</summary>
internal readonly record struct JournalSuperblock
{
    /// <summary>Bytes of one slot; the records start after two of them.</summary>
    public const int SlotLengthBytes = 4096;
    public const int HeaderLengthBytes = 128;
    public const ushort FormatVersion = 1;

    private static ReadOnlySpan<byte> Magic => "TCMUGJNL"u8;

    public required Guid VolumeId { get; init; }

    /// <summary>Random at creation. Batch checksums start from it, so that nothing an earlier journal left on the disk is taken for a batch.</summary>
    public required Guid JournalId { get; init; }

    public required long Generation { get; init; }

    /// <summary>Bytes of the ring after the two slots, a multiple of 4,096.</summary>
    public required long CapacityBytes { get; init; }

    /// <summary>Where replay starts: everything before it is in the bucket.</summary>
    public required long TailPosition { get; init; }

    /// <summary>The last write number before <see cref="TailPosition"/>.</summary>
    public required long TailWrite { get; init; }

    /// <summary>The newest epoch that served from this journal; what is in it is in segments of no later epoch. After a reset, at least the epoch of the log's end.</summary>
    public required long Epoch { get; init; }

    /// <summary>The epoch about to be claimed, or 0 once it serves.</summary>
    public required long ClaimEpoch { get; init; }

    /// <summary>
    /// The nonce of every claim made since the journal last served, so that any of them is known for ours, whenever it reaches the bucket.
    /// </summary>
    public required Guid ClaimNonce { get; init; }

    public void WriteTo(Span<byte> slot)
    {
        slot = slot[..SlotLengthBytes];
        slot.Clear();
        Magic.CopyTo(slot);
        WriteUInt16LittleEndian(slot[8..], FormatVersion);
        WriteUInt16LittleEndian(slot[10..], HeaderLengthBytes);
        VolumeId.TryWriteBytes(slot[16..], bigEndian: true, out _);
        JournalId.TryWriteBytes(slot[32..], bigEndian: true, out _);
        WriteInt64LittleEndian(slot[48..], Generation);
        WriteInt64LittleEndian(slot[56..], CapacityBytes);
        WriteInt64LittleEndian(slot[64..], TailPosition);
        WriteInt64LittleEndian(slot[72..], TailWrite);
        WriteInt64LittleEndian(slot[80..], Epoch);
        WriteInt64LittleEndian(slot[88..], ClaimEpoch);
        ClaimNonce.TryWriteBytes(slot[96..], bigEndian: true, out _);
        WriteUInt32LittleEndian(slot[124..], Crc32C.Compute(slot[..124]));
    }

    /// <summary>Decodes a slot; false if it never was written, or not whole.</summary>
    /// <exception cref="VolumeException">A newer format.</exception>
    public static bool TryParse(ReadOnlySpan<byte> slot, string path, out JournalSuperblock superblock)
    {
        superblock = default;
        if (!slot.StartsWith(Magic) || ReadUInt32LittleEndian(slot[124..]) != Crc32C.Compute(slot[..124])) return false;
        var version = ReadUInt16LittleEndian(slot[8..]);
        if (version != FormatVersion || ReadUInt16LittleEndian(slot[10..]) != HeaderLengthBytes || ReadUInt32LittleEndian(slot[12..]) != 0)
            throw new VolumeException(VolumeErrorKind.Unsupported, $"Journal '{path}' was written by a newer tcmu-gateway (journal format {version}). Use that version; it holds writes that may not be in the bucket yet.");
        superblock = new JournalSuperblock
        {
            VolumeId = new Guid(slot[16..32], bigEndian: true),
            JournalId = new Guid(slot[32..48], bigEndian: true),
            Generation = ReadInt64LittleEndian(slot[48..]),
            CapacityBytes = ReadInt64LittleEndian(slot[56..]),
            TailPosition = ReadInt64LittleEndian(slot[64..]),
            TailWrite = ReadInt64LittleEndian(slot[72..]),
            Epoch = ReadInt64LittleEndian(slot[80..]),
            ClaimEpoch = ReadInt64LittleEndian(slot[88..]),
            ClaimNonce = new Guid(slot[96..112], bigEndian: true),
        };
        return true;
    }
}

/// <summary>What a journal record did.</summary>
internal enum JournalRecordKind : byte
{
    /// <summary>Wrote the data that the record carries.</summary>
    Data = 1,

    /// <summary>Made the blocks read as zeroes; no data.</summary>
    Zero = 2,
}

/// <summary>One write in a batch: 32 bytes in the batch's first page.</summary>
internal readonly record struct JournalRecord(ulong Lba, uint Blocks, JournalRecordKind Kind, int DataOffsetBytes, int DataLengthBytes, uint DataCrc)
{
    public const int RecordLengthBytes = 32;

    public void WriteTo(Span<byte> record)
    {
        WriteUInt64LittleEndian(record, Lba);
        WriteUInt32LittleEndian(record[8..], Blocks);
        record[12] = (byte)Kind;
        WriteInt32LittleEndian(record[16..], DataOffsetBytes);
        WriteInt32LittleEndian(record[20..], DataLengthBytes);
        WriteUInt32LittleEndian(record[24..], DataCrc);
    }

    public static JournalRecord Parse(ReadOnlySpan<byte> record) => new(
        ReadUInt64LittleEndian(record),
        ReadUInt32LittleEndian(record[8..]),
        (JournalRecordKind)record[12],
        ReadInt32LittleEndian(record[16..]),
        ReadInt32LittleEndian(record[20..]),
        ReadUInt32LittleEndian(record[24..]));
}

/// <summary>The first 64 bytes of a batch: writes that were appended together. A batch counts whole or not at all.</summary>
/// <param name="Position">Where it starts, counted from the journal's creation and never reset: position / capacity is the lap.</param>
/// <param name="Epoch">The epoch that wrote it; never lower than that of the batch before.</param>
/// <param name="FirstWrite">Number of its first write; the others follow by one.</param>
/// <param name="DurablePosition">Everything before this had been flushed when the batch was written. Damage below it is loss, not a torn end.</param>
/// <param name="LengthBytes">Length of the whole batch, a multiple of 4,096.</param>
/// <param name="RecordCount">Number of writes; 0: padding up to the end of the ring.</param>
internal readonly record struct JournalBatchHeader(long Position, long Epoch, long FirstWrite, long DurablePosition, int LengthBytes, int RecordCount)
{
    public const int PageBytes = 4096;
    public const int HeaderLengthBytes = 64;
    public const int RecordsMax = (PageBytes - HeaderLengthBytes) / JournalRecord.RecordLengthBytes;

    private const uint Magic = 0x5441424A; // "JBAT"

    public long EndPosition => Position + LengthBytes;

    public long LastWrite => FirstWrite + RecordCount - 1;

    /// <summary>Writes the header into a page whose records are already in place, and seals both with their checksum.</summary>
    public void WriteTo(Span<byte> page, uint seed)
    {
        page[..HeaderLengthBytes].Clear();
        WriteUInt32LittleEndian(page, Magic);
        WriteInt64LittleEndian(page[8..], Position);
        WriteInt64LittleEndian(page[16..], Epoch);
        WriteInt64LittleEndian(page[24..], FirstWrite);
        WriteInt64LittleEndian(page[32..], DurablePosition);
        WriteInt32LittleEndian(page[40..], LengthBytes);
        WriteInt32LittleEndian(page[44..], RecordCount);
        WriteUInt32LittleEndian(page[4..], Crc32C.Compute(page[8..RecordsEnd(RecordCount)], seed));
    }

    /// <summary>Decodes a batch's first page; false if it is none that this journal wrote.</summary>
    public static bool TryParse(ReadOnlySpan<byte> page, uint seed, out JournalBatchHeader header)
    {
        header = default;
        if (ReadUInt32LittleEndian(page) != Magic) return false;
        var count = ReadInt32LittleEndian(page[44..]);
        if (count is < 0 or > RecordsMax || ReadUInt32LittleEndian(page[4..]) != Crc32C.Compute(page[8..RecordsEnd(count)], seed)) return false;
        header = new JournalBatchHeader(
            ReadInt64LittleEndian(page[8..]),
            ReadInt64LittleEndian(page[16..]),
            ReadInt64LittleEndian(page[24..]),
            ReadInt64LittleEndian(page[32..]),
            ReadInt32LittleEndian(page[40..]),
            count);
        return header.LengthBytes >= PageBytes && header.LengthBytes % PageBytes == 0;
    }

    public static JournalRecord RecordAt(ReadOnlySpan<byte> page, int index) =>
        JournalRecord.Parse(page.Slice(HeaderLengthBytes + (index * JournalRecord.RecordLengthBytes), JournalRecord.RecordLengthBytes));

    private static int RecordsEnd(int count) => HeaderLengthBytes + (count * JournalRecord.RecordLengthBytes);
}
