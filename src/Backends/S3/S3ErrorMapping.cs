using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;
using Amazon.Runtime;
using Amazon.S3;
using Gateway.Backends.Core;

namespace Gateway.Backends.S3;

/// <summary>What the SDK and the network throw, as <see cref="BlobErrorKind"/> with words that say what to do. docs/backends.md has the table.</summary>
/// <remarks>SDK exceptions are not kept as inner ones: their text can hold the response's body, in which stores repeat key ids and signatures.</remarks>
internal static class S3ErrorMapping
{
    private const int ServerMessageCharsMax = 200;

    /// <summary>True for what <see cref="Translate"/> can translate; bugs are not among it.</summary>
    public static bool IsStoreFailure(Exception exception) => exception is AmazonServiceException or AmazonClientException or HttpRequestException
        or IOException or SocketException or OperationCanceledException or TimeoutException;

    /// <param name="exception">What was thrown. A cancellation here is the request's own timeout; the caller's has been let through before.</param>
    /// <param name="what">Endpoint, bucket and key, for people.</param>
    /// <param name="action">What was being done: "reading", say.</param>
    /// <param name="options">For the advice.</param>
    public static BlobStoreException Translate(Exception exception, string what, string action, S3StoreOptions options)
    {
        if (exception is AmazonS3Exception s3) return TranslateAnswer(s3, what, action, options);
        if (exception is TimeoutException or OperationCanceledException { InnerException: not TimeoutException })
            return Make(BlobErrorKind.Unavailable, $"no answer within {Math.Max(options.ConnectTimeout.TotalSeconds, options.RequestTimeout.TotalSeconds):0.#} s. Check the network and the store, or raise RequestTimeout.");

        for (var e = exception; e is not null; e = e.InnerException)
        {
            switch (e)
            {
                case BlobStoreException ours:
                    return ours;
                case HttpRequestException { HttpRequestError: HttpRequestError.SecureConnectionError } when IsAuthentication(e):
                    return Make(BlobErrorKind.Rejected, $"TLS failed: {InnermostMessage(e)}. Check that the endpoint speaks https and that its certificate is trusted here and names this host.");
                case HttpRequestException { HttpRequestError: HttpRequestError.NameResolutionError }:
                    return Make(BlobErrorKind.Unavailable, "the host name cannot be resolved. Check the endpoint, the region and the DNS.");
                case HttpRequestException { HttpRequestError: HttpRequestError.InvalidResponse }:
                    // A connection that ends in the middle of a status line looks like that, too: no proof that the store answers.
                    return Make(BlobErrorKind.Unavailable, "the answer is not HTTP. If that lasts, check the endpoint's scheme and port.");
                case SocketException socket:
                    return Make(BlobErrorKind.Unavailable, $"{socket.Message}. Check that the store runs there and that no firewall is between.", socket);
                case OperationCanceledException or TimeoutException:
                    return Make(BlobErrorKind.Unavailable, $"no connection within {options.ConnectTimeout.TotalSeconds:0.#} s. Check the network and the endpoint.");
            }
        }

        return exception switch
        {
            AmazonServiceException { StatusCode: 0 } or AmazonClientException when IsAboutCredentials(exception) => Make(BlobErrorKind.AccessDenied,
                "no credentials were found. Set AccessKeyId and SecretAccessKeyFile, or a Profile, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."),
            AmazonUnmarshallingException => Make(BlobErrorKind.Rejected, "the answer is not one of S3. Check that the endpoint is an S3 store's API port, not a web page or a proxy."),
            AmazonServiceException service when service.StatusCode != 0 => Make(FromStatus(service.StatusCode), $"status {(int)service.StatusCode} without a reason. Check that the endpoint is an S3 store."),
            HttpRequestException or IOException => Make(BlobErrorKind.Unavailable, $"the connection broke: {InnermostMessage(exception)}", exception),
            _ => Make(BlobErrorKind.Unavailable, Shorten(exception.Message)),
        };

        BlobStoreException Make(BlobErrorKind kind, string why, Exception? inner = null) => new(kind, $"{what}: {action} failed: {why}", inner)
        {
            RetryAfter = exception is AmazonServiceException answer ? RetryAfterHeader.Of(answer) : null,
        };
    }

    /// <param name="what">Endpoint, bucket and key, for people.</param>
    /// <param name="why">What no S3 store would do.</param>
    public static BlobStoreException NotS3(string what, string why) =>
        new(BlobErrorKind.Rejected, $"{what}: {why}: the endpoint does not behave like S3. Check that it is an S3 store's API port.");

    private static BlobStoreException TranslateAnswer(AmazonS3Exception answer, string what, string action, S3StoreOptions options)
    {
        var status = (int)answer.StatusCode;
        var code = answer.ErrorCode ?? "";
        var (kind, advice) = (status, code) switch
        {
            (_, "NoSuchKey") => (BlobErrorKind.NotFound, "There is no such blob."),
            (_, "NoSuchBucket") => (BlobErrorKind.ContainerMissing, $"Create the bucket '{options.Bucket}', or correct the configuration."),
            (412, _) or (_, "PreconditionFailed") => (BlobErrorKind.PreconditionFailed, "The blob exists already."),
            (409, _) or (_, "ConditionalRequestConflict") => (BlobErrorKind.Throttled, "Another request for the same key is in progress."),
            (_, "SlowDown" or "SlowDownRead" or "SlowDownWrite" or "Throttling" or "ThrottlingException" or "RequestLimitExceeded" or "TooManyRequests") or (429, _) =>
                (BlobErrorKind.Throttled, "The store asks for fewer requests."),
            (_, "QuotaExceeded" or "EntityTooLarge" or "InsufficientStorage" or "XMinioStorageFull") or (507, _) =>
                (BlobErrorKind.Unavailable, "A quota is used up, or the store is full: raise it, or free some space."),
            (_, "RequestTimeTooSkewed") => (BlobErrorKind.AccessDenied, "This machine's clock is off by more than the store allows: set it (NTP)."),
            (_, "ExpiredToken" or "InvalidToken" or "TokenRefreshRequired" or "ExpiredTokenException") => (BlobErrorKind.AccessDenied, "The temporary credentials have expired: see that they are renewed."),
            (_, "InvalidAccessKeyId") => (BlobErrorKind.AccessDenied, "The store does not know the access key id: check the credentials."),
            (_, "SignatureDoesNotMatch") => (BlobErrorKind.AccessDenied, "The secret access key is wrong, or the region is not the one that the store signs for."),
            (_, "AuthorizationHeaderMalformed" or "PermanentRedirect" or "TemporaryRedirect" or "IllegalLocationConstraintException" or "Redirect") or ( >= 300 and < 400, _) =>
                (BlobErrorKind.Rejected, $"The bucket is not in region '{options.Region}' or not at this endpoint: correct Region and Endpoint."),
            (401 or 403, _) => (BlobErrorKind.AccessDenied, "The credentials do not allow it: they need s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket on this bucket."),
            (408, _) or (_, "RequestTimeout") => (BlobErrorKind.Unavailable, "The store waited for the request in vain: check the network."),
            (501, _) => (BlobErrorKind.Rejected, "The endpoint does not know this request: check that it is an S3 store's API port."),
            ( >= 500, _) => (BlobErrorKind.Unavailable, "The store failed inside: look at its health and its log."),
            (404, _) => (BlobErrorKind.Rejected, "The answer does not look like S3: check that the endpoint is an S3 store's API port, and ForcePathStyle."),
            _ => (BlobErrorKind.Rejected, "The store refuses the request: check endpoint, region and bucket."),
        };
        var id = answer.RequestId is { Length: > 0 } request ? $", request {Shorten(request)}" : "";
        return new BlobStoreException(kind, $"{what}: {action} failed: status {status} {Shorten(code)}{id}. {advice}") { RetryAfter = RetryAfterHeader.Of(answer) };
    }

    private static BlobErrorKind FromStatus(HttpStatusCode status) => (int)status switch
    {
        429 => BlobErrorKind.Throttled,
        401 or 403 => BlobErrorKind.AccessDenied,
        501 => BlobErrorKind.Rejected,
        >= 500 => BlobErrorKind.Unavailable,
        _ => BlobErrorKind.Rejected,
    };

    private static bool IsAboutCredentials(Exception exception) =>
        exception.Message.Contains("credentials", StringComparison.OrdinalIgnoreCase) || exception.Message.Contains("identity", StringComparison.OrdinalIgnoreCase);

    /// <summary>The two sides do not agree, and will not the next time. A handshake that a connection's end cut off is something else.</summary>
    private static bool IsAuthentication(Exception? exception)
    {
        while (exception is not (null or AuthenticationException)) exception = exception.InnerException;
        return exception is not null;
    }

    private static string InnermostMessage(Exception exception)
    {
        while (exception.InnerException is { } inner) exception = inner;
        return Shorten(exception.Message);
    }

    private static string Shorten(string text)
    {
        var line = text.ReplaceLineEndings(" ");
        return line.Length <= ServerMessageCharsMax ? line : line[..ServerMessageCharsMax] + "…";
    }
}
