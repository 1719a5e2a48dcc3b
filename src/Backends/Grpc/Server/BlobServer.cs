using System.ComponentModel.DataAnnotations;
using System.Diagnostics.CodeAnalysis;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Gateway.Backends.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Gateway.Backends.Grpc.Server;

/// <summary>The memory that calls share.</summary>
/// <param name="Puts">For blobs that are being put.</param>
/// <param name="Gets">For ranges that are being read. Apart from the other, so that slow readers do not stop puts.</param>
internal sealed record BlobServerMemory(TransferMemory Puts, TransferMemory Gets);

/// <summary>Offers a store over gRPC (proto/blobstore.proto), from the start until it is disposed.</summary>
public sealed class BlobServer : IAsyncDisposable
{
    private readonly WebApplication _application;
    private readonly string? _socketPath;

    private BlobServer(WebApplication application, GrpcAddress listen)
    {
        _application = application;
        _socketPath = listen.SocketPath;
        Memory = application.Services.GetRequiredService<BlobServerMemory>();
        Address = listen.SocketPath is null
            ? application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()
            : listen.ToString();
    }

    /// <summary>Where it listens, with the port that it has got.</summary>
    public string Address { get; }

    internal BlobServerMemory Memory { get; }

    /// <summary>Starts a server; when this returns, it can be called.</summary>
    /// <param name="store">Stays the caller's, and must outlive the server.</param>
    /// <param name="options">Read once, here.</param>
    /// <param name="time">Measures the server's own time limit.</param>
    /// <param name="loggers">Stays the caller's.</param>
    /// <param name="cancellationToken">Ends the start.</param>
    /// <exception cref="BlobStoreException">The options cannot hold, a file of theirs is wrong, or the address cannot be listened on.</exception>
    public static async Task<BlobServer> StartAsync(IBlobStore store, BlobServerOptions options, TimeProvider time, ILoggerFactory loggers, CancellationToken cancellationToken)
    {
        options = options with { };
        var faults = options.Validate(new ValidationContext(options, "blob server", null, null)).Select(f => $"{string.Join(", ", f.MemberNames)}: {f.ErrorMessage}").ToArray();
        if (faults.Length > 0) throw new BlobStoreException(BlobErrorKind.Rejected, string.Join("; ", faults) + ".");
        var listen = GrpcAddress.TryParse(options.Listen)!;

        var application = Build(store, options, listen, time, loggers);
        try
        {
            if (listen.SocketPath is { } path) RemoveDeadSocket(path);
            await application.StartAsync(cancellationToken);
            if (listen.SocketPath is { } socket) File.SetUnixFileMode(socket, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }
        catch (Exception e)
        {
            await application.DisposeAsync();
            if (e is IOException or SocketException or UnauthorizedAccessException) throw new BlobStoreException(BlobErrorKind.Rejected, $"{listen} cannot be listened on: {e.Message}");
            throw;
        }

        var server = new BlobServer(application, listen);
        var logger = loggers.CreateLogger<BlobServer>();
        BlobServerLog.Started(logger, store.Description, server.Address);
        return server;
    }

    /// <summary>Takes no more calls, and waits for those in progress until <paramref name="cancellationToken"/> says to break them off.</summary>
    public Task StopAsync(CancellationToken cancellationToken) => _application.StopAsync(cancellationToken);

    /// <summary>Stops in order, unless that has been done.</summary>
    public async ValueTask DisposeAsync()
    {
        await _application.StopAsync();
        await _application.DisposeAsync();
        if (_socketPath is not null) File.Delete(_socketPath);
    }

    private static WebApplication Build(IBlobStore store, BlobServerOptions options, GrpcAddress listen, TimeProvider time, ILoggerFactory loggers)
    {
        // Empty: no configuration files and variables, nothing that watches the content root, no logging but ours.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory, ApplicationName = "blob-server" });
        var services = builder.Services;
        services.AddSingleton(loggers);
        services.AddSingleton<IHostLifetime, NoSignals>();
        services.Configure<HostOptions>(o => o.ShutdownTimeout = options.StopTimeout);
        services.AddSingleton(store);
        services.AddSingleton(options);
        services.AddSingleton(time);
        services.AddSingleton(new BlobServerMemory(new TransferMemory(options.PutMemoryBytes), new TransferMemory(options.GetMemoryBytes)));
        services.AddSingleton(new TenantGate(options, loggers.CreateLogger<TenantGate>()));
        services.AddSingleton<BlobStoreService>();
        services.AddGrpc(o =>
        {
            // A chunk with what is around it.
            o.MaxReceiveMessageSize = GrpcStoreOptions.ChunkMaxBytes + (64 << 10);
            o.MaxSendMessageSize = GrpcStoreOptions.ChunkMaxBytes + (64 << 10);
            o.EnableDetailedErrors = false;
        });
        services.AddGrpcHealthChecks().AddCheck("store", new StoreHealthCheck(store));
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel => Configure(kestrel, options, listen));

        var application = builder.Build();
        application.MapGrpcService<BlobStoreService>();
        application.MapGrpcHealthChecksService();
        return application;
    }

    private static void Configure(KestrelServerOptions kestrel, BlobServerOptions options, GrpcAddress listen)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxConcurrentConnections = 256;
        // What may be on its way unread: a put over 20 ms there and back still gets 200 MB/s, and all puts of one gateway 800.
        kestrel.Limits.Http2.InitialStreamWindowSize = 4 << 20;
        kestrel.Limits.Http2.InitialConnectionWindowSize = 16 << 20;
        // One gateway's requests, of several volumes, over one connection.
        kestrel.Limits.Http2.MaxStreamsPerConnection = 256;
        // A client that is gone without a word is noticed, and what it holds is let go.
        kestrel.Limits.Http2.KeepAlivePingDelay = TimeSpan.FromSeconds(30);
        kestrel.Limits.Http2.KeepAlivePingTimeout = TimeSpan.FromSeconds(20);
        if (listen.SocketPath is { } path) kestrel.ListenUnixSocket(path, Endpoint);
        else if (listen.Uri!.Host == "localhost" && listen.Uri.Port != 0) kestrel.ListenLocalhost(listen.Uri.Port, Endpoint);
        else kestrel.Listen(IPAddress.TryParse(listen.Uri.IdnHost, out var address) ? address : IPAddress.Loopback, listen.Uri.Port, Endpoint);

        void Endpoint(ListenOptions endpoint)
        {
            endpoint.Protocols = HttpProtocols.Http2;
            if (listen.IsTls) endpoint.UseHttps(Tls(options));
        }
    }

    [SuppressMessage("Security", "CA5359", Justification = "It is about clients' certificates, which TenantGate verifies for each call.")]
    private static TlsHandshakeCallbackOptions Tls(BlobServerOptions options)
    {
        var (certificate, key) = (options.CertificateFile!, options.KeyFile!);
        var own = new WatchedFile<SslStreamCertificateContext>(
            () => SslStreamCertificateContext.Create(PemFiles.LoadCertificate(certificate, key), PemFiles.LoadChain(certificate), offline: true), certificate, key);
        own.Get(); // What is wrong with it is told now, in words.
        return new TlsHandshakeCallbackOptions
        {
            OnConnection = _ => ValueTask.FromResult(new SslServerAuthenticationOptions
            {
                ServerCertificateContext = own.Get(),
                ApplicationProtocols = [SslApplicationProtocol.Http2],
                ClientCertificateRequired = options.ClientCaFile is not null,
                // Not who it is, only that whoever it is has the key: TenantGate decides, call by call.
                RemoteCertificateValidationCallback = (_, _, _, _) => true,
                CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
            }),
        };
    }

    /// <summary>A socket that nobody listens on any more stays in the file system, and in the way.</summary>
    private static void RemoveDeadSocket(string path)
    {
        if (!File.Exists(path)) return;
        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
        {
            File.Delete(path);
        }
        catch (SocketException)
        {
            // No socket, or not ours: listening will say so.
        }
    }

    /// <summary>Signals are the program's matter.</summary>
    private sealed class NoSignals : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    /// <summary>SERVING while the store answers.</summary>
    private sealed class StoreHealthCheck(IBlobStore store) : IHealthCheck
    {
        private static readonly BlobKey Probe = new(".health");

        public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
        {
            try
            {
                await store.GetLengthAsync(Probe, cancellationToken);
                return HealthCheckResult.Healthy();
            }
            catch (BlobStoreException)
            {
                return HealthCheckResult.Unhealthy();
            }
        }
    }
}
