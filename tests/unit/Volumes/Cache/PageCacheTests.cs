using System.Buffers.Binary;
using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Tests.Shared;
using Gateway.Volumes.Cache;
using Gateway.Volumes.Map;
using Xunit;

namespace Gateway.Volumes.Tests.Cache;

public class PageCacheTests
{
    private const int PageBytes = PageCache.PageBytes;

    [Fact]
    public void PageCache_MoreThanItsCapacity_StaysWithinIt()
    {
        using var cache = new PageCache(100 * PageBytes, 0);

        for (var i = 0; i < 1000; i++) Add(cache, i);

        Assert.Equal(100 * PageBytes, cache.UsedBytes);
    }

    [Theory]
    [InlineData(3 * PageBytes)]
    [InlineData((3 * PageBytes) + 512)]
    [InlineData(512)]
    public void PageCache_FrameOfAnyLength_ComesOutAsItWentIn(int lengthBytes)
    {
        using var cache = new PageCache(64 * PageBytes, 0);
        var blocks = new byte[lengthBytes];
        new Random(1).NextBytes(blocks);
        cache.Add(Key(1), blocks, uint.MaxValue, isStream: false);

        using var buffer = new NativeBuffer(lengthBytes + 512);
        var list = new ScatterList();
        list.Add(buffer);

        Assert.True(cache.TryCopy(Key(1), 0, lengthBytes, list, 0, isStream: false));
        Assert.Equal(blocks, buffer.Span[..lengthBytes].ToArray());
        Assert.False(cache.TryCopy(Key(1), 0, lengthBytes + 512, list, 0, isStream: false));
        Assert.False(cache.TryCopy(Key(2), 0, 512, list, 0, isStream: false));
    }

    [Fact]
    public void PageCache_SharedByHotPagesAndAScan_KeepsTheHotOnes()
    {
        // A thousand pages of room; 600 of them are read again and again while 40,000 pages pass by once each.
        using var cache = new PageCache(1000 * PageBytes, 0);
        var random = new Random(7);
        var (hits, reads) = (0, 0);
        for (var i = 0; i < 40_000; i++)
        {
            Read(cache, 1_000_000 + i);
            var hit = Read(cache, random.Next(600));
            if (i < 5000) continue;
            reads++;
            if (hit) hits++;
        }

        // LRU would keep a hot page for 1,000 / 2 reads of others, and find it at the next read in 56 % of the cases.
        Assert.True(hits >= reads * 0.97, $"{hits} of {reads} reads of hot pages were hits.");
    }

    [Fact]
    public void PageCache_ZipfTraceWithScans_ReachesAFixedHitRatio()
    {
        using var cache = new PageCache(1000 * PageBytes, 0);
        var random = new Random(3);
        var (hits, reads) = (0, 0);
        for (var i = 0; i < 200_000; i++)
        {
            // Roughly Zipf over 20,000 pages; every tenth thousand reads is a scan of pages never read again.
            var page = i / 1000 % 10 == 9 ? 1_000_000 + i : (int)Math.Pow(20_000, random.NextDouble());
            if (Read(cache, page)) hits++;
            reads++;
        }

        // 1,000 of 20,000 pages hold ln(1,000) / ln(20,000) = 70 % of the reads that are not a scan's, which are 90 %: 63 % is what perfect knowledge gives.
        Assert.True(hits >= reads * 0.58, $"{hits} of {reads} reads were hits.");
    }

    [Fact]
    public void PageCache_SequentialData_NeverPushesOutWhatIsHot()
    {
        using var cache = new PageCache(100 * PageBytes, 50 * PageBytes);
        for (var round = 0; round < 3; round++)
            for (var i = 0; i < 80; i++) Read(cache, i);

        for (var i = 0; i < 5000; i++)
        {
            cache.Add(Key(10_000 + i), new byte[PageBytes], 0, isStream: true);
            Assert.True(Copy(cache, 10_000 + i, isStream: true));
        }

        for (var i = 0; i < 80; i++) Assert.True(Copy(cache, i));
        Assert.InRange(cache.UsedBytes, 0, 150 * PageBytes);
    }

    [Fact]
    public void PageCache_ReadAheadNotReadYet_IsSparedOnceForThatOfAFasterReader()
    {
        using var cache = new PageCache(0, 100 * PageBytes);
        for (var i = 0; i < 50; i++) cache.Add(Key(i), new byte[PageBytes], 0, isStream: true);

        for (var i = 0; i < 95; i++)
        {
            cache.Add(Key(1000 + i), new byte[PageBytes], 0, isStream: true);
            Copy(cache, 1000 + i, isStream: true);
        }

        for (var i = 0; i < 50; i++) Assert.True(Copy(cache, i, isStream: true));
    }

    [Fact]
    public void PageCache_SequentialDataReadASecondTime_IsKept()
    {
        using var cache = new PageCache(100 * PageBytes, 20 * PageBytes);
        for (var round = 0; round < 3; round++)
        {
            for (var i = 0; i < 60; i++)
            {
                if (!Copy(cache, i, isStream: true)) cache.Add(Key(i), new byte[PageBytes], 0, isStream: true);
                Copy(cache, i, isStream: true);
            }
        }

        for (var i = 0; i < 60; i++) Assert.True(Copy(cache, i));
    }

    [Fact]
    public void PageCache_PagesMoved_AreFoundUnderTheNewKey()
    {
        using var cache = new PageCache(100 * PageBytes, 0);
        var blocks = new byte[4 * PageBytes];
        new Random(5).NextBytes(blocks);
        cache.Add(Key(1), blocks, uint.MaxValue, isStream: false);

        cache.Move(Key(1), PageBytes, Key(2), 2 * PageBytes, 2 * PageBytes);
        cache.Move(Key(1), 512, Key(3), 1024, PageBytes);

        Assert.Equal(blocks[PageBytes..(3 * PageBytes)], Bytes(cache, Key(2), 2 * PageBytes, 2 * PageBytes));
        Assert.False(cache.Contains(Key(3), 1024, 512));
    }

    [Fact]
    public void PageCache_Hits_AllocateNothing()
    {
        using var cache = new PageCache(1000 * PageBytes, 0);
        using var buffer = new NativeBuffer(PageBytes);
        var list = new ScatterList();
        list.Add(buffer);
        for (var i = 0; i < 100; i++) Add(cache, i);

        Assert.Equal(0, Allocations.Least(() =>
        {
            for (var i = 0; i < 100; i++) cache.TryCopy(Key(i), 0, PageBytes, list, 0, isStream: false);
        }));
    }

    [Fact]
    public void PageCache_AddedAndEvicted_AllocatesNothing()
    {
        using var cache = new PageCache(1000 * PageBytes, 100 * PageBytes);
        var frame = new byte[8 * PageBytes];
        var next = 0;

        Assert.Equal(0, Allocations.Least(() =>
        {
            for (var i = 0; i < 500; i++) cache.Add(Key(next++), frame, 1, isStream: i % 3 == 0);
        }));
    }

    [Fact]
    public async Task PageCache_EvictedWhileItIsCopied_NeverGivesAnotherPagesBytes()
    {
        using var cache = new PageCache(64 * PageBytes, 16 * PageBytes);
        var writers = Enumerable.Range(0, 2).Select(w => Task.Run(() =>
        {
            var random = new Random(w);
            var frame = new byte[4 * PageBytes];
            for (var i = 0; i < 20_000; i++)
            {
                var number = random.Next(200);
                Fill(frame, number);
                cache.Add(Key(number), frame, 1, isStream: i % 2 == 0);
            }
        })).ToArray();
        var readers = Enumerable.Range(0, 2).Select(r => Task.Run(() =>
        {
            var random = new Random(100 + r);
            using var buffer = new NativeBuffer(4 * PageBytes);
            var list = new ScatterList();
            list.Add(buffer);
            var expected = new byte[4 * PageBytes];
            for (var i = 0; i < 20_000; i++)
            {
                var number = random.Next(200);
                if (!cache.TryCopy(Key(number), 0, 4 * PageBytes, list, 0, isStream: false)) continue;
                Fill(expected, number);
                if (!buffer.Span.SequenceEqual(expected)) throw new InvalidOperationException($"Frame {number} has another one's bytes.");
            }
        })).ToArray();

        await Task.WhenAll([.. writers, .. readers]);
    }

    [Fact]
    public void PageCache_Closed_HasNothingAndTakesNothing()
    {
        var cache = new PageCache(64 * PageBytes, 0);
        Add(cache, 1);
        cache.Dispose();

        Add(cache, 2);

        Assert.False(Copy(cache, 1));
        Assert.False(Copy(cache, 2));
    }

    private static FrameKey Key(int number) => FrameKey.Of(new SegmentLocation(number + 1, 0, 4096));

    private static void Fill(Span<byte> frame, int number)
    {
        for (var i = 0; i < frame.Length; i += 8) BinaryPrimitives.WriteInt64LittleEndian(frame[i..], ((long)number << 32) | (uint)i);
    }

    private static void Add(PageCache cache, int number) => cache.Add(Key(number), new byte[PageBytes], 1, isStream: false);

    private static bool Read(PageCache cache, int number)
    {
        if (Copy(cache, number)) return true;
        Add(cache, number);
        return false;
    }

    private static bool Copy(PageCache cache, int number, bool isStream = false)
    {
        using var buffer = new NativeBuffer(PageBytes);
        var list = new ScatterList();
        list.Add(buffer);
        return cache.TryCopy(Key(number), 0, PageBytes, list, 0, isStream);
    }

    private static byte[] Bytes(PageCache cache, FrameKey key, int offset, int length)
    {
        using var buffer = new NativeBuffer(length);
        var list = new ScatterList();
        list.Add(buffer);
        Assert.True(cache.TryCopy(key, offset, length, list, 0, isStream: false));
        return buffer.Span.ToArray();
    }
}
