using Gateway.Configuration;
using Gateway.Volumes;
using Xunit;

namespace Gateway.Tests;

/// <summary>Settings of the journal that cannot hold are refused at the start, by name, all at once.</summary>
public sealed class JournalConfigurationTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    [Theory]
    [InlineData("""{ "directory": "journals" }""", null, "journal.directory: must be an absolute path")]
    [InlineData("""{ "capacityBytes": 67108863 }""", null, "journal.capacityBytes: 67108863 is not between")]
    [InlineData("""{ "capacityBytes": 1099511627777 }""", null, "journal.capacityBytes: 1099511627777 is not between")]
    [InlineData(null, """{ "highWaterPercent": 9 }""", "volumes.highWaterPercent: must be between 10 and 100")]
    [InlineData(null, """{ "highWaterPercent": 101 }""", "volumes.highWaterPercent: must be between 10 and 100")]
    [InlineData(null, """{ "durability": "disk" }""", "durability")]
    [InlineData(null, """{ "durability": 1 }""", "durability")]
    [InlineData("""{ "directory": null }""", """{ "each": { "s/v": { "durability": "journal" } } }""", "volumes.each.s/v.durability: without a journal.directory")]
    public void Load_SettingThatCannotHold_IsRefusedByName(string? journal, string? volumes, string fault)
    {
        var refusal = Assert.Throws<ConfigurationException>(() => Load(journal, volumes));

        Assert.Contains(fault, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Load_SeveralFaults_AreAllNamed()
    {
        var refusal = Assert.Throws<ConfigurationException>(() => Load("""{ "directory": "here", "capacityBytes": 1 }""", """{ "highWaterPercent": 0 }"""));

        foreach (var name in (string[])["journal.directory", "journal.capacityBytes", "volumes.highWaterPercent"]) Assert.Contains(name, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Load_DurabilityOfOneVolume_IsThatVolumesAlone()
    {
        var configuration = Load(null, """{ "durability": "journal", "each": { "s/ledger": { "durability": "bucket" } } }""");

        Assert.Equal(Durability.Bucket, configuration.ToVolumeOptions(VolumePath.Parse("s/ledger")).Durability);
        Assert.Equal(Durability.Journal, configuration.ToVolumeOptions(VolumePath.Parse("s/other")).Durability);
    }

    public void Dispose() => File.Delete(_path);

    private GatewayConfiguration Load(string? journal, string? volumes)
    {
        File.WriteAllText(_path, $$"""{ "stores": { "s": { "type": "file", "path": "/srv/s" } }, "journal": {{journal ?? "{}"}}, "volumes": {{volumes ?? "{}"}} }""");
        return GatewayConfiguration.Load(_path);
    }
}
