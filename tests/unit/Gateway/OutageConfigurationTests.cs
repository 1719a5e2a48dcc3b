using Gateway.Configuration;
using Gateway.Serving;
using Xunit;

namespace Gateway.Tests;

/// <summary>The policy for long outages of all volumes and of one, and what is refused.</summary>
public sealed class OutageConfigurationTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    [Fact]
    public void Load_NoSettings_RetriesAndCallsTenMinutesLong() =>
        Assert.Equal(new OutageOptions(LongOutagePolicy.Retry, TimeSpan.FromMinutes(10)), Load("{}").ToOutageOptions(new("s", "v")));

    [Fact]
    public void Load_OfAllAndOfOne_EachSettingOfItsOwnCounts()
    {
        var configuration = Load("""{ "onLongOutage": "readOnly", "longOutageSeconds": 30, "each": { "s/a": { "onLongOutage": "fail" }, "s/b": { "longOutageSeconds": 40 } } }""");

        Assert.Equal(new OutageOptions(LongOutagePolicy.Fail, TimeSpan.FromSeconds(30)), configuration.ToOutageOptions(new("s", "a")));
        Assert.Equal(new OutageOptions(LongOutagePolicy.ReadOnly, TimeSpan.FromSeconds(40)), configuration.ToOutageOptions(new("s", "b")));
        Assert.Equal(new OutageOptions(LongOutagePolicy.ReadOnly, TimeSpan.FromSeconds(30)), configuration.ToOutageOptions(new("s", "c")));
    }

    [Theory]
    [InlineData("""{ "onLongOutage": "wait" }""", "onLongOutage")]
    [InlineData("""{ "onLongOutage": 1 }""", "onLongOutage")]
    [InlineData("""{ "longOutageSeconds": 9 }""", "volumes.longOutageSeconds: must be between 10 and 604800")]
    [InlineData("""{ "each": { "s/v": { "longOutageSeconds": 1e9 } } }""", "volumes.each.s/v.longOutageSeconds: must be")]
    public void Load_WrongSetting_IsRefusedByName(string volumes, string fault) =>
        Assert.Contains(fault, Assert.Throws<ConfigurationException>(() => Load(volumes)).Message, StringComparison.Ordinal);

    public void Dispose() => File.Delete(_path);

    private GatewayConfiguration Load(string volumes)
    {
        File.WriteAllText(_path, $$"""{ "stores": { "s": { "type": "file", "path": "/srv/s" } }, "volumes": {{volumes}} }""");
        return GatewayConfiguration.Load(_path);
    }
}
