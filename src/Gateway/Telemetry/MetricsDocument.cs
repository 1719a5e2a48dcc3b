using System.Globalization;
using System.Text;

namespace Gateway.Telemetry;

/// <summary>docs/metrics.md, made of what there is.</summary>
internal static class MetricsDocument
{
    public static string Of(IReadOnlyList<MetricRow> rows)
    {
        var text = new StringBuilder();
        text.Append("""
            # Metrics

            Made from the code by `make docs`. What is listed here is served at `/metrics` of `telemetry.listen` for Prometheus, and sent by OTLP where `telemetry.otlp.endpoint` is set.

            In Prometheus a histogram is `_bucket`, `_sum` and `_count` of the name given, and a label is an attribute's name with `_` for `.`. .NET's own metrics, whose names begin with `dotnet.`, come beside these.

            Counters begin anew with a restart; those of a volume when it is opened, those of a ring when it is opened. Of more than 25,000 durations of one series in a second, histograms get every n-th: take rates from counters.

            """);
        foreach (var section in rows.GroupBy(r => r.Section))
        {
            text.Append(CultureInfo.InvariantCulture, $"\n## {section.Key}\n\n| metric | kind | unit | attributes | in Prometheus | |\n|---|---|---|---|---|---|\n");
            foreach (var row in section)
                text.Append(CultureInfo.InvariantCulture, $"| `{row.Name}` | {Tag.SnakeCase(row.Kind)} | `{row.Unit}` | {string.Join(", ", row.Attributes.Select(a => $"`{a}`"))} | `{PrometheusName(row)}` | {row.Description} |\n");
        }

        text.Append("\n## Attributes\n\n| attribute | values |\n|---|---|\n");
        foreach (var (name, values) in Tag.All) text.Append(CultureInfo.InvariantCulture, $"| `{name}` | {values} |\n");
        return text.ToString();
    }

    /// <summary>The name that Prometheus sees (OpenTelemetry's specification, Prometheus and OpenMetrics compatibility).</summary>
    public static string PrometheusName(MetricRow row)
    {
        var name = row.Name.Replace('.', '_');
        name += row.Unit switch
        {
            "s" => "_seconds",
            "By" => "_bytes",
            _ => "",
        };
        return row.Kind == MetricKind.Counter ? name + "_total" : name;
    }
}
