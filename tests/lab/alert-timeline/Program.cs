using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gateway.Tests.Shared.Monitoring;

// alert-timeline TARGET RULES MARKS-URL OUTPUT: has a real Prometheus scrape a gateway at TARGET (HOST:PORT) and evaluate RULES, prints READY, and waits for the
// end of its standard input. Then it fetches the marks of the run (see TimelineMarks), prints which alerts fired when and what is wrong with that, and writes
// OUTPUT (JSON). Exit code 0: as it should be; 1: an alert is missing, late or without a cause.
const int ScrapeSeconds = 10; // A guest in emulation may take seconds to answer.
const int EvaluateSeconds = 5;
const int StepSeconds = 1;
if (args is not [var target, var rules, var marksUrl, var output])
{
    Console.Error.WriteLine("usage: alert-timeline TARGET RULES MARKS-URL OUTPUT");
    return 64;
}

await using var prometheus = await PrometheusServer.StartAsync(new PrometheusSettings(target, rules, TimeSpan.FromSeconds(ScrapeSeconds), TimeSpan.FromSeconds(EvaluateSeconds)));
Console.WriteLine("READY");
while (await Console.In.ReadLineAsync() is not null)
{
}

using var http = new HttpClient();
var (rows, conditions) = TimelineMarks.Parse((await http.GetStringAsync(new Uri(marksUrl))).Split('\n', StringSplitOptions.RemoveEmptyEntries));
if (rows.Count == 0)
{
    Console.Error.WriteLine("The run has told of no row.");
    return 1;
}

var (from, to) = (rows[0].From, rows[^1].To);
var scraped = await prometheus.Api.QueryAsync($"up{{job=\"{PrometheusServer.Job}\"}} == 1", from, to, StepSeconds);
if (scraped.Count == 0)
{
    Console.Error.WriteLine($"Nothing was scraped from {target}.");
    return 1;
}

var series = await prometheus.Api.QueryAsync("ALERTS{alertstate=\"firing\"}", from, to, StepSeconds);
var timeline = new AlertTimeline(rows, conditions, [.. series.SelectMany(Firings).OrderBy(f => f.From)]) { NotJudged = ["TcmuGatewayLatencyBurnFast", "TcmuGatewayLatencyBurnSlow"] };
Console.WriteLine($"Alerts, as a Prometheus told that scraped the gateway every {ScrapeSeconds} s and evaluated deploy/prometheus/rules.yaml every {EvaluateSeconds} s");
Console.Write(timeline);
await File.WriteAllTextAsync(output, Json(timeline, from).ToJsonString(new JsonSerializerOptions { WriteIndented = true }) + "\n");
return timeline.Problems.Count == 0 ? 0 : 1;

// A series has a sample for each step at which the alert fired.
static IEnumerable<AlertFiring> Firings(PrometheusSeries series)
{
    var subject = string.Join(' ', new[] { "gateway_volume", "gateway_store" }.Select(l => series.Labels.GetValueOrDefault(l)).OfType<string>().DefaultIfEmpty(series.Labels.GetValueOrDefault("instance", "")));
    var start = 0;
    for (var i = 0; i < series.Samples.Count; i++)
    {
        if (i + 1 < series.Samples.Count && series.Samples[i + 1].At - series.Samples[i].At < StepSeconds * 1.5) continue;
        yield return new AlertFiring(series.Labels["alertname"], subject, series.Samples[start].At, series.Samples[i].At);
        start = i + 1;
    }
}

static JsonObject Json(AlertTimeline timeline, double from)
{
    return new JsonObject
    {
        ["ok"] = timeline.Problems.Count == 0,
        ["started"] = DateTimeOffset.FromUnixTimeMilliseconds((long)(from * 1000)).ToString("u", CultureInfo.InvariantCulture),
        ["scrape_s"] = ScrapeSeconds,
        ["not_judged"] = new JsonArray([.. timeline.NotJudged.Select(a => JsonValue.Create(a))]),
        ["rows"] = new JsonArray([.. timeline.Rows.Select(r => new JsonObject { ["row"] = r.Name, ["from_s"] = At(r.From), ["to_s"] = At(r.To) })]),
        ["conditions"] = new JsonArray([.. timeline.Conditions.Select(c => new JsonObject
        {
            ["row"] = c.Row,
            ["condition"] = c.Name,
            ["from_s"] = At(c.From),
            ["to_s"] = At(c.To),
            ["least_s"] = c.LeastSeconds,
            ["must"] = Expected(c, c.Must),
            ["may"] = Expected(c, c.May),
        })]),
        ["alerts"] = new JsonArray([.. timeline.Firings.Select(f => new JsonObject { ["alert"] = f.Alert, ["subject"] = f.Subject, ["row"] = timeline.RowAt(f.From), ["from_s"] = At(f.From), ["to_s"] = At(f.To) })]),
        ["problems"] = new JsonArray([.. timeline.Problems.Select(p => JsonValue.Create(p))]),
    };

    double At(double at) => Math.Round(at - from, 1);

    JsonArray Expected(AlertCondition condition, IReadOnlyList<string> alerts) =>
        new([.. alerts.Select(a => new JsonObject { ["alert"] = a, ["fired_after_s"] = timeline.FiredAfter(condition, a) is { } after ? Math.Round(after, 1) : null })]);
}
