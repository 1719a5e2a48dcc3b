using System.Text.Json;
using System.Text.RegularExpressions;

namespace Gateway.Tests.Shared.Monitoring;

/// <summary>One expression of a dashboard or of the rules.</summary>
/// <param name="Where">Dashboard and panel, or rule.</param>
/// <param name="Expression">As Prometheus takes it: without variables.</param>
public sealed record MonitoringQuery(string Where, string Expression);

/// <summary>Reads what Prometheus is asked by the dashboards and by the rules.</summary>
public static partial class MonitoringQueries
{
    /// <summary>All expressions of a Grafana dashboard: panels, annotations, and what its variables list.</summary>
    /// <param name="name">For people.</param>
    /// <param name="dashboard">The dashboard's JSON.</param>
    /// <param name="variables">What its variables are taken to be, by name without the dollar sign; Grafana's own among them.</param>
    public static IReadOnlyList<MonitoringQuery> OfDashboard(string name, JsonElement dashboard, IReadOnlyDictionary<string, string> variables)
    {
        var panels = from panel in dashboard.GetProperty("panels").EnumerateArray()
                     where panel.TryGetProperty("targets", out _)
                     from target in panel.GetProperty("targets").EnumerateArray()
                     select ($"{name}: {panel.GetProperty("title").GetString()}", target.GetProperty("expr").GetString()!);
        var annotations = from annotation in dashboard.GetProperty("annotations").GetProperty("list").EnumerateArray()
                          where annotation.TryGetProperty("expr", out _)
                          select ($"{name}: annotation {annotation.GetProperty("name").GetString()}", annotation.GetProperty("expr").GetString()!);
        var listed = from variable in dashboard.GetProperty("templating").GetProperty("list").EnumerateArray()
                     where variable.GetProperty("type").GetString() == "query"
                     let values = LabelValues().Match(variable.GetProperty("definition").GetString()!)
                     select ($"{name}: variable {variable.GetProperty("name").GetString()}", $"count by ({values.Groups["label"].Value}) ({values.Groups["selector"].Value})");
        return [.. panels.Concat(annotations).Concat(listed).Select(q => new MonitoringQuery(q.Item1, Fill(q.Item2, variables)))];
    }

    /// <summary>The selectors of an expression: metrics with their matchers. An alert's expression gives nothing while all is well, but its selectors must.</summary>
    public static IEnumerable<string> SelectorsOf(string expression) => Selector().Matches(Grouping().Replace(expression, "")).Select(m => m.Value);

    private static string Fill(string expression, IReadOnlyDictionary<string, string> variables) =>
        Variable().Replace(expression, m => variables.TryGetValue(m.Groups["name"].Value, out var value) ? value : throw new FormatException($"'{expression}' has a variable that is not known: {m.Value}"));

    [GeneratedRegex(@"^label_values\((?<selector>.*), (?<label>\w+)\)$")]
    private static partial Regex LabelValues();

    [GeneratedRegex(@"\$\{?(?<name>\w+)\}?")]
    private static partial Regex Variable();

    [GeneratedRegex(@"\b(by|on|without|ignoring) \([^)]*\)")]
    private static partial Regex Grouping();

    [GeneratedRegex(@"\b(gateway_[a-z0-9_:]+|dotnet_[a-z0-9_]+|up(?=\{))(\{[^}]*\})?")]
    private static partial Regex Selector();
}
