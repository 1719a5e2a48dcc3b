using Gateway.Volumes.Log;
using Xunit;

namespace Gateway.Volumes.Tests.Log;

public class SegmentBufferPoolTests
{
    private const int MiB = 1 << 20;

    [Fact]
    public void Rent_WhatFits_IsUsedAgain()
    {
        var pool = new SegmentBufferPool(64 * MiB);
        var (small, large) = (pool.Rent(MiB), pool.Rent(8 * MiB));
        pool.Return(large);
        pool.Return(small);

        Assert.Same(small, pool.Rent(1));
        Assert.Same(large, pool.Rent((7 * MiB) + 1));
        Assert.Equal(9 * MiB, pool.Rent((8 * MiB) + 1).Length);
    }

    [Fact]
    public void Return_MoreThanMayBeKept_KeepsTheLargest()
    {
        var pool = new SegmentBufferPool(10 * MiB);
        var buffers = new[] { 1, 4, 2, 6 }.Select(n => pool.Rent(n * MiB)).ToArray();

        foreach (var buffer in buffers) pool.Return(buffer);

        Assert.Equal(10 * MiB, pool.KeptBytes);
        Assert.Same(buffers[1], pool.Rent(1));
        Assert.Same(buffers[3], pool.Rent(1));
    }
}
