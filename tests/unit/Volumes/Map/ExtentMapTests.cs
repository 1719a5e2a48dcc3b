using Gateway.Volumes.Map;
using Xunit;

namespace Gateway.Volumes.Tests.Map;

public class ExtentMapTests
{
    private const int CapacityBlocks = 10_000; // Two and a half spans of 4,096 blocks.

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 20)];

    [Theory, MemberData(nameof(Seeds))]
    public void ExtentMap_RandomSetsAndRemoves_AgreesWithAnArray(int seed)
    {
        var random = new Random(seed);
        var map = new ExtentMap<Location>(CapacityBlocks, 512);
        var model = new Location?[CapacityBlocks];

        for (var step = 0; step < 2_000; step++)
        {
            var lba = random.Next(CapacityBlocks);
            var blocks = random.Next(1, Math.Min(random.Next(2) == 0 ? 20 : 6_000, CapacityBlocks - lba + 1));
            if (random.Next(4) == 0)
            {
                map.Remove((ulong)lba, (uint)blocks);
                Array.Fill(model, null, lba, blocks);
            }
            else
            {
                // Few places, so that neighbours often continue each other.
                var location = new Location(random.Next(3), lba + random.Next(2));
                map.Set((ulong)lba, (uint)blocks, location);
                for (var i = 0; i < blocks; i++) model[lba + i] = location.Advance((uint)i);
            }
        }

        AssertSame(model, map, seed);
    }

    [Fact]
    public void ExtentMap_SequentialWritesOfOneFrame_MergeIntoOneRunPerSpan()
    {
        var map = new ExtentMap<Location>(CapacityBlocks, 512);

        for (uint lba = 0; lba < 8_192; lba += 8) map.Set(lba, 8, new Location(1, (int)lba));

        Assert.Equal(2, map.RunCount);
    }

    [Fact]
    public void ExtentMap_RangePastTheCapacity_IsRefused()
    {
        var map = new ExtentMap<Location>(CapacityBlocks, 512);

        Assert.Throws<ArgumentOutOfRangeException>(() => map.Set(CapacityBlocks - 1, 2, default));
        Assert.Throws<ArgumentOutOfRangeException>(() => map.Remove(ulong.MaxValue, 1));
    }

    private static void AssertSame(Location?[] model, ExtentMap<Location> map, int seed)
    {
        for (uint lba = 0; lba < model.Length;)
        {
            var found = map.TryFind(lba, (uint)model.Length - lba, out var blocks, out var location);
            for (uint i = 0; i < blocks; i++)
                Assert.True(model[lba + i] == (found ? location.Advance(i) : null), $"Seed {seed}: block {lba + i} is {(found ? location.Advance(i) : null)}, not {model[lba + i]}.");
            lba += blocks;
        }

        Assert.Equal(model.Count(l => l is not null), map.Runs().Sum(r => r.Blocks));
        Assert.Equal(map.RunCount, map.Runs().Count());
    }

    private readonly record struct Location(int Place, int Block) : IExtentLocation<Location>
    {
        public Location Advance(uint blocks) => this with { Block = Block + (int)blocks };

        public bool IsContinuedBy(in Location next, uint blocks) => next == Advance(blocks);
    }
}
