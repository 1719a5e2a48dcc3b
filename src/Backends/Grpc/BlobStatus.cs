using System.Globalization;
using System.Net.Http;
using System.Net.Sockets;
using System.Security.Authentication;
using Gateway.Backends.Core;
using Grpc.Core;

namespace Gateway.Backends.Grpc;

/// <summary><see cref="BlobErrorKind"/> as status codes and back: the table at the head of proto/blobstore.proto.</summary>
internal static class BlobStatus
{
    /// <summary>Trailer: the kind in words.</summary>
    public const string ErrorTrailer = "blob-error";

    /// <summary>Trailer: how long to stay away, in milliseconds.</summary>
    public const string RetryAfterTrailer = "retry-after-ms";

    /// <summary>A longer time is cut to this: nobody means it.</summary>
    private static readonly TimeSpan RetryAfterMax = TimeSpan.FromHours(1);

    private const int ServerMessageCharsMax = 200;

    /// <summary>The status for a failure, with its trailers.</summary>
    /// <param name="kind">What the client can do about it.</param>
    /// <param name="message">For people; neither credentials nor what other tenants have.</param>
    /// <param name="retryAfter">How long to stay away, if known.</param>
    public static RpcException ToRpc(BlobErrorKind kind, string message, TimeSpan? retryAfter = null)
    {
        var (code, name) = kind switch
        {
            BlobErrorKind.NotFound => (StatusCode.NotFound, "not-found"),
            BlobErrorKind.PreconditionFailed => (StatusCode.AlreadyExists, "precondition-failed"),
            BlobErrorKind.AccessDenied => (StatusCode.PermissionDenied, "access-denied"),
            BlobErrorKind.Throttled => (StatusCode.ResourceExhausted, "throttled"),
            BlobErrorKind.Corrupt => (StatusCode.DataLoss, "corrupt"),
            BlobErrorKind.ContainerMissing => (StatusCode.FailedPrecondition, "container-missing"),
            BlobErrorKind.Rejected => (StatusCode.InvalidArgument, "rejected"),
            _ => (StatusCode.Unavailable, "unavailable"),
        };
        return ToRpc(code, name, message, retryAfter);
    }

    /// <summary>Nobody, or nobody who is known here, has called.</summary>
    public static RpcException Unauthenticated(string message) => ToRpc(StatusCode.Unauthenticated, "access-denied", message, null);

    /// <summary>What a call ended with, for the caller of the store.</summary>
    /// <param name="error">Not the caller's own cancellation, which has been let through before.</param>
    /// <param name="what">Address and key, for people.</param>
    /// <param name="action">What was being done: "reading", say.</param>
    /// <param name="options">For the advice.</param>
    /// <param name="token">What must not be repeated in the message; null if there is none.</param>
    /// <remarks>The exception is not kept as an inner one, and its text is cut: what a server says is not to be trusted.</remarks>
    public static BlobStoreException ToBlobError(Exception error, string what, string action, GrpcStoreOptions options, string? token)
    {
        if (error is RpcException { Status.DebugException: { } cause } && FromNetwork(cause) is { } network) return Make(network.Kind, network.Why);
        if (error is OperationCanceledException or TimeoutException or RpcException { StatusCode: StatusCode.DeadlineExceeded })
            return Make(BlobErrorKind.Unavailable, $"no answer within {options.RequestTimeout.TotalSeconds:0.#} s. Check the network and the server, or raise requestTimeoutSeconds.");
        if (error is not RpcException rpc)
            return FromNetwork(error) is { } other ? Make(other.Kind, other.Why) : Make(BlobErrorKind.Unavailable, $"the connection broke: {Clean(error.Message, token)}");

        // Libraries, proxies and other servers have these codes, too, and mean something else by them: a message that is too long, say.
        var named = rpc.Trailers.GetValue(ErrorTrailer) is not null;
        var (kind, advice) = rpc.StatusCode switch
        {
            StatusCode.NotFound when named => (BlobErrorKind.NotFound, "There is no such blob."),
            StatusCode.AlreadyExists when named => (BlobErrorKind.PreconditionFailed, "The blob exists already."),
            StatusCode.Unauthenticated => (BlobErrorKind.AccessDenied, "The server does not know this client: check tokenFile and clientCertificateFile, and that neither has expired."),
            StatusCode.PermissionDenied => (BlobErrorKind.AccessDenied, "The server does not allow it: check the credentials, and the server's rights in its own store."),
            StatusCode.ResourceExhausted when named => (BlobErrorKind.Throttled, "The server asks for fewer requests."),
            StatusCode.Unavailable or StatusCode.Cancelled or StatusCode.Internal or StatusCode.Unknown or StatusCode.Aborted =>
                (BlobErrorKind.Unavailable, "The server, or the store behind it, failed: look at its log."),
            StatusCode.DataLoss => (BlobErrorKind.Corrupt, "The bytes are damaged."),
            StatusCode.FailedPrecondition when named => (BlobErrorKind.ContainerMissing, "The store behind the server does not exist: see that its directory, bucket or pool is there."),
            StatusCode.InvalidArgument or StatusCode.OutOfRange => (BlobErrorKind.Rejected, "The server refuses the request."),
            _ => (BlobErrorKind.Rejected, "The answer is not one of a blob server: check address and port."),
        };
        var said = Clean(rpc.Status.Detail, token);
        return Make(kind, $"status {rpc.StatusCode}{(said.Length > 0 ? $" ({said})" : "")}. {advice}", RetryAfterOf(rpc.Trailers));

        BlobStoreException Make(BlobErrorKind kind, string why, TimeSpan? retryAfter = null) => new(kind, $"{what}: {action} failed: {why}") { RetryAfter = retryAfter };
    }

    /// <param name="what">Address and key, for people.</param>
    /// <param name="why">What no blob server would do.</param>
    public static BlobStoreException NotABlobServer(string what, string why) =>
        new(BlobErrorKind.Rejected, $"{what}: {why}: the server does not keep to the interface. 'tcmu-gateway blob-server check' tries all of it.");

    private static RpcException ToRpc(StatusCode code, string name, string message, TimeSpan? retryAfter)
    {
        var trailers = new Metadata { { ErrorTrailer, name } };
        if (retryAfter is { } time) trailers.Add(RetryAfterTrailer, ((long)time.TotalMilliseconds).ToString(CultureInfo.InvariantCulture));
        return new RpcException(new Status(code, message), trailers);
    }

    private static TimeSpan? RetryAfterOf(Metadata trailers) =>
        long.TryParse(trailers.GetValue(RetryAfterTrailer), NumberStyles.None, CultureInfo.InvariantCulture, out var milliseconds)
            ? TimeSpan.FromMilliseconds(Math.Min(milliseconds, RetryAfterMax.TotalMilliseconds))
            : null;

    private static (BlobErrorKind Kind, string Why)? FromNetwork(Exception exception)
    {
        var broken = false;
        for (var e = exception; e is not null; e = e.InnerException)
        {
            broken |= e is HttpProtocolException or HttpIOException or HttpRequestException { HttpRequestError: not HttpRequestError.Unknown };
            switch (e)
            {
                case BlobStoreException ours: // A certificate's file that has become unreadable.
                    return (ours.Kind, ours.Message);
                case AuthenticationException or HttpRequestException { HttpRequestError: HttpRequestError.SecureConnectionError }:
                    return (BlobErrorKind.Rejected, $"TLS failed: {InnermostMessage(e)} Check that the server speaks https, that its certificate comes from an authority in caFile and names this host, and, if the server wants one, the client certificate.");
                case HttpRequestException { HttpRequestError: HttpRequestError.NameResolutionError }:
                    return (BlobErrorKind.Unavailable, "the host name cannot be resolved. Check the address and the DNS.");
                case SocketException socket:
                    return (BlobErrorKind.Unavailable, $"{socket.Message}. Check that the server runs there and that no firewall is between.");
                case HttpRequestException { HttpRequestError: HttpRequestError.InvalidResponse or HttpRequestError.VersionNegotiationError }:
                    return (BlobErrorKind.Rejected, "the answer is not HTTP/2. Check the address: its scheme and port.");
            }
        }

        return broken ? (BlobErrorKind.Unavailable, $"the connection broke: {InnermostMessage(exception)}") : null;
    }

    private static string InnermostMessage(Exception exception)
    {
        while (exception.InnerException is { } inner) exception = inner;
        return Clean(exception.Message, null);
    }

    /// <summary>One short line without control characters, and nothing of it if it repeats the token.</summary>
    private static string Clean(string text, string? token)
    {
        if (token is not null && text.Contains(token, StringComparison.Ordinal)) return "";
        if (text.Length > ServerMessageCharsMax) text = text[..ServerMessageCharsMax] + "…";
        return string.Create(text.Length, text, static (span, source) =>
        {
            for (var i = 0; i < span.Length; i++) span[i] = char.IsControl(source[i]) ? ' ' : source[i];
        }).Trim();
    }
}
