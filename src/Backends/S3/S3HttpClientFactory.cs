using System.Net;
using Amazon.Runtime;

namespace Gateway.Backends.S3;

/// <summary>One HttpClient for one store, with the limits that the SDK's own does not set.</summary>
internal sealed class S3HttpClientFactory(S3StoreOptions options) : HttpClientFactory
{
    public override HttpClient CreateHttpClient(IClientConfig clientConfig) => new(new BodySteps(CreateHandler())) { Timeout = Timeout.InfiniteTimeSpan };

    /// <summary>Kept by the SDK's client, and disposed with it.</summary>
    public override string? GetConfigUniqueString(IClientConfig clientConfig) => null;

    private SocketsHttpHandler CreateHandler() => new()
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

    /// <summary>Asks "100-continue" only before long bodies: it saves sending them in vain, and costs each put a round trip.</summary>
    private sealed class BodySteps(HttpMessageHandler inner) : DelegatingHandler(inner)
    {
        private const long ExpectContinueFromBytes = 1 << 20;

        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            request.Headers.ExpectContinue = request.Content?.Headers.ContentLength >= ExpectContinueFromBytes;
            return base.SendAsync(request, cancellationToken);
        }
    }
}
