using Gateway.Integration.Tests;
using k8s.Models;
using Xunit;

namespace Gateway.Helm.Tests;

/// <summary>Rules and dashboards come from files of the chart, whatever is in them.</summary>
[Trait("Category", "Helm")]
public class MonitoringTests
{
    private static readonly string[] On = ["--set", "monitoring.prometheusRule.enabled=true,monitoring.dashboards.enabled=true"];

    /// <summary>Both are full of braces that helm must leave alone.</summary>
    [SkippableFact]
    public async Task Files_WithTemplatesOfTheirOwn_ArriveAsTheyAre()
    {
        Chart.Require();
        const string Dashboard = """{"title": "{{instance}} {{ $x }}"}""";
        var copy = Directory.CreateTempSubdirectory("chart-");
        try
        {
            await Command.RunAsync("cp", ["-rL", $"{Chart.Folder}/.", copy.FullName], TimeSpan.FromMinutes(1));
            Directory.CreateDirectory(Path.Combine(copy.FullName, "files", "dashboards"));
            await File.WriteAllTextAsync(Path.Combine(copy.FullName, "files", "rules.yaml"), """
                groups:
                  - name: gateway
                    rules:
                      - alert: Away
                        expr: up == 0
                        for: 1m
                        annotations: {summary: "{{ $labels.instance }} is away for {{ humanizeDuration $value }}"}
                """);
            await File.WriteAllTextAsync(Path.Combine(copy.FullName, "files", "dashboards", "Overview.json"), Dashboard);

            var rendered = await Chart.RenderAsync(copy.FullName, "minimal", On);

            Assert.Equal("", await Chart.ValidateAsync(rendered));
            Assert.Contains("kind: PrometheusRule", rendered, StringComparison.Ordinal);
            Assert.Contains("{{ $labels.instance }} is away for {{ humanizeDuration $value }}", rendered, StringComparison.Ordinal);
            var map = Chart.Objects(rendered).OfType<V1ConfigMap>().Single(m => m.Metadata.Name == "gateway-tcmu-gateway-dashboard-overview");
            Assert.Equal(Dashboard, map.Data["Overview.json"].TrimEnd());
            Assert.Equal("1", map.Metadata.Labels["grafana_dashboard"]);
        }
        finally
        {
            copy.Delete(recursive: true);
        }
    }

    /// <summary>Those that are in the chart now, too.</summary>
    [SkippableFact]
    public async Task Files_OfTheChart_AreValid()
    {
        Chart.Require();

        var rendered = await Chart.RenderAsync("minimal", On);

        Assert.Equal("", await Chart.ValidateAsync(rendered));
        Assert.Equal(File.Exists(Path.Combine(Chart.Folder, "files", "rules.yaml")), rendered.Contains("kind: PrometheusRule", StringComparison.Ordinal));
    }
}
