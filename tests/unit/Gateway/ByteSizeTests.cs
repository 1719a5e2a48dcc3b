using Gateway.Cli;
using Xunit;

namespace Gateway.Tests;

public class ByteSizeTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("1048576", 1 << 20)]
    [InlineData("512MiB", 512L << 20)]
    [InlineData("512 mib", 512L << 20)]
    [InlineData("1.5TiB", 3L << 39)]
    [InlineData("20GB", 20_000_000_000)]
    [InlineData("4K", 4096)]
    [InlineData("7B", 7)]
    public void TryParse_WhatPeopleWrite_GivesBytes(string text, long bytes)
    {
        Assert.True(ByteSize.TryParse(text, out var parsed));
        Assert.Equal(bytes, parsed);
    }

    [Theory]
    [InlineData("")]
    [InlineData("MiB")]
    [InlineData("-1")]
    [InlineData("1.3B")]
    [InlineData("1e9")]
    [InlineData("1,000")]
    [InlineData("9999999999TiB")]
    public void TryParse_WhatIsNoSize_IsRefused(string text) => Assert.False(ByteSize.TryParse(text, out _));

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1536, "1.5 KiB")]
    [InlineData(1L << 40, "1 TiB")]
    public void Format_Bytes_ReadsWell(long bytes, string text) => Assert.Equal(text, ByteSize.Format(bytes));
}
