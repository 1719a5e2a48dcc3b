using System.Text.Json;
using Gateway.Bench.Suite;
using Gateway.Configuration;
using Xunit;

namespace Gateway.Tests.Bench;

public sealed class SuiteTests
{
    [Fact]
    public void Select_UnknownFigure_NamesAllThereAre()
    {
        var failure = Assert.Throws<ConfigurationException>(() => SuiteRunner.Select("ring_null,nonsense"));

        Assert.Contains("'nonsense'", failure.Message, StringComparison.Ordinal);
        Assert.Contains("clean_80", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Select_List_KeepsItsOrder() => Assert.Equal([SuiteTarget.ReadWarm, SuiteTarget.RingNull], SuiteRunner.Select("read_warm, ring_null"));

    [Fact]
    public void EveryFigure_IsMeasuredByOneGroup() => Assert.Equal(
        SuiteTarget.All.Select(t => t.Id).Order(), SuiteGroup.All.SelectMany(g => g.Targets).Select(t => t.Id).Order());

    [Theory]
    [InlineData("ring_null", 1_000_000, true)]
    [InlineData("ring_null", 999_999, false)]
    [InlineData("ring_alloc", 0, true)]
    [InlineData("ring_alloc", 0.001, false)]
    [InlineData("clean_80", 2.8, true)]
    [InlineData("clean_80", 2.81, false)]
    public void IsMetBy_AtItsTarget_IsMet(string id, double value, bool met) => Assert.Equal(met, SuiteRunner.Select(id)[0].IsMetBy(value));

    [Fact]
    public void Serialize_Figures_HasTheReportsFields()
    {
        List<SuiteResult> results = [new("ring_null", 1_200_000, "commands/s", 1_000_000, true), new("clean_80", null, "ratio", 2.8, false)];

        using var json = JsonDocument.Parse(SuiteRunner.Serialize(results));

        Assert.Equal(["id", "value", "unit", "target", "met"], json.RootElement[0].EnumerateObject().Select(p => p.Name));
        Assert.Equal((1_200_000, true), (json.RootElement[0].GetProperty("value").GetDouble(), json.RootElement[0].GetProperty("met").GetBoolean()));
        Assert.Equal(JsonValueKind.Null, json.RootElement[1].GetProperty("value").ValueKind);
    }

    [Fact]
    public void Table_TellsMetFromMissedFromNotMeasured()
    {
        var lines = SuiteRunner.Table([new("ring_null", 1_200_000, "commands/s", 1_000_000, true), new("read_warm", 300_000, "IOPS", 400_000, false), new("clean_80", null, "ratio", 2.8, false)]).Split('\n');

        Assert.Contains(" met ", lines[0], StringComparison.Ordinal);
        Assert.Contains("MISSED", lines[1], StringComparison.Ordinal);
        Assert.Contains("not measured", lines[2], StringComparison.Ordinal);
    }
}
