using Gateway.Volumes.Cache;
using Xunit;

namespace Gateway.Volumes.Tests.Cache;

public class FrameCacheTests
{
    [Fact]
    public void FrameCache_MoreThanItsCapacity_StaysWithinIt()
    {
        var cache = new FrameCache(1000);

        for (var i = 0; i < 100; i++) cache.Add(new FrameKey(1, i), new byte[100]);

        Assert.Equal(1000, cache.UsedBytes);
    }

    [Fact]
    public void FrameCache_ScanPassing_KeepsWhatIsReadAgain()
    {
        var cache = new FrameCache(1000);
        for (var i = 0; i < 5; i++) cache.Add(new FrameKey(0, i), new byte[100]);

        for (var i = 0; i < 200; i++)
        {
            cache.Add(new FrameKey(1, i), new byte[100]);
            cache.TryGet(new FrameKey(0, i % 5), out _);
        }

        for (var i = 0; i < 5; i++) Assert.True(cache.TryGet(new FrameKey(0, i), out _));
    }

    [Fact]
    public void FrameCache_EntryLargerThanIt_IsNotKept()
    {
        var cache = new FrameCache(99);

        cache.Add(new FrameKey(0, 0), new byte[100]);

        Assert.False(cache.TryGet(new FrameKey(0, 0), out _));
    }
}
