using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Gateway.Configuration;
using Gateway.Http;
using Grpc.HealthCheck;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Gateway.Control;

/// <summary>Serves the control API. That it cannot be served is logged, and nothing else: initiators matter more.</summary>
/// <param name="configuration">Where.</param>
/// <param name="started">When the devices are served: until then the processor is theirs.</param>
/// <param name="service">The API.</param>
/// <param name="loggers">The daemon's.</param>
/// <param name="health">The standard health service, served beside it.</param>
internal sealed class ControlServer(GatewayConfiguration configuration, Task started, ControlService service, ILoggerFactory loggers, HealthServiceImpl? health = null) : BackgroundService
{
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2"; // RFC 5280, 4.2.1.12.
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(1);
    private readonly ILogger _logger = loggers.CreateLogger("Gateway.Control");

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (configuration.Control is { Socket: null, Listen: null }) return;
        try
        {
            await started.WaitAsync(stoppingToken);
            await using var app = Build();
            await app.StartAsync(stoppingToken);
            ControlLog.Listening(_logger, configuration.Control.Socket, configuration.Control.Listen);
            try
            {
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, stoppingToken);
            }
            finally
            {
                service.Stop(); // Ends what would be watched for ever.
                using var limit = new CancellationTokenSource(StopTimeout, TimeProvider.System);
                await app.StopAsync(limit.Token);
            }
        }
        catch (OperationCanceledException)
        {
            // Asked to stop.
        }
        catch (Exception e) when (e is IOException or CryptographicException or UnauthorizedAccessException or InvalidOperationException or System.Net.Sockets.SocketException)
        {
            ControlLog.NotServed(_logger, e.Message);
        }
    }

    private WebApplication Build()
    {
        var control = configuration.Control;
        var builder = InnerWebHost.NewBuilder(loggers);
        builder.Services.AddGrpc(o => o.MaxReceiveMessageSize = 1 << 20);
        builder.Services.AddSingleton(service);
        if (health is not null) builder.Services.AddSingleton(health);
        builder.WebHost.UseKestrelCore();
        if (control.Listen is not null) builder.WebHost.UseKestrelHttpsConfiguration();
        builder.Services.Configure<SocketTransportOptions>(o => o.CreateBoundListenSocket = end =>
            end is System.Net.Sockets.UnixDomainSocketEndPoint ? ControlSocket.Bind(control.Socket!, control.Group) : SocketTransportOptions.CreateDefaultBoundListenSocket(end));
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            if (control.Socket is { } socket) kestrel.ListenUnixSocket(socket, o => o.Protocols = HttpProtocols.Http2);
            if (control.Listen is { } listen)
            {
                kestrel.Listen(IPEndPoint.Parse(listen), o =>
                {
                    o.Protocols = HttpProtocols.Http2;
                    o.UseHttps(Https(control));
                });
            }
        });
        var app = builder.Build();
        app.MapGrpcService<ControlService>();
        if (health is not null) app.MapGrpcService<HealthServiceImpl>();
        return app;
    }

    private static HttpsConnectionAdapterOptions Https(ControlSection control)
    {
        var authorities = new X509Certificate2Collection();
        authorities.ImportFromPemFile(control.ClientCaFile!);
        return new HttpsConnectionAdapterOptions
        {
            ServerCertificate = X509Certificate2.CreateFromPemFile(control.CertificateFile!, control.KeyFile),
            ClientCertificateMode = ClientCertificateMode.RequireCertificate,
            ClientCertificateValidation = (certificate, _, _) => IsIssuedBy(certificate, authorities),
        };
    }

    /// <summary>True for a client certificate, valid now, of one of our authorities. Whatever the system trusts beside them counts for nothing.</summary>
    private static bool IsIssuedBy(X509Certificate2 certificate, X509Certificate2Collection authorities)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid(ClientAuthentication));
        return chain.Build(certificate);
    }
}

/// <summary>Log events of the control API, 500 to 599.</summary>
internal static partial class ControlLog
{
    [LoggerMessage(EventId = 500, EventName = "ControlListening", Level = LogLevel.Information, Message = "The control API is served at socket {Socket}, address {Address}.")]
    public static partial void Listening(ILogger logger, string? socket, string? address);

    [LoggerMessage(EventId = 501, EventName = "ControlNotServed", Level = LogLevel.Error, Message = "The control API is not served, so 'tcmu-gateway status' and the like cannot reach this gateway; its devices are. Correct this and restart: {Reason}")]
    public static partial void NotServed(ILogger logger, string reason);

    [LoggerMessage(EventId = 502, EventName = "ControlFault", Level = LogLevel.Error, Message = "The control API's {Method} failed by a fault of ours.")]
    public static partial void Fault(ILogger logger, string method, Exception exception);
}
