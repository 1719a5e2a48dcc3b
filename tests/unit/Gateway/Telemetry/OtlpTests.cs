using System.Globalization;
using Gateway.Backends.Core;
using Gateway.Configuration;
using Gateway.Scsi;
using Gateway.Tcmu.Simulation;
using Gateway.Telemetry;
using Gateway.Tests.Otlp;
using Gateway.Volumes;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Gateway.Tests.Telemetry;

/// <summary>What a collector gets of a gateway that works: metrics, traces and logs, over real connections.</summary>
[Collection(ProcessMeters.Name)]
public sealed class OtlpTests
{
    [Fact]
    public async Task Metrics_OfAGatewayAtWork_AreAllThatAreDocumented()
    {
        await using var collector = await OtlpCollector.StartAsync();
        await using var world = await TelemetryWorld.StartAsync(To(collector), highWaterPercent: 10);
        var rows = world.Metrics.Rows;

        await DoEverythingAsync(world);
        await collector.WaitAsync(() => rows.All(r => collector.Metrics.Any(m => m.Name == r.Name)), "all metrics: " + string.Join(", ", rows.Select(r => r.Name).Except(collector.Metrics.Select(m => m.Name))));

        foreach (var row in rows)
        {
            var metric = collector.Metrics.Last(m => m.Name == row.Name);
            Assert.Equal(row.Unit, metric.Unit);
            Assert.Equal(row.Kind, metric.DataCase switch { Metric.DataOneofCase.Gauge => MetricKind.Gauge, Metric.DataOneofCase.Histogram => MetricKind.Histogram, _ => MetricKind.Counter });
            Assert.All(AttributesOf(metric), a => Assert.Subset(row.Attributes.ToHashSet(), a.Select(k => k.Key).ToHashSet()));
        }

        Assert.Contains(collector.Metrics, m => m.Name.StartsWith("dotnet.", StringComparison.Ordinal));
        Assert.Contains(collector.Resources, r => r.Attributes.Any(a => a.Key == "service.name" && a.Value.StringValue == "tcmu-gateway"));
    }

    [Fact]
    public async Task Metrics_OfCountedCommands_HaveTheirNumbers()
    {
        await using var collector = await OtlpCollector.StartAsync();
        await using var world = await TelemetryWorld.StartAsync(To(collector));

        for (uint i = 0; i < 10; i++) Assert.Equal(ScsiStatus.Good, world.Write(i * 8, 8, (byte)i));
        Assert.Equal(ScsiStatus.Good, world.Read(0, 8));
        Assert.Equal(SenseKey.IllegalRequest, world.Run(TelemetryWorld.Cdb(0x28, 0x7FFFFFFF, 1), DataDirection.FromDevice, 4096).Key);
        await collector.WaitAsync(() => Numbers("gateway.scsi.sense").Any(), "the sense data");

        Assert.Equal(10, Last("gateway.scsi.commands", "write"));
        Assert.Equal(10 * 8 * 4096, Last("gateway.scsi.io", "write"));
        var durations = collector.Metrics.Last(m => m.Name == "gateway.scsi.command.duration").Histogram.Points.Single(p => Has(p.Attributes, "write"));
        Assert.Equal((10UL, 2), (durations.Count, durations.ExplicitBounds.Count > 10 ? 2 : 0));
        var sense = Numbers("gateway.scsi.sense").Last();
        Assert.Equal(["mem/disk", "illegal_request", "21", "00"], sense.Attributes.Select(a => a.Value.StringValue).OrderBy(v => Array.IndexOf(["mem/disk", "illegal_request", "21", "00"], v)));

        IEnumerable<NumberPoint> Numbers(string name) => collector.Metrics.Where(m => m.Name == name).SelectMany(m => m.Sum.Points);

        double Last(string name, string attribute) => Numbers(name).Last(p => Has(p.Attributes, attribute)).AsInt;
    }

    [Fact]
    public async Task Trace_OfASampledColdRead_GoesFromTheRingToTheStore()
    {
        await using var collector = await OtlpCollector.StartAsync();
        await using var world = await TelemetryWorld.StartAsync(To(collector, ratio: 1));
        world.Write(1024, 8, 1);
        world.Flush();
        await world.Open.DrainAsync(default);

        world.Read(1024, 8);
        await collector.WaitAsync(() => collector.Spans.Any(s => s.Name == "scsi read") && collector.Spans.Any(s => s.Name == "store get"), "the read's spans");

        var root = collector.Spans.Last(s => s.Name == "scsi read");
        Assert.Empty(root.ParentSpanId);
        Assert.Equal("sampled", Value(root, "gateway.trace.reason"));
        var of = collector.Spans.Where(s => s.TraceId == root.TraceId).ToLookup(s => s.Name);
        Assert.Equal(root.SpanId, Assert.Single(of["cache miss"]).ParentSpanId);
        var fetch = Assert.Single(of["cache fetch"]);
        Assert.Equal(root.SpanId, fetch.ParentSpanId);
        var request = Assert.Single(of["store get"]);
        Assert.Equal((fetch.SpanId, 3), (request.ParentSpanId, request.Kind)); // SPAN_KIND_CLIENT
        Assert.Equal(["attempt"], request.Events.Select(e => e.Name));
        Assert.All(of.SelectMany(s => s), s => Assert.True(s.StartTimeUnixNano <= s.EndTimeUnixNano));
    }

    [Fact]
    public async Task Trace_OfASampledWriteAndFlush_NamesWhatTheyWaitedFor()
    {
        await using var collector = await OtlpCollector.StartAsync();
        await using var world = await TelemetryWorld.StartAsync(To(collector, ratio: 1));

        world.Write(0, 8, 1);
        world.Flush();
        await collector.WaitAsync(() => collector.Spans.Any(s => s.Name == "journal append") && collector.Spans.Any(s => s.Name == "flush wait"), "the spans of a write and a flush");

        Assert.Equal("scsi write", RootOf("journal append").Name);
        Assert.Equal("scsi flush", RootOf("flush wait").Name);

        Span RootOf(string stage) => collector.Spans.Single(r => r.ParentSpanId.IsEmpty && r.TraceId == collector.Spans.First(s => s.Name == stage).TraceId);
    }

    [Fact]
    public async Task Trace_OfASlowReadThatWasNotSampled_IsKeptAndThoseOfFastOnesAreNot()
    {
        await using var collector = await OtlpCollector.StartAsync();
        await using var world = await TelemetryWorld.StartAsync(To(collector, ratio: 0, slowMilliseconds: 5000));
        world.Write(1024, 8, 1);
        await world.Open.DrainAsync(default);
        world.Faults.BeforeRequest = (request, _, cancellation) => request == "read" ? new ValueTask(Task.Delay(TimeSpan.FromSeconds(5.5), TimeProvider.System, cancellation)) : default;

        world.Read(1024, 8);
        await collector.WaitAsync(() => collector.Spans.Any(s => s.Name == "cache fetch"), "the slow read's spans");

        var root = Assert.Single(collector.Spans, s => s.ParentSpanId.IsEmpty);
        Assert.Equal(("scsi read", "slow"), (root.Name, Value(root, "gateway.trace.reason")));
        Assert.True(root.EndTimeUnixNano - root.StartTimeUnixNano >= 5_000_000_000);
        Assert.All(collector.Spans, s => Assert.Equal(root.TraceId, s.TraceId));
    }

    [Fact]
    public async Task Logs_OfAnEvent_HaveItsNameAndValues()
    {
        await using var collector = await OtlpCollector.StartAsync();
        await using var world = await TelemetryWorld.StartAsync(To(collector));

        await collector.WaitAsync(() => collector.Logs.Any(l => l.EventName == "VolumeOpened"), "the log record of the opening");

        var record = collector.Logs.First(l => l.EventName == "VolumeOpened");
        Assert.Equal("disk", record.Attributes.Single(a => a.Key == "Volume").Value.StringValue);
        Assert.Contains("Volume disk (", record.Body.StringValue, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Http_WithHeadersOfAFile_CarriesThemAndNothingElseHasThem()
    {
        const string Secret = "5d41402abc4b2a76";
        var file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, $"x-token={Secret}\n");
        await using var collector = await OtlpCollector.StartAsync(HttpProtocols.Http1);
        var telemetry = To(collector, ratio: 1);
        telemetry.Otlp.Protocol = OtlpProtocol.Http;
        telemetry.Otlp.HeadersFile = file;
        await using var world = await TelemetryWorld.StartAsync(telemetry);

        world.Write(0, 8, 1);
        await collector.WaitAsync(() => !collector.Metrics.Skip(0).All(m => m.Name != "gateway.scsi.commands") && collector.Spans.Count > 0 && collector.Logs.Count > 0, "metrics, a span and a log record");

        Assert.Contains($"x-token: {Secret}", collector.Headers);
        Assert.DoesNotContain(Secret, string.Join('\n', collector.Metrics), StringComparison.Ordinal);
        Assert.DoesNotContain(Secret, string.Join('\n', collector.Spans), StringComparison.Ordinal);
        Assert.DoesNotContain(Secret, string.Join('\n', collector.Logs), StringComparison.Ordinal);
        File.Delete(file);
    }

    [Fact]
    public async Task Variables_OfOpenTelemetry_HoldWhereNothingIsSet()
    {
        await using var collector = await OtlpCollector.StartAsync();
        var variables = new Dictionary<string, string> { ["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.Address.ToString(), ["OTEL_RESOURCE_ATTRIBUTES"] = "deployment.environment.name=lab" };
        var telemetry = new TelemetrySection();
        telemetry.Otlp.MetricsEverySeconds = 0.2;

        await using var world = await TelemetryWorld.StartAsync(telemetry, variables);
        await collector.WaitAsync(() => collector.Metrics.Count > 0, "metrics");

        Assert.Contains(collector.Resources, r => r.Attributes.Any(a => a.Key == "deployment.environment.name" && a.Value.StringValue == "lab"));
    }

    [Fact]
    public async Task Nothing_WithoutACollector_IsTraced()
    {
        await using var world = await TelemetryWorld.StartAsync(new TelemetrySection());

        Assert.Equal(ScsiStatus.Good, world.Write(0, 8, 1));

        Assert.Null(world.Services.GetService<CommandTracing>());
    }

    private static TelemetrySection To(OtlpCollector collector, double ratio = 0, double slowMilliseconds = 600_000) => new()
    {
        Otlp = new OtlpSection { Endpoint = collector.Address.ToString(), MetricsEverySeconds = 0.3 },
        Traces = new TracesSection { Ratio = ratio, SlowMilliseconds = slowMilliseconds },
    };

    /// <summary>Has something happen for every metric.</summary>
    private static async Task DoEverythingAsync(TelemetryWorld world)
    {
        var held = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        world.Faults.BeforeRequest = (request, key, _) => request == "put" && key.Contains("/log/", StringComparison.Ordinal) ? new ValueTask(held.Task) : default;
        for (uint i = 0; i < 40; i++) Assert.Equal(ScsiStatus.Good, world.Write(i * 64, 64, (byte)i)); // 10 MiB, more than a tenth of the journal: held back.
        held.SetResult();
        world.Faults.BeforeRequest = null;
        Assert.Equal(ScsiStatus.Good, world.Flush());
        await world.Open.DrainAsync(default);
        Assert.Equal(ScsiStatus.Good, world.Read(1024, 8));
        world.Run(TelemetryWorld.Cdb(0x28, 0x7FFFFFFF, 1), DataDirection.FromDevice, 4096); // LOGICAL BLOCK ADDRESS OUT OF RANGE
    }

    private static IEnumerable<IEnumerable<KeyValue>> AttributesOf(Metric metric) => metric.DataCase switch
    {
        Metric.DataOneofCase.Gauge => metric.Gauge.Points.Select(p => p.Attributes),
        Metric.DataOneofCase.Histogram => metric.Histogram.Points.Select(p => p.Attributes),
        _ => metric.Sum.Points.Select(p => p.Attributes),
    };

    private static bool Has(IEnumerable<KeyValue> attributes, string value) => attributes.Any(a => a.Value.StringValue == value);

    private static string? Value(Span span, string key) => span.Attributes.FirstOrDefault(a => a.Key == key)?.Value.StringValue;
}
