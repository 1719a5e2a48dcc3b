using Gateway.Volumes.Frames;
using Xunit;

namespace Gateway.Volumes.Tests.Frames;

public class ZeroRunsTests
{
    private const int Page = ZeroRuns.RunMinBytes;

    [Fact]
    public void TryFind_AlignedRuns_AreFoundOneAfterTheOther()
    {
        var blocks = new byte[8 * Page];
        foreach (var used in new[] { 0, 3, 4, 7 }) blocks[(used * Page) + 100] = 1;

        Assert.Equal([(Page, 2 * Page), (5 * Page, 2 * Page)], FindAll(blocks, 0));
    }

    [Fact]
    public void TryFind_ZeroesThatFillNoAlignedPage_AreData()
    {
        var blocks = new byte[3 * Page];
        blocks[Page - 1] = blocks[2 * Page] = 1; // 4 KiB of zeroes between them, exactly.
        Assert.Equal([(Page, Page)], FindAll(blocks, 0));

        Assert.Equal([], FindAll(blocks, 512));
    }

    [Fact]
    public void TryFind_ZeroesAtTheEnds_ReachToTheEnds()
    {
        var blocks = new byte[(3 * Page) + 512];
        blocks[Page + 1000] = 1;

        // 512 bytes after a multiple of 4 KiB: the first page ends 3,584 bytes in, the one with data at 7,680.
        Assert.Equal([(7680, blocks.Length - 7680)], FindAll(blocks, 512));
    }

    [Theory]
    [InlineData(512, 512)]
    [InlineData(512, 0)]
    [InlineData(4096, 0)]
    [InlineData(4096, 1024)]
    [InlineData(128 << 10, 0)]
    public void TryFind_NothingButZeroes_IsOneRunHoweverShort(int length, int misalignment) =>
        Assert.Equal([(0, length)], FindAll(new byte[length], misalignment));

    [Fact]
    public void TryFind_NoZeroes_FindsNone() => Assert.Equal([], FindAll(SampleData.Noise(64 << 10, 1), 0));

    private static List<(int Start, int Length)> FindAll(byte[] blocks, int misalignment)
    {
        var found = new List<(int, int)>();
        for (var at = 0; ZeroRuns.TryFind(blocks, misalignment, at, out var start, out var length); at = start + length) found.Add((start, length));
        return found;
    }
}
