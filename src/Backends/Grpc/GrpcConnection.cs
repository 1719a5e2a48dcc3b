using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Gateway.Backends.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;

namespace Gateway.Backends.Grpc;

/// <summary>The channel of one store: connections, TLS, credentials.</summary>
internal sealed class GrpcConnection : IDisposable
{
    private const int TokenCharsMax = 4096;

    private readonly GrpcChannel _channel;
    private readonly SocketsHttpHandler _handler;
    private readonly WatchedFile<string>? _token;

    /// <summary>Reads the authorities' certificates; connects to nothing yet.</summary>
    /// <exception cref="BlobStoreException">A file cannot be read.</exception>
    public GrpcConnection(GrpcStoreOptions options, GrpcAddress address)
    {
        if (options.TokenFile is { } tokenFile) _token = new WatchedFile<string>(() => LoadToken(tokenFile), tokenFile);
        _handler = new SocketsHttpHandler
        {
            ConnectTimeout = options.ConnectTimeout,
            // A connection of our own also keeps the channel from its own idea of when to try again, which waits for up to two minutes.
            ConnectCallback = (context, cancellationToken) => ConnectAsync(address.SocketPath is { } path ? new UnixDomainSocketEndPoint(path) : context.DnsEndPoint, cancellationToken),
            EnableMultipleHttp2Connections = true,
            // It grows with the distance, to 16 MiB.
            InitialHttp2StreamWindowSize = 1 << 20,
            // A peer that is gone without a word is noticed while requests wait for it.
            KeepAlivePingDelay = TimeSpan.FromSeconds(10),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(5),
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
            // New addresses and new certificates are seen after this time.
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            PooledConnectionIdleTimeout = TimeSpan.FromMinutes(1),
            AllowAutoRedirect = false,
            UseCookies = false,
            UseProxy = false,
            ActivityHeadersPropagator = null,
        };
        if (address.IsTls) SetTls(_handler.SslOptions, options);
        _channel = GrpcChannel.ForAddress(address.Uri ?? new Uri("http://localhost"), new GrpcChannelOptions
        {
            HttpHandler = _handler,
            // A chunk with what is around it. A listing's message is held to it, too.
            MaxReceiveMessageSize = GrpcStoreOptions.ChunkMaxBytes + (64 << 10),
            MaxSendMessageSize = GrpcStoreOptions.ChunkMaxBytes + (64 << 10),
            ThrowOperationCanceledOnCancellation = true,
            // Only the caller knows whether to try again.
            MaxRetryAttempts = 1,
        });
        Client = new V1.BlobStore.BlobStoreClient(_channel);
        Health = new Health.HealthClient(_channel);
    }

    public V1.BlobStore.BlobStoreClient Client { get; }

    public Health.HealthClient Health { get; }

    /// <summary>The token as it is now; null if none is to be sent.</summary>
    /// <exception cref="BlobStoreException">Its file cannot be read.</exception>
    public string? Token => _token?.Get();

    public void Dispose()
    {
        _channel.Dispose();
        _handler.Dispose();
    }

    private static async ValueTask<Stream> ConnectAsync(EndPoint endPoint, CancellationToken cancellationToken)
    {
        var socket = endPoint is UnixDomainSocketEndPoint
            ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            : new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(endPoint, cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static void SetTls(SslClientAuthenticationOptions tls, GrpcStoreOptions options)
    {
        if (options.CaFile is { } ca)
        {
            var chain = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            chain.CustomTrustStore.AddRange(PemFiles.LoadAuthorities(ca));
            tls.CertificateChainPolicy = chain;
        }

        if (options is not { ClientCertificateFile: { } certificate, ClientKeyFile: { } key }) return;
        var own = new WatchedFile<X509Certificate2>(() => PemFiles.LoadCertificate(certificate, key), certificate, key);
        own.Get(); // What is wrong with it is told now, in words.
        tls.LocalCertificateSelectionCallback = (_, _, _, _, _) => own.Get();
    }

    private static string LoadToken(string path)
    {
        try
        {
            var token = File.ReadAllText(path).Trim();
            if (token.Length is > 0 and <= TokenCharsMax && !token.AsSpan().ContainsAnyExceptInRange('!', '~')) return token;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new BlobStoreException(BlobErrorKind.AccessDenied, $"The token cannot be read from {path}: write it there, readable by this process's user. {e.Message}");
        }

        throw new BlobStoreException(BlobErrorKind.AccessDenied, $"{path} holds no token: one line of at most {TokenCharsMax} printable ASCII characters without spaces is wanted.");
    }
}
