using System.Net;
using System.Text.RegularExpressions;
using Gateway.Http;
using Gateway.Scsi;
using Gateway.Telemetry;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using OpenTelemetry.Metrics;
using Xunit;

namespace Gateway.Tests.Telemetry;

/// <summary>What Prometheus fetches.</summary>
[Collection(ProcessMeters.Name)]
public sealed partial class PrometheusTests
{
    [Fact]
    public async Task Metrics_FetchedFromAGatewayAtWork_AreInItsFormatAndHaveTheDocumentedNames()
    {
        await using var world = await TelemetryWorld.StartAsync(new Configuration.TelemetrySection());
        Assert.Equal(ScsiStatus.Good, world.Write(1024, 8, 1));
        Assert.Equal(ScsiStatus.Good, world.Flush());
        await world.Open.DrainAsync(default);
        Assert.Equal(ScsiStatus.Good, world.Read(1024, 8));

        var text = await FetchAsync(world.Services.GetRequiredService<MeterProvider>());

        var lines = text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.All(lines, l => Assert.Matches(l.StartsWith('#') ? Comment() : Sample(), l));
        var types = lines.Select(l => Comment().Match(l)).Where(m => m.Groups["type"].Success).ToDictionary(m => m.Groups["name"].Value, m => m.Groups["type"].Value);
        var once = new[] { "gateway_scsi_sense", "gateway_journal_backpressure" }; // What has not happened here.
        foreach (var row in world.Metrics.Rows.Where(r => !once.Any(o => MetricsDocument.PrometheusName(r).StartsWith(o, StringComparison.Ordinal))))
            Assert.Equal(Tag.SnakeCase(row.Kind), types.GetValueOrDefault(MetricsDocument.PrometheusName(row), $"{MetricsDocument.PrometheusName(row)} is not there"));
        var written = Assert.Single(lines, l => l.StartsWith("gateway_scsi_commands_total{", StringComparison.Ordinal) && l.Contains("gateway_scsi_command_kind=\"write\"", StringComparison.Ordinal));
        Assert.Contains("gateway_volume=\"mem/disk\"", written, StringComparison.Ordinal);
        Assert.Equal("1", Sample().Match(written).Groups["value"].Value);
    }

    private static async Task<string> FetchAsync(MeterProvider meters)
    {
        var builder = InnerWebHost.NewBuilder(NullLoggerFactory.Instance);
        builder.Services.AddRoutingCore();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(k => k.Listen(IPAddress.Loopback, 0));
        await using var app = builder.Build();
        app.MapPrometheusScrapingEndpoint("/metrics", meters, configureBranchedPipeline: null, optionsName: null);
        await app.StartAsync();
        using var client = new HttpClient();
        return await client.GetStringAsync(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First() + "/metrics");
    }

    /// <summary>Prometheus' text format, version 0.0.4: a comment with a type or a help text, or another.</summary>
    [GeneratedRegex("""^# (TYPE (?<name>[a-zA-Z_:][a-zA-Z0-9_:]*) (?<type>counter|gauge|histogram|summary|untyped)|HELP [a-zA-Z_:][a-zA-Z0-9_:]* .*|UNIT .*|EOF)$""")]
    private static partial Regex Comment();

    [GeneratedRegex("""^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*",?)*\})? (?<value>-?[0-9.eE+-]+|[+-]Inf|NaN)( -?[0-9]+)?$""")]
    private static partial Regex Sample();
}
