using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Gateway.Control;
using Gateway.Health;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using OpenTelemetry.Metrics;

namespace Gateway.Http;

/// <summary>Everything that is served over HTTP, path by path. All of it is read-only, and holds no secret.</summary>
/// <param name="health">What probes are told.</param>
/// <param name="control">The daemon's status, as the control API has it.</param>
/// <param name="events">What the daemon has logged.</param>
/// <param name="history">What the charts show.</param>
/// <param name="meters">What Prometheus fetches; null: nothing.</param>
internal sealed class HttpEndpoints(HealthWatch health, ControlService control, EventLog events, SampleHistory history, MeterProvider? meters = null)
{
    /// <summary>Events of one answer.</summary>
    internal const int EventsMax = 200;

    private static readonly string[] Reading = [HttpMethods.Get, HttpMethods.Head];

    /// <summary>Maps the paths. Handlers are plain delegates: what binds parameters by reflection cannot be compiled ahead of time.</summary>
    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapMethods("/livez", Reading, LivenessAsync);
        routes.MapMethods("/readyz", Reading, ReadinessAsync);
        if (meters is not null) routes.MapPrometheusScrapingEndpoint("/metrics", meters, configureBranchedPipeline: null, optionsName: null);
        routes.MapMethods("/api/status", Reading, context => JsonAsync(context, Views.Of(control.Now(), health.Latest, history), HttpJson.Default.StatusView));
        routes.MapMethods("/api/history", Reading, HistoryAsync);
        routes.MapMethods("/api/events", Reading, context => JsonAsync(context, Views.Of(events.After(AfterOf(context), EventsMax)), HttpJson.Default.EventsView));
        foreach (var (path, file) in PageFile.All) routes.MapMethods(path, Reading, context => PageAsync(context, file));
    }

    /// <summary>200, or 503 if only a restart helps.</summary>
    private Task LivenessAsync(HttpContext context)
    {
        var reason = health.Latest.NotLive;
        context.Response.StatusCode = reason is null ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
        context.Response.ContentType = "text/plain; charset=utf-8";
        return context.Response.WriteAsync((reason ?? "ok") + "\n");
    }

    /// <summary>200 for "ok" and "degraded", 503 for "unready"; why, volume by volume, as JSON.</summary>
    private Task ReadinessAsync(HttpContext context)
    {
        var report = health.Latest;
        if (report.Status == HealthStatus.Unready) context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
        return JsonAsync(context, Views.Of(report), HttpJson.Default.ReadinessView);
    }

    private Task HistoryAsync(HttpContext context)
    {
        var device = context.Request.Query["device"].ToString() is { Length: > 0 } name ? name : null;
        return JsonAsync(context, Views.Of(device, history.After(device, AfterOf(context))), HttpJson.Default.HistoryView);
    }

    /// <summary>The sequence number that the reader knows already; 0 if it says none.</summary>
    private static long AfterOf(HttpContext context) => long.TryParse(context.Request.Query["after"], NumberStyles.None, CultureInfo.InvariantCulture, out var after) ? after : 0;

    private static Task PageAsync(HttpContext context, PageFile file)
    {
        context.Response.Headers.CacheControl = "no-cache"; // To be asked for again each time, which the tag makes cheap.
        context.Response.Headers.ETag = file.ETag;
        if (context.Request.Headers.IfNoneMatch == file.ETag)
        {
            context.Response.StatusCode = StatusCodes.Status304NotModified;
            return Task.CompletedTask;
        }

        return BytesAsync(context, file.Content, file.ContentType);
    }

    private static Task JsonAsync<T>(HttpContext context, T view, JsonTypeInfo<T> type) => BytesAsync(context, JsonSerializer.SerializeToUtf8Bytes(view, type), "application/json; charset=utf-8");

    private static async Task BytesAsync(HttpContext context, byte[] content, string contentType)
    {
        context.Response.ContentType = contentType;
        context.Response.ContentLength = content.Length;
        if (HttpMethods.IsGet(context.Request.Method)) await context.Response.Body.WriteAsync(content, context.RequestAborted);
    }
}
