using Gateway.Tests.Shared;
using Gateway.Volumes.Log;
using Xunit;

namespace Gateway.Volumes.Tests.Log;

public class NetEffectTests
{
    [Fact]
    public void Compute_RandomWrites_EachBlockIsItsLastWriters()
    {
        const int Blocks = 300;
        var random = new Random(1);
        var effect = new NetEffect();
        for (var round = 0; round < 500; round++)
        {
            effect.Clear();
            var expected = new (int Write, uint Offset)?[Blocks];
            for (var i = random.Next(1, 60); i > 0; i--)
            {
                var lba = random.Next(Blocks);
                var count = random.Next(1, Math.Min(random.Next(2) == 0 ? 8 : 200, Blocks - lba) + 1);
                var write = random.Next(4) == 0 ? NetEffect.Zero : i;
                effect.Add((ulong)lba, (uint)count, write);
                for (var b = 0; b < count; b++) expected[lba + b] = (write, write == NetEffect.Zero ? 0 : (uint)b);
            }

            effect.Compute();

            var actual = new (int Write, uint Offset)?[Blocks];
            ulong end = 0;
            foreach (var run in effect.Runs)
            {
                Assert.True(run.Blocks > 0 && run.Lba >= end, "Runs are sorted, not empty, and do not overlap.");
                end = run.Lba + run.Blocks;
                for (uint b = 0; b < run.Blocks; b++) actual[(int)(run.Lba + b)] = (run.Write, run.Write == NetEffect.Zero ? 0 : run.WriteOffset + b);
            }

            Assert.Equal(expected, actual);
        }
    }

    [Fact]
    public void Compute_NeighboursOfOneWrite_AreOneRun()
    {
        var effect = new NetEffect();
        effect.Add(10, 5, 0);
        effect.Add(8, 4, 1); // Cuts the first one's head.
        effect.Add(20, 4, NetEffect.Zero);
        effect.Add(22, 6, NetEffect.Zero);

        effect.Compute();

        Assert.Equal([new NetRun(8, 4, 1, 0), new NetRun(12, 3, 0, 2), new NetRun(20, 8, NetEffect.Zero, 0)], effect.Runs.ToArray());
    }

    [Fact]
    public void Compute_LastBlocksOfTheAddressSpace_DoNotOverflow()
    {
        var effect = new NetEffect();
        effect.Add(ulong.MaxValue - 10, 10, 0);
        effect.Add(0, uint.MaxValue, NetEffect.Zero);
        effect.Add(uint.MaxValue, uint.MaxValue, NetEffect.Zero); // Too many blocks for one run.

        effect.Compute();

        Assert.Equal(
            [new NetRun(0, uint.MaxValue, NetEffect.Zero, 0), new NetRun(uint.MaxValue, uint.MaxValue, NetEffect.Zero, 0), new NetRun(ulong.MaxValue - 10, 10, 0, 0)],
            effect.Runs.ToArray());
    }

    [Fact]
    public void Compute_Warm_AllocatesNothing()
    {
        var effect = new NetEffect();
        var random = new Random(2);
        var lbas = Enumerable.Range(0, 2048).Select(_ => (ulong)random.Next(1 << 16) * 8).ToArray();

        Assert.Equal(0, Allocations.Least(() =>
        {
            effect.Clear();
            for (var i = 0; i < lbas.Length; i++) effect.Add(lbas[i], 8, i);
            effect.Compute();
        }));
    }
}
