using System.Diagnostics;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Map;

namespace Gateway.Volumes.Cache;

/// <summary>
/// Names the blocks of one frame, of one journal record, or the bytes of another blob; the five lowest bits are free to number its pages.
/// What a key names never changes: segments and other blobs are immutable, and journal positions only grow.
/// </summary>
internal readonly record struct FrameKey(ulong Value)
{
    /// <summary>Pages of the longest frame or record.</summary>
    public const int PagesMax = FrameHeader.PayloadMaxBytes / PageCache.PageBytes;

    private const int PageBits = 5;
    private const int OffsetUnitsBits = 24;
    private const ulong JournalTag = 1UL << 63;
    private const ulong OtherTag = 1UL << 62;

    /// <summary>The frame at a place in a segment: sequence (32 bits), offset in units of 16 bytes (24 bits).</summary>
    public static FrameKey Of(in SegmentLocation location) => new(
        ((((ulong)location.Sequence << OffsetUnitsBits) | (uint)(location.FrameOffsetBytes / FrameHeader.AlignmentBytes)) << PageBits) & ~(JournalTag | OtherTag));

    /// <summary>The record whose data is at a position in the journal, below 2^58.</summary>
    public static FrameKey Of(in JournalLocation location)
    {
        Debug.Assert(!location.IsZero, "Zeroes are nowhere.");
        return new(JournalTag | ((ulong)location.DataPosition << PageBits));
    }

    /// <summary>A range of a blob other than a segment, by its name's hash: two may share a key, so what is found must be checked.</summary>
    public static FrameKey Of(string blob, long offsetBytes)
    {
        // FNV-1a, 64 bits: stable over restarts, since the key goes into the cache file.
        var hash = 14695981039346656037UL;
        foreach (var c in blob) hash = (hash ^ c) * 1099511628211UL;
        for (var shift = 0; shift < 64; shift += 8) hash = (hash ^ (byte)(offsetBytes >> shift)) * 1099511628211UL;
        return new(((hash << PageBits) & ~JournalTag) | OtherTag);
    }

    /// <summary>The key of one of its pages.</summary>
    public ulong Page(int index) => Value + (uint)index;

    /// <summary>Spreads a key over 64 bits: neighbours differ in all of them.</summary>
    public static ulong Mix(ulong key)
    {
        key = (key ^ (key >> 33)) * 0xFF51AFD7ED558CCDUL;
        key = (key ^ (key >> 29)) * 0xC4CEB9FE1A85EC53UL;
        return key ^ (key >> 32);
    }
}
