using System.Globalization;
using System.Text.Json;

namespace Gateway.Tests.Shared.Monitoring;

/// <summary>One series of an answer: its labels, and its samples in order of time.</summary>
public sealed record PrometheusSeries(IReadOnlyDictionary<string, string> Labels, IReadOnlyList<(double At, double Value)> Samples);

/// <summary>An alert of the rules that were loaded.</summary>
public sealed record PrometheusAlert(string Name, string Query, string Severity, string Runbook);

/// <summary>Questions to a Prometheus server, by its HTTP API, version 1. Every fault that it tells of is an <see cref="InvalidOperationException"/>.</summary>
public sealed class PrometheusApi(Uri server) : IDisposable
{
    private readonly HttpClient _http = new() { BaseAddress = server, Timeout = TimeSpan.FromSeconds(30) };

    public async Task<bool> IsReadyAsync()
    {
        try
        {
            using var response = await _http.GetAsync(new Uri("/-/ready", UriKind.Relative));
            return response.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    /// <summary>The value of an expression now.</summary>
    public Task<IReadOnlyList<PrometheusSeries>> QueryAsync(string expression) => SeriesAsync($"/api/v1/query?query={Uri.EscapeDataString(expression)}");

    /// <summary>Its values over a time, in seconds since 1970, every <paramref name="stepSeconds"/>.</summary>
    public Task<IReadOnlyList<PrometheusSeries>> QueryAsync(string expression, double from, double to, int stepSeconds) =>
        SeriesAsync(string.Create(CultureInfo.InvariantCulture, $"/api/v1/query_range?query={Uri.EscapeDataString(expression)}&start={from:0.000}&end={to:0.000}&step={stepSeconds}"));

    /// <summary>The expressions of all rules that were loaded: recorded ones first.</summary>
    public async Task<IReadOnlyList<string>> RecordedAsync() =>
        [.. from rule in await RulesAsync() where rule.GetProperty("type").GetString() == "recording" select rule.GetProperty("query").GetString()!];

    public async Task<IReadOnlyList<PrometheusAlert>> AlertsAsync() =>
    [
        .. from rule in await RulesAsync()
           where rule.GetProperty("type").GetString() == "alerting"
           select new PrometheusAlert(
               rule.GetProperty("name").GetString()!, rule.GetProperty("query").GetString()!,
               rule.GetProperty("labels").GetProperty("severity").GetString()!, rule.GetProperty("annotations").GetProperty("runbook_url").GetString()!),
    ];

    public void Dispose() => _http.Dispose();

    private static PrometheusSeries Parse(JsonElement series)
    {
        var labels = series.GetProperty("metric").EnumerateObject().ToDictionary(l => l.Name, l => l.Value.GetString()!);
        var samples = series.TryGetProperty("values", out var values) ? values.EnumerateArray() : new[] { series.GetProperty("value") }.AsEnumerable();
        return new PrometheusSeries(labels, [.. samples.Select(s => (s[0].GetDouble(), Number(s[1].GetString()!)))]);
    }

    /// <summary>Prometheus writes numbers as text: "+Inf", "-Inf" and "NaN" are some.</summary>
    private static double Number(string text) => text switch
    {
        "+Inf" => double.PositiveInfinity,
        "-Inf" => double.NegativeInfinity,
        _ => double.Parse(text, CultureInfo.InvariantCulture),
    };

    private async Task<IReadOnlyList<PrometheusSeries>> SeriesAsync(string path)
    {
        var data = await DataAsync(path);
        if (data.GetProperty("resultType").GetString() == "scalar") return [new PrometheusSeries(new Dictionary<string, string>(), [(data.GetProperty("result")[0].GetDouble(), Number(data.GetProperty("result")[1].GetString()!))])];
        return [.. data.GetProperty("result").EnumerateArray().Select(Parse)];
    }

    private async Task<IReadOnlyList<JsonElement>> RulesAsync() =>
        [.. (await DataAsync("/api/v1/rules")).GetProperty("groups").EnumerateArray().SelectMany(g => g.GetProperty("rules").EnumerateArray())];

    private async Task<JsonElement> DataAsync(string path)
    {
        using var response = await _http.GetAsync(new Uri(path, UriKind.Relative));
        using var json = JsonDocument.Parse(await response.Content.ReadAsStreamAsync());
        if (json.RootElement.GetProperty("status").GetString() != "success") throw new InvalidOperationException($"{Uri.UnescapeDataString(path)}: {json.RootElement.GetProperty("error").GetString()}");
        return json.RootElement.GetProperty("data").Clone();
    }
}
