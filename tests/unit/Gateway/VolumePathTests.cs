using Gateway.Configuration;
using Xunit;

namespace Gateway.Tests;

public class VolumePathTests
{
    [Fact]
    public void Parse_StoreAndVolume_GivesBoth() => Assert.Equal(new VolumePath("local", "d1"), VolumePath.Parse("local/d1"));

    [Theory]
    [InlineData("")]
    [InlineData("d1")]
    [InlineData("local/")]
    [InlineData("/d1")]
    [InlineData("a/b/c")]
    public void Parse_AnythingElse_SaysHowToWriteIt(string text) =>
        Assert.Contains("STORE/VOLUME", Assert.Throws<ConfigurationException>(() => VolumePath.Parse(text)).Message, StringComparison.Ordinal);
}
