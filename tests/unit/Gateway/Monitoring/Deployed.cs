using System.Text.Json;
using Gateway.Tests.Shared.Monitoring;

namespace Gateway.Tests.Monitoring;

/// <summary>The files below deploy/ that operators load into Prometheus and Grafana.</summary>
internal static class Deployed
{
    public static string Root { get; } = FindRoot();

    public static string Rules => PathOf("deploy", "prometheus", "rules.yaml");

    public static string RulesTest => PathOf("deploy", "prometheus", "rules_test.yaml");

    public static IReadOnlyList<string> Dashboards => [.. Directory.EnumerateFiles(PathOf("deploy", "grafana"), "*.json").Order(StringComparer.Ordinal)];

    public static string PathOf(params string[] parts) => Path.Combine([Root, .. parts]);

    public static JsonElement Read(string dashboard)
    {
        using var json = JsonDocument.Parse(File.ReadAllText(dashboard));
        return json.RootElement.Clone();
    }

    /// <summary>All that the dashboards ask, with these values for their variables.</summary>
    public static IReadOnlyList<MonitoringQuery> DashboardQueries(IReadOnlyDictionary<string, string> variables) =>
        [.. Dashboards.SelectMany(d => MonitoringQueries.OfDashboard(Path.GetFileNameWithoutExtension(d), Read(d), variables))];

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "Gateway.sln"))) return folder.FullName;
        throw new InvalidOperationException("Gateway.sln is not above the tests.");
    }
}
