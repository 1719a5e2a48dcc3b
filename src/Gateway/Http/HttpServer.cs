using System.Net;
using Gateway.Configuration;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Gateway.Http;

/// <summary>
/// Serves health, the page and metrics over HTTP: what can be read without a secret. That the address cannot be had is logged, and tried
/// again; nothing else comes of it, since initiators matter more.
/// </summary>
/// <param name="telemetry">Where.</param>
/// <param name="started">When the devices are served: until then the processor is theirs.</param>
/// <param name="endpoints">What; asked for when it has started.</param>
/// <param name="time">Clock of the repetitions.</param>
/// <param name="loggers">The daemon's.</param>
internal sealed class HttpServer(TelemetrySection telemetry, Task started, Func<HttpEndpoints> endpoints, TimeProvider time, ILoggerFactory loggers) : BackgroundService
{
    /// <summary>Further connections are closed at once.</summary>
    internal const int ConnectionsMax = 64;

    internal const int RequestLineMaxBytes = 2 << 10;
    internal const int HeadersMaxBytes = 16 << 10;
    private const int HeadersMax = 64;
    private static readonly TimeSpan HeadersTimeout = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan IdleTimeout = TimeSpan.FromSeconds(75);
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(5);
    private readonly ILogger _logger = loggers.CreateLogger("Gateway.Http");

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (telemetry.Listen is not { } listen) return;
        try
        {
            await started.WaitAsync(stoppingToken);
            await using var app = await StartAsync(IPEndPoint.Parse(listen), stoppingToken);
            HttpLog.Listening(_logger, listen);
            try
            {
                await Task.Delay(Timeout.InfiniteTimeSpan, time, stoppingToken);
            }
            finally
            {
                using var limit = new CancellationTokenSource(StopTimeout, time);
                await app.StopAsync(limit.Token);
            }
        }
        catch (OperationCanceledException)
        {
            // Asked to stop.
        }
    }

    /// <summary>Listens, as soon as the address can be had: another process may be about to leave it.</summary>
    private async Task<WebApplication> StartAsync(IPEndPoint address, CancellationToken cancellationToken)
    {
        for (var attempts = 1; ; attempts++)
        {
            var app = Build(address);
            try
            {
                await app.StartAsync(cancellationToken);
                return app;
            }
            catch (Exception e)
            {
                // Whatever it is: a service that fails would end the daemon.
                await app.DisposeAsync();
                cancellationToken.ThrowIfCancellationRequested();
                if (attempts == 1) HttpLog.NotServed(_logger, address, RetryAfter, e.Message);
            }

            await Task.Delay(RetryAfter, time, cancellationToken);
        }
    }

    private WebApplication Build(IPEndPoint address)
    {
        var builder = InnerWebHost.NewBuilder(loggers);
        builder.Services.AddRoutingCore();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            Limit(kestrel.Limits);
            kestrel.Listen(address, o => o.Protocols = HttpProtocols.Http1);
        });
        var app = builder.Build();
        app.Use(new RequestRules(IPAddress.IsLoopback(address.Address)).InvokeAsync);
        endpoints().Map(app); // Path by path; a scrape of metrics, too.
        return app;
    }

    /// <summary>Enough for browsers, probes and scrapers, and little to be had for anyone who means ill.</summary>
    private static void Limit(KestrelServerLimits limits)
    {
        limits.MaxConcurrentConnections = ConnectionsMax;
        limits.MaxConcurrentUpgradedConnections = 0;
        limits.MaxRequestLineSize = RequestLineMaxBytes;
        limits.MaxRequestHeadersTotalSize = HeadersMaxBytes;
        limits.MaxRequestHeaderCount = HeadersMax;
        limits.MaxRequestBodySize = 0;
        limits.RequestHeadersTimeout = HeadersTimeout;
        limits.KeepAliveTimeout = IdleTimeout;
    }
}

/// <summary>Log events of the HTTP server, 800 to 819.</summary>
internal static partial class HttpLog
{
    [LoggerMessage(EventId = 800, EventName = "HttpListening", Level = LogLevel.Information, Message = "Health, metrics and the page are served at http://{Address}/.")]
    public static partial void Listening(ILogger logger, string address);

    [LoggerMessage(EventId = 801, EventName = "HttpNotServed", Level = LogLevel.Warning,
        Message = "Health, metrics and the page are not served at {Address}; volumes are. It is tried again every {RetryAfter}. Free that port, or set telemetry.listen to another address, or to null for none, and restart. {Reason}")]
    public static partial void NotServed(ILogger logger, IPEndPoint address, TimeSpan retryAfter, string reason);

    [LoggerMessage(EventId = 802, EventName = "SampleMissed", Level = LogLevel.Debug, Message = "A sample for the charts could not be taken.")]
    public static partial void NoSample(ILogger logger, Exception exception);
}
