using System.Text.Json;
using System.Text.RegularExpressions;
using Xunit;

namespace Gateway.Tests.Monitoring;

/// <summary>The dashboards as files: what Grafana would accept, or show wrongly, without a word.</summary>
public sealed partial class DashboardTests
{
    private static readonly string[] Uids = ["tcmu-gateway-overview", "tcmu-gateway-volume"];

    [Fact]
    public void Dashboards_TheirIdentities_AreTheirFileNames() => Assert.Equal(Uids, Deployed.Dashboards.Select(d => Deployed.Read(d).GetProperty("uid").GetString()));

    [Fact]
    public void Panels_All_HaveAPlaceOfTheirOwn()
    {
        foreach (var dashboard in Deployed.Dashboards.Select(Deployed.Read))
        {
            var panels = dashboard.GetProperty("panels").EnumerateArray().ToArray();
            Assert.Equal(panels.Length, panels.Select(p => p.GetProperty("id").GetInt32()).Distinct().Count());
            var cells = panels.SelectMany(p => Cells(p.GetProperty("gridPos"))).ToArray();
            Assert.Equal(cells.Length, cells.Distinct().Count());
            Assert.All(cells, c => Assert.InRange(c.X, 0, 23));
        }
    }

    [Fact]
    public void Panels_WithData_HaveAUnitAndTheChosenDataSource()
    {
        foreach (var panel in Deployed.Dashboards.Select(Deployed.Read).SelectMany(d => d.GetProperty("panels").EnumerateArray()).Where(p => p.GetProperty("type").GetString() != "row"))
        {
            Assert.Equal("${datasource}", panel.GetProperty("datasource").GetProperty("uid").GetString());
            Assert.NotEmpty(panel.GetProperty("title").GetString()!);
            Assert.All(panel.GetProperty("targets").EnumerateArray(), t => Assert.NotEmpty(t.GetProperty("expr").GetString()!));
            if (panel.GetProperty("type").GetString() != "state-timeline") Assert.NotEmpty(panel.GetProperty("fieldConfig").GetProperty("defaults").GetProperty("unit").GetString()!);
        }
    }

    [Fact]
    public void Links_BetweenDashboards_LeadToOnesThatExist()
    {
        foreach (var dashboard in Deployed.Dashboards)
        {
            var links = Link().Matches(File.ReadAllText(dashboard)).Select(m => m.Groups[1].Value).Distinct().ToArray();
            Assert.NotEmpty(links);
            Assert.All(links, l => Assert.Contains(l, Uids));
        }
    }

    [Fact]
    public void Variables_ThatAreUsed_AreDefined()
    {
        foreach (var dashboard in Deployed.Dashboards)
        {
            var defined = Deployed.Read(dashboard).GetProperty("templating").GetProperty("list").EnumerateArray().Select(v => v.GetProperty("name").GetString()!).ToHashSet();
            var used = Variable().Matches(File.ReadAllText(dashboard)).Select(m => m.Groups[1].Value).Where(v => !v.StartsWith("__", StringComparison.Ordinal)).Distinct();
            Assert.All(used, v => Assert.Contains(v, defined));
        }
    }

    private static IEnumerable<(int X, int Y)> Cells(JsonElement place)
    {
        var (x, y, w, h) = (place.GetProperty("x").GetInt32(), place.GetProperty("y").GetInt32(), place.GetProperty("w").GetInt32(), place.GetProperty("h").GetInt32());
        return from column in Enumerable.Range(x, w) from line in Enumerable.Range(y, h) select (column, line);
    }

    [GeneratedRegex(@"/d/([\w-]+)")]
    private static partial Regex Link();

    [GeneratedRegex(@"\$\{?([a-z_]\w*)", RegexOptions.IgnoreCase)]
    private static partial Regex Variable();
}
