using System.Net;
using Amazon.Runtime.Internal;
using Amazon.Runtime.Internal.Transform;
using Amazon.S3;
using Amazon.S3.Model.Internal.MarshallTransformations;

namespace Gateway.Backends.S3;

/// <summary>One store's connections, with the SDK's client and our own requests over the same pool of them.</summary>
/// <remarks>
/// Blobs' bytes go over our own requests: the SDK's pipeline costs a GET 50 KB of garbage, and a PUT a copy of its body. Listings and removals,
/// which are rare, go over the SDK. docs/decisions/0010-lean-data-requests.md has the figures.
/// </remarks>
internal sealed class S3Connection : IDisposable
{
    /// <summary>Of an error's description; what comes after it is not read.</summary>
    private const int ErrorBytesMax = 64 << 10;

    private readonly SocketsHttpHandler _handler;
    private readonly HttpMessageInvoker _http;

    /// <exception cref="Core.BlobStoreException">The named credentials do not exist, or the bucket is of an unsupported kind.</exception>
    public S3Connection(S3StoreOptions options, TimeProvider time)
    {
        var config = S3Configuration.For(options);
        var credentials = S3Credentials.From(options);
        Requests = new S3Requests(options, time, config, credentials);
        _handler = S3HttpClientFactory.CreateHandler(options);
        _http = new HttpMessageInvoker(_handler, disposeHandler: false);
        config.HttpClientFactory = new S3HttpClientFactory(_handler);
        Client = credentials is null ? new AmazonS3Client(config) : new AmazonS3Client(credentials, config);
    }

    public AmazonS3Client Client { get; }

    public S3Requests Requests { get; }

    /// <summary>Sends a request and returns when the answer's head is there. Its body has still to be read, and the answer to be disposed of.</summary>
    /// <exception cref="AmazonS3Exception">The store answered with anything but 2xx.</exception>
    /// <exception cref="HttpRequestException">The network failed, or the answer is not HTTP.</exception>
    public async ValueTask<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var response = await _http.SendAsync(request, cancellationToken);
        if (response.IsSuccessStatusCode) return response;
        using (response) throw await ReadErrorAsync(response, cancellationToken);
    }

    public void Dispose()
    {
        Client.Dispose();
        _http.Dispose();
        _handler.Dispose();
    }

    /// <summary>The answer as the SDK would have thrown it: its parser reads the stores' dialects.</summary>
    private static async ValueTask<AmazonS3Exception> ReadErrorAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var buffer = new byte[ErrorBytesMax];
        await using var stream = await response.Content.ReadAsStreamAsync(cancellationToken);
        var length = await stream.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellationToken);
        using var body = new MemoryStream(buffer, 0, length);
        var data = new S3AnswerData(response, length);
        using var context = new XmlUnmarshallerContext(body, maintainResponseBody: false, data, isException: true);
        // The SDK's own requests keep the answer's head in the same place (RetryAfterHeader).
        var head = new HttpErrorResponseException(data);
        // Of all operations' parsers this is the one without errors of its own.
        var parsed = PutObjectResponseUnmarshaller.Instance.UnmarshallException(context, head, response.StatusCode);
        return parsed as AmazonS3Exception ?? new AmazonS3Exception("", head, Amazon.Runtime.ErrorType.Unknown, parsed.ErrorCode, parsed.RequestId, response.StatusCode);
    }
}
