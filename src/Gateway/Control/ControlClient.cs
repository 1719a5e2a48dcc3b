using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Gateway.Configuration;
using Grpc.Core;
using Grpc.Net.Client;

namespace Gateway.Control;

/// <summary>Where a daemon's control API is.</summary>
/// <param name="Socket">Its Unix socket.</param>
/// <param name="Address">HOST:PORT, instead of the socket.</param>
/// <param name="CaFile">With an address: the authority that the daemon's certificate must be of, PEM; null: those that the system trusts.</param>
/// <param name="CertificateFile">With an address: our certificate, PEM.</param>
/// <param name="KeyFile">With an address: its private key, PEM.</param>
internal sealed record ControlAddress(string Socket, string? Address = null, string? CaFile = null, string? CertificateFile = null, string? KeyFile = null)
{
    public override string ToString() => Address ?? Socket;
}

/// <summary>A connection to a daemon's control API.</summary>
internal sealed class ControlClient : IDisposable
{
    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1"; // RFC 5280, 4.2.1.12.
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(10);
    private readonly GrpcChannel _channel;
    private readonly ControlAddress _address;

    /// <exception cref="ConfigurationException">A certificate cannot be read.</exception>
    public ControlClient(ControlAddress address)
    {
        _address = address;
        var handler = new SocketsHttpHandler { UseProxy = false, ConnectTimeout = ConnectTimeout };
        if (address.Address is null) handler.ConnectCallback = async (_, token) => await ConnectAsync(address.Socket, token);
        else SetTls(handler, address);
        _channel = GrpcChannel.ForAddress(address.Address is null ? "http://localhost" : $"https://{address.Address}", new GrpcChannelOptions { HttpHandler = handler, DisposeHttpClient = true, MaxReceiveMessageSize = 64 << 20 });
        Calls = new V1.Control.ControlClient(_channel);
    }

    public V1.Control.ControlClient Calls { get; }

    public void Dispose() => _channel.Dispose();

    /// <summary>What a failed call means for a person.</summary>
    public ConfigurationException Explain(RpcException failure) => new(failure.StatusCode switch
    {
        _ when failure.Status.DebugException is { } e && Find<UnauthorizedAccessException>(e) is null && Find<SocketException>(e) is { SocketErrorCode: SocketError.AccessDenied } =>
            $"You may not use {_address}: run this as root, or as a member of the group that control.group names.",
        StatusCode.Unavailable or StatusCode.Internal when failure.Status.DebugException is { } e && Find<SocketException>(e) is not null =>
            $"No gateway runs at {_address}. Start it (systemctl start tcmu-gateway), or name its socket with --socket, or its address with --connect.",
        StatusCode.Unavailable or StatusCode.Internal when failure.Status.DebugException is { } e && Find<System.Security.Authentication.AuthenticationException>(e) is { } tls =>
            $"TLS with {_address} failed: {tls.Message} Check --tls-ca, --tls-certificate and --tls-key.",
        StatusCode.Unimplemented => $"The gateway at {_address} does not know this command: it is older than this program. Restart it.",
        _ => failure.Status.Detail,
    });

    private static T? Find<T>(Exception? exception)
        where T : Exception
    {
        while (exception is not (null or T)) exception = exception.InnerException;
        return (T?)exception;
    }

    private static async ValueTask<Stream> ConnectAsync(string path, CancellationToken cancellationToken)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static void SetTls(SocketsHttpHandler handler, ControlAddress address)
    {
        try
        {
            if (address.CertificateFile is { } certificate) handler.SslOptions.ClientCertificates = [X509Certificate2.CreateFromPemFile(certificate, address.KeyFile)];
            if (address.CaFile is not { } file) return;
            var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            policy.CustomTrustStore.ImportFromPemFile(file);
            policy.ApplicationPolicy.Add(new Oid(ServerAuthentication));
            handler.SslOptions.CertificateChainPolicy = policy;
        }
        catch (Exception e) when (e is CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException($"A certificate cannot be read: {e.Message} Check --tls-ca, --tls-certificate and --tls-key.");
        }
    }
}
