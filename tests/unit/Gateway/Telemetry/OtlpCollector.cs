using System.Collections.Concurrent;
using System.Net;
using Gateway.Tests.Otlp;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace Gateway.Tests.Telemetry;

/// <summary>A collector that real exporters send to, over gRPC or HTTP, and that keeps what it got.</summary>
internal sealed class OtlpCollector : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    private readonly WebApplication _app;
    private readonly ConcurrentQueue<Metric> _metrics = new();
    private readonly ConcurrentQueue<Span> _spans = new();
    private readonly ConcurrentQueue<LogRecord> _logs = new();
    private readonly ConcurrentQueue<Resource> _resources = new();
    private readonly ConcurrentQueue<string> _headers = new();
    private readonly SemaphoreSlim _came = new(0);

    private OtlpCollector(WebApplication app) => _app = app;

    public IReadOnlyCollection<Metric> Metrics => _metrics;

    public IReadOnlyCollection<Span> Spans => _spans;

    public IReadOnlyCollection<LogRecord> Logs => _logs;

    public IReadOnlyCollection<Resource> Resources => _resources;

    /// <summary>NAME: VALUE of every request.</summary>
    public IReadOnlyCollection<string> Headers => _headers;

    public Uri Address => new(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First());

    public static async Task<OtlpCollector> StartAsync(HttpProtocols protocols = HttpProtocols.Http2)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.Services.AddGrpc();
        builder.Services.AddRoutingCore();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(k => k.Listen(IPAddress.Loopback, 0, o => o.Protocols = protocols));
        builder.Services.AddSingleton(s => s.GetRequiredService<Holder>().Collector!);
        builder.Services.AddSingleton<Holder>();
        var app = builder.Build();
        var collector = new OtlpCollector(app);
        app.Services.GetRequiredService<Holder>().Collector = collector;
        app.MapGrpcService<MetricsEnd>();
        app.MapGrpcService<TraceEnd>();
        app.MapGrpcService<LogsEnd>();
        app.MapPost("/v1/{signal}", collector.TakeHttpAsync);
        await app.StartAsync();
        return collector;
    }

    /// <summary>Returns when the collector holds what the test waits for.</summary>
    public async Task WaitAsync(Func<bool> holds, string what)
    {
        using var limit = new CancellationTokenSource(Patience);
        try
        {
            while (!holds()) await _came.WaitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            Assert.Fail($"The collector did not get {what} within {Patience}. It has {_metrics.Count} metrics, {_spans.Count} spans, {_logs.Count} log records.");
        }
    }

    public async ValueTask DisposeAsync() => await _app.DisposeAsync();

    private async Task TakeHttpAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        var content = body.ToArray();
        Note(context.Request.Headers.Select(h => (h.Key, h.Value.ToString())));
        switch ((string)context.Request.RouteValues["signal"]!)
        {
            case "metrics": Take(MetricsRequest.Parser.ParseFrom(content)); break;
            case "traces": Take(TraceRequest.Parser.ParseFrom(content)); break;
            case "logs": Take(LogsRequest.Parser.ParseFrom(content)); break;
        }

        context.Response.ContentType = "application/x-protobuf";
    }

    private void Note(IEnumerable<(string Name, string Value)> headers)
    {
        foreach (var (name, value) in headers) _headers.Enqueue($"{name}: {value}");
    }

    private void Take(MetricsRequest request)
    {
        foreach (var of in request.ResourceMetrics)
        {
            _resources.Enqueue(of.Resource);
            foreach (var metric in of.ScopeMetrics.SelectMany(s => s.Metrics)) _metrics.Enqueue(metric);
        }

        _came.Release();
    }

    private void Take(TraceRequest request)
    {
        foreach (var span in request.ResourceSpans.SelectMany(r => r.ScopeSpans).SelectMany(s => s.Spans)) _spans.Enqueue(span);
        _came.Release();
    }

    private void Take(LogsRequest request)
    {
        foreach (var record in request.ResourceLogs.SelectMany(r => r.ScopeLogs).SelectMany(s => s.Records)) _logs.Enqueue(record);
        _came.Release();
    }

    private Reply Taken(ServerCallContext context)
    {
        Note(context.RequestHeaders.Where(h => !h.IsBinary).Select(h => (h.Key, h.Value)));
        return new Reply();
    }

    private sealed class Holder
    {
        public OtlpCollector? Collector { get; set; }
    }

    private sealed class MetricsEnd(OtlpCollector collector) : MetricsService.MetricsServiceBase
    {
        public override Task<Reply> Export(MetricsRequest request, ServerCallContext context)
        {
            collector.Take(request);
            return Task.FromResult(collector.Taken(context));
        }
    }

    private sealed class TraceEnd(OtlpCollector collector) : TraceService.TraceServiceBase
    {
        public override Task<Reply> Export(TraceRequest request, ServerCallContext context)
        {
            collector.Take(request);
            return Task.FromResult(collector.Taken(context));
        }
    }

    private sealed class LogsEnd(OtlpCollector collector) : LogsService.LogsServiceBase
    {
        public override Task<Reply> Export(LogsRequest request, ServerCallContext context)
        {
            collector.Take(request);
            return Task.FromResult(collector.Taken(context));
        }
    }
}
