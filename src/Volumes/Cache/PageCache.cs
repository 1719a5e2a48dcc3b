using System.Numerics;
using Gateway.Scsi;
using Gateway.Volumes.Interop;

namespace Gateway.Volumes.Cache;

/// <summary>
/// Recently read blocks in memory, proved and in plain form, as pages of 4 KiB of a frame or journal record: the hot pages of a large
/// frame stay without the rest of it. Bounded; scan resistant (<see cref="PageCacheShard"/>).
/// </summary>
/// <remarks>Thread safe. Nothing is allocated per operation; the pages are outside the managed heap and cost memory once they are used.</remarks>
internal sealed class PageCache : IDisposable
{
    public const int PageBytes = 4096;

    private const int ShardsMax = 16;
    private const int ShardPagesMin = 1024;

    private readonly NativeArena? _arena;
    private readonly PageCacheShard[] _shards;

    /// <param name="capacityBytes">Bytes of pages kept; 0 for none.</param>
    /// <param name="streamBytes">Bytes kept beside that for sequential readers; 0 for none.</param>
    public PageCache(long capacityBytes, long streamBytes)
    {
        var pages = (int)Math.Min(capacityBytes / PageBytes, int.MaxValue / 4);
        var streamPages = (int)Math.Min(streamBytes / PageBytes, int.MaxValue / 4);
        CapacityBytes = (long)pages * PageBytes;
        StreamBytes = (long)streamPages * PageBytes;
        // No shard is so small that chance fills it while others are empty.
        var shards = (int)Math.Clamp(BitOperations.RoundUpToPowerOf2((uint)((pages + streamPages) / ShardPagesMin)), 1, ShardsMax);
        var (perShard, streamPerShard) = (pages / shards, streamPages / shards);
        if (perShard + streamPerShard > 0) _arena = new NativeArena((long)shards * (perShard + streamPerShard) * PageBytes);
        _shards = new PageCacheShard[_arena is null ? 0 : shards];
        for (var i = 0; i < _shards.Length; i++)
            _shards[i] = new PageCacheShard(_arena!, (long)i * (perShard + streamPerShard) * PageBytes, perShard, streamPerShard);
    }

    public long CapacityBytes { get; }

    public long StreamBytes { get; }

    /// <summary>Bytes of pages held.</summary>
    public long UsedBytes => _shards.Sum(s => (long)s.Count * PageBytes);

    /// <summary>A bit for each page that a part of a frame's blocks touches.</summary>
    public static uint PagesOf(int offsetBytes, int lengthBytes)
    {
        var (first, last) = (offsetBytes / PageBytes, (offsetBytes + lengthBytes - 1) / PageBytes);
        return (uint)(((2UL << (last - first)) - 1) << first);
    }

    /// <summary>Copies a part of a frame's blocks out; false if not all of it is here: the destination then holds some of it.</summary>
    /// <param name="frame">The frame.</param>
    /// <param name="offsetBytes">Where the part starts in the frame's blocks.</param>
    /// <param name="lengthBytes">Its length.</param>
    /// <param name="destination">Where to.</param>
    /// <param name="destinationOffsetBytes">Where to in it.</param>
    /// <param name="isStream">A sequential reader asks: its reads say little about what will be read again.</param>
    public bool TryCopy(FrameKey frame, int offsetBytes, int lengthBytes, ScatterList destination, int destinationOffsetBytes, bool isStream)
    {
        if (_shards.Length == 0) return false;
        while (lengthBytes > 0)
        {
            var (page, offset) = Math.DivRem(offsetBytes, PageBytes);
            var length = Math.Min(lengthBytes, PageBytes - offset);
            var key = frame.Page(page);
            var hash = FrameKey.Mix(key);
            if (!ShardOf(hash).TryCopy(key, hash, offset, length, destination, destinationOffsetBytes, isStream)) return false;
            offsetBytes += length;
            destinationOffsetBytes += length;
            lengthBytes -= length;
        }

        return true;
    }

    /// <summary>True if all of a part of a frame's blocks is here. This does not count as reading it.</summary>
    public bool Contains(FrameKey frame, int offsetBytes, int lengthBytes)
    {
        if (_shards.Length == 0) return false;
        for (var end = offsetBytes + lengthBytes; offsetBytes < end;)
        {
            var (page, offset) = Math.DivRem(offsetBytes, PageBytes);
            var length = Math.Min(end - offsetBytes, PageBytes - offset);
            var key = frame.Page(page);
            var hash = FrameKey.Mix(key);
            if (!ShardOf(hash).Contains(key, hash, offset + length)) return false;
            offsetBytes += length;
        }

        return true;
    }

    /// <summary>Takes all blocks of a frame in.</summary>
    /// <param name="frame">The frame.</param>
    /// <param name="blocks">Its blocks, from the first to the last.</param>
    /// <param name="requestedPages">A bit for each page that a command asked for.</param>
    /// <param name="isStream">It was fetched for a sequential reader.</param>
    public void Add(FrameKey frame, ReadOnlySpan<byte> blocks, uint requestedPages, bool isStream)
    {
        if (_shards.Length == 0) return;
        for (var page = 0; !blocks.IsEmpty; page++)
        {
            var content = blocks[..Math.Min(PageBytes, blocks.Length)];
            var requested = (requestedPages & (1u << page)) != 0;
            var key = frame.Page(page);
            var hash = FrameKey.Mix(key);
            ShardOf(hash).Add(key, hash, content, isStream ? PageOrigin.Stream : requested ? PageOrigin.Requested : PageOrigin.Neighbour);
            blocks = blocks[content.Length..];
        }
    }

    /// <summary>Gives pages of one frame or record another key: their bytes are now also there. Only whole pages on both sides move.</summary>
    public void Move(FrameKey from, int fromOffsetBytes, FrameKey to, int toOffsetBytes, int lengthBytes)
    {
        if (_shards.Length == 0 || (fromOffsetBytes - toOffsetBytes) % PageBytes != 0) return;
        Span<byte> content = stackalloc byte[PageBytes];
        var skip = (PageBytes - (fromOffsetBytes % PageBytes)) % PageBytes;
        for (var done = skip; done + PageBytes <= lengthBytes; done += PageBytes)
        {
            var key = from.Page((fromOffsetBytes + done) / PageBytes);
            var hash = FrameKey.Mix(key);
            if (!ShardOf(hash).TryTake(key, hash, content, out var frequency)) continue;
            key = to.Page((toOffsetBytes + done) / PageBytes);
            hash = FrameKey.Mix(key);
            ShardOf(hash).PutBack(key, hash, content, frequency);
        }
    }

    public void Dispose()
    {
        foreach (var shard in _shards) shard.Close();
        _arena?.Dispose();
    }

    private PageCacheShard ShardOf(ulong hash) => _shards[(int)(hash >> 40) & (_shards.Length - 1)];
}
