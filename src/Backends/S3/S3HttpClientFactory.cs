using System.Net;
using Amazon.Runtime;

namespace Gateway.Backends.S3;

/// <summary>Gives the SDK's client our connections, with the limits that its own do not set.</summary>
/// <param name="handler">Of one store; stays its owner's.</param>
internal sealed class S3HttpClientFactory(SocketsHttpHandler handler) : HttpClientFactory
{
    public static SocketsHttpHandler CreateHandler(S3StoreOptions options) => new()
    {
        ConnectTimeout = options.ConnectTimeout,
        MaxConnectionsPerServer = options.MaxConnections,
        // Servers close idle connections after 20 s (AWS) or more: ours must go first, or a request meets a closing one.
        PooledConnectionIdleTimeout = TimeSpan.FromSeconds(15),
        // New addresses of the endpoint are seen after this time.
        PooledConnectionLifetime = TimeSpan.FromMinutes(5),
        Expect100ContinueTimeout = TimeSpan.FromMilliseconds(250),
        AllowAutoRedirect = false,
        AutomaticDecompression = DecompressionMethods.None,
        UseCookies = false,
        ActivityHeadersPropagator = null,
    };

    public override HttpClient CreateHttpClient(IClientConfig clientConfig) => new(handler, disposeHandler: false) { Timeout = Timeout.InfiniteTimeSpan };

    /// <summary>Kept by the SDK's client, and disposed with it.</summary>
    public override string? GetConfigUniqueString(IClientConfig clientConfig) => null;
}
