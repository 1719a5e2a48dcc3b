using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;
using Amazon.Runtime;
using Amazon.Runtime.Credentials;
using Amazon.Runtime.Endpoints;
using Amazon.S3;
using Amazon.S3.Model;
using Gateway.Backends.Core;

namespace Gateway.Backends.S3;

/// <summary>Makes the two requests that carry data, ranged GET and whole PUT, signed and ready for an HTTP client. Thread safe.</summary>
/// <remarks>
/// Endpoint, region and credentials come from the SDK, as it would have them for its own requests; only the pipeline behind them is left out.
/// Credentials are asked for anew at every request: the SDK's objects keep them, and renew temporary ones in time.
/// </remarks>
public sealed class S3Requests
{
    private const string ContentType = "application/octet-stream";

    private readonly TimeProvider _time;
    private readonly AmazonS3Config _config;
    private readonly AWSCredentials? _credentials;
    private readonly S3Signer _signer;
    private readonly string _root;

    /// <param name="options">Read once, here.</param>
    /// <param name="time">The time that requests are signed with.</param>
    /// <exception cref="BlobStoreException">The named credentials do not exist, or the bucket is of a kind that is signed for in another way.</exception>
    public S3Requests(S3StoreOptions options, TimeProvider time)
        : this(options, time, S3Configuration.For(options), S3Credentials.From(options))
    {
    }

    /// <param name="options">Read once, here.</param>
    /// <param name="time">The time that requests are signed with.</param>
    /// <param name="config">Of the SDK's client for the same store.</param>
    /// <param name="credentials">Where the credentials come from; null: the SDK's own chain.</param>
    internal S3Requests(S3StoreOptions options, TimeProvider time, AmazonS3Config config, AWSCredentials? credentials)
    {
        _time = time;
        _config = config;
        _credentials = credentials;
        // Path or host name, partition, access point: the SDK's rules decide.
        var endpoint = config.DetermineServiceOperationEndpoint(new ServiceOperationEndpointParameters(new GetObjectRequest { BucketName = options.Bucket, Key = "k" }));
        _signer = new S3Signer(RegionOf(endpoint, options));
        var prefix = options.Prefix.Length == 0 || options.Prefix.EndsWith('/') ? options.Prefix : options.Prefix + "/";
        // A key's own characters need no escaping (BlobKey).
        _root = endpoint.URL.TrimEnd('/') + "/" + string.Join('/', prefix.Split('/').Select(Uri.EscapeDataString));
    }

    /// <summary>A GET of some bytes of a blob.</summary>
    /// <param name="key">The blob.</param>
    /// <param name="offsetBytes">The first byte.</param>
    /// <param name="lengthBytes">How many, at least 1.</param>
    /// <param name="cancellationToken">Ends the wait for credentials.</param>
    public async ValueTask<HttpRequestMessage> GetAsync(BlobKey key, long offsetBytes, int lengthBytes, CancellationToken cancellationToken)
    {
        var credentials = await CredentialsAsync(cancellationToken);
        var request = new HttpRequestMessage(HttpMethod.Get, UriOf(key));
        var range = string.Create(CultureInfo.InvariantCulture, $"bytes={offsetBytes}-{offsetBytes + lengthBytes - 1}");
        _signer.Sign(request, [("range", range)], S3Signer.EmptyPayload, credentials, _time.GetUtcNow());
        return request;
    }

    /// <summary>A PUT of a whole blob.</summary>
    /// <param name="key">The blob.</param>
    /// <param name="content">Sent as it is; it becomes the request's, and has no headers yet.</param>
    /// <param name="payload">The content's bytes, to be hashed and signed; null leaves the payload unsigned.</param>
    /// <param name="checksum">CRC-32C of the content for the store to check; null sends none.</param>
    /// <param name="precondition">What must hold.</param>
    /// <param name="cancellationToken">Ends the wait for credentials.</param>
    public async ValueTask<HttpRequestMessage> PutAsync(
        BlobKey key, HttpContent content, ReadOnlyMemory<byte>? payload, uint? checksum, Precondition precondition, CancellationToken cancellationToken)
    {
        var credentials = await CredentialsAsync(cancellationToken);
        var request = new HttpRequestMessage(HttpMethod.Put, UriOf(key)) { Content = content };
        content.Headers.TryAddWithoutValidation("Content-Type", ContentType);
        var hash = payload is { } bytes ? Convert.ToHexStringLower(SHA256.HashData(bytes.Span)) : S3Signer.UnsignedPayload;
        List<(string, string)> headers = [("content-type", ContentType)];
        if (precondition == Precondition.Absent) headers.Add(("if-none-match", "*"));
        if (checksum is { } crc) headers.Add(("x-amz-checksum-crc32c", Convert.ToBase64String([(byte)(crc >> 24), (byte)(crc >> 16), (byte)(crc >> 8), (byte)crc])));
        _signer.Sign(request, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(headers), hash, credentials, _time.GetUtcNow());
        return request;
    }

    private Uri UriOf(BlobKey key) => new(_root + key.Value, new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true });

    /// <summary>Credentials that are good now. The SDK knows no cancellation here: the wait ends, what it waits for goes on for the next one.</summary>
    private async ValueTask<ImmutableCredentials> CredentialsAsync(CancellationToken cancellationToken)
    {
        // Not kept: what the chain finds may change, and it keeps that itself.
        var source = _credentials ?? await DefaultAWSCredentialsIdentityResolver.GetCredentialsAsync(_config).WaitAsync(cancellationToken);
        return await source.GetCredentialsAsync().WaitAsync(cancellationToken);
    }

    private static string RegionOf(Endpoint endpoint, S3StoreOptions options)
    {
        if (options.Endpoint is not null) return options.Region;
        if (!TryGetScheme(endpoint, out var scheme)) return options.Region;
        if ((string?)scheme["name"] is not "sigv4" || (string?)scheme["signingName"] is not "s3")
            throw new BlobStoreException(BlobErrorKind.Rejected,
                $"Bucket '{options.Bucket}' is of a kind that is not supported (it is signed for with {scheme["name"]}, {scheme["signingName"]}): name a general purpose bucket.");
        return (string?)scheme["signingRegion"] ?? options.Region;
    }

    private static bool TryGetScheme(Endpoint endpoint, [NotNullWhen(true)] out PropertyBag? scheme)
    {
        scheme = endpoint.Attributes?["authSchemes"] is IList<object> { Count: > 0 } schemes ? schemes[0] as PropertyBag : null;
        return scheme is not null;
    }
}
