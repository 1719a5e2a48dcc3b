using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Volumes.Cache;

/// <summary>The first page of a cache file. See docs/formats.md, "Cache file".</summary>
/// <param name="VolumeId">The volume it belongs to.</param>
/// <param name="FileId">Random; regions that another one wrote do not count.</param>
/// <param name="RegionBytes">Length of a region.</param>
/// <param name="Epoch">The epoch that last used the file.</param>
/// <param name="EpochNonce">Nonce of that epoch's record: the bucket must still have it, or its history is another one.</param>
internal readonly record struct CacheSuperblock(Guid VolumeId, Guid FileId, int RegionBytes, long Epoch, Guid EpochNonce)
{
    public const int LengthBytes = 4096;
    public const ushort FormatVersion = 1;

    private const int UsedBytes = 80;

    private static ReadOnlySpan<byte> Magic => "TCMUGCCH"u8;

    public void WriteTo(Span<byte> page)
    {
        page = page[..LengthBytes];
        page.Clear();
        Magic.CopyTo(page);
        WriteUInt16LittleEndian(page[8..], FormatVersion);
        WriteInt32LittleEndian(page[12..], RegionBytes);
        VolumeId.TryWriteBytes(page[16..], bigEndian: true, out _);
        FileId.TryWriteBytes(page[32..], bigEndian: true, out _);
        WriteInt64LittleEndian(page[48..], Epoch);
        EpochNonce.TryWriteBytes(page[56..], bigEndian: true, out _);
        WriteUInt32LittleEndian(page[(UsedBytes - 4)..], Crc32C.Compute(page[..(UsedBytes - 4)]));
    }

    /// <summary>False for anything but a whole superblock of this version: the file is then made anew.</summary>
    public static bool TryParse(ReadOnlySpan<byte> page, out CacheSuperblock superblock)
    {
        superblock = default;
        if (!page.StartsWith(Magic) || ReadUInt32LittleEndian(page[(UsedBytes - 4)..]) != Crc32C.Compute(page[..(UsedBytes - 4)])) return false;
        superblock = new CacheSuperblock(
            new Guid(page[16..32], bigEndian: true),
            new Guid(page[32..48], bigEndian: true),
            ReadInt32LittleEndian(page[12..]),
            ReadInt64LittleEndian(page[48..]),
            new Guid(page[56..72], bigEndian: true));
        return ReadUInt16LittleEndian(page[8..]) == FormatVersion;
    }
}

/// <summary>An item of a region: the stored bytes of a frame, or a range of another blob.</summary>
/// <param name="Key">Its <see cref="FrameKey"/>.</param>
/// <param name="OffsetBytes">Where it is in the region, a multiple of 16.</param>
/// <param name="LengthBytes">Its length.</param>
internal readonly record struct CacheItem(ulong Key, int OffsetBytes, int LengthBytes);

/// <summary>The table at a region's start: header of 64 bytes, then items of 16.</summary>
/// <param name="Lap">Number of the region's write in the file's history: of two that hold an item, the higher is newer.</param>
/// <param name="Items">What the region holds.</param>
internal readonly record struct CacheRegionTable(long Lap, CacheItem[] Items)
{
    private const int HeaderBytes = 64;
    private const int ItemBytes = 16;

    private static ReadOnlySpan<byte> Magic => "TCMUGCRG"u8;

    /// <summary>Length of a table: a 64th of its region.</summary>
    public static int TableBytes(int regionBytes) => regionBytes / 64;

    public static int ItemsMax(int regionBytes) => (TableBytes(regionBytes) - HeaderBytes) / ItemBytes;

    public static void Write(Span<byte> table, Guid fileId, int region, long lap, List<CacheItem> items)
    {
        table.Clear();
        Magic.CopyTo(table);
        WriteInt32LittleEndian(table[8..], region);
        WriteInt32LittleEndian(table[12..], items.Count);
        fileId.TryWriteBytes(table[16..], bigEndian: true, out _);
        WriteInt64LittleEndian(table[32..], lap);
        for (var i = 0; i < items.Count; i++)
        {
            var at = table[(HeaderBytes + (i * ItemBytes))..];
            WriteUInt64LittleEndian(at, items[i].Key);
            WriteInt32LittleEndian(at[8..], items[i].OffsetBytes);
            WriteInt32LittleEndian(at[12..], items[i].LengthBytes);
        }

        WriteUInt32LittleEndian(table[60..], Checksum(table, items.Count));
    }

    /// <summary>False for anything but a whole table of this file and region.</summary>
    public static bool TryParse(ReadOnlySpan<byte> table, Guid fileId, int region, int regionBytes, out CacheRegionTable parsed)
    {
        parsed = default;
        if (!table.StartsWith(Magic) || ReadInt32LittleEndian(table[8..]) != region || new Guid(table[16..32], bigEndian: true) != fileId) return false;
        var count = ReadInt32LittleEndian(table[12..]);
        if (count < 0 || count > ItemsMax(regionBytes) || ReadUInt32LittleEndian(table[60..]) != Checksum(table, count)) return false;
        var items = new CacheItem[count];
        for (var i = 0; i < count; i++)
        {
            var at = table[(HeaderBytes + (i * ItemBytes))..];
            items[i] = new CacheItem(ReadUInt64LittleEndian(at), ReadInt32LittleEndian(at[8..]), ReadInt32LittleEndian(at[12..]));
            if (items[i].OffsetBytes < TableBytes(regionBytes) || items[i].LengthBytes <= 0 || items[i].OffsetBytes > regionBytes - items[i].LengthBytes) return false;
        }

        parsed = new CacheRegionTable(ReadInt64LittleEndian(table[32..]), items);
        return true;
    }

    private static uint Checksum(ReadOnlySpan<byte> table, int count) =>
        Crc32C.Compute(table[HeaderBytes..(HeaderBytes + (count * ItemBytes))], Crc32C.Compute(table[..60]));
}
