using System.Net;
using System.Runtime.CompilerServices;
using System.Text;
using Amazon.S3;
using Amazon.S3.Model;
using Gateway.Backends.Core;

namespace Gateway.Backends.S3;

/// <summary>A bucket as a blob store.</summary>
/// <remarks>
/// Every operation is one request (a listing, one per 1,000 names) and is tried once: only the caller knows whether to try again.
/// Lengths are asked for with a one-byte GET instead of a HEAD, whose 404 has no body to tell a missing bucket from a missing blob.
/// </remarks>
public sealed class S3BlobStore : IBlobStore
{
    /// <summary>A put from this length on asks the store first whether it wants the body ("100-continue").</summary>
    private const int ExpectContinueFromBytes = 1 << 20;

    private readonly S3StoreOptions _options;
    private readonly string _prefix;
    private readonly TimeProvider _time;
    private readonly Lazy<S3Connection> _connection;

    /// <summary>Connects to nothing yet.</summary>
    /// <param name="options">Read once, here.</param>
    /// <param name="time">Measures <see cref="S3StoreOptions.RequestTimeout"/>, and is signed with; the system's clock if null.</param>
    public S3BlobStore(S3StoreOptions options, TimeProvider? time = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(options.Bucket);
        _options = options with { };
        _prefix = options.Prefix.Length == 0 || options.Prefix.EndsWith('/') ? options.Prefix : options.Prefix + "/";
        _time = time ?? TimeProvider.System;
        // Credentials that are missing now may be there for the next request: a failure is not kept.
        _connection = new Lazy<S3Connection>(() => new S3Connection(_options, _time), LazyThreadSafetyMode.PublicationOnly);
        Description = $"bucket {options.Bucket}{(_prefix.Length > 0 ? "/" + _prefix : "")} at {options.Endpoint?.GetLeftPart(UriPartial.Authority) ?? "AWS " + options.Region}";
    }

    public string Description { get; }

    public async ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offsetBytes);
        if (destination.IsEmpty)
        {
            // There is no range of no bytes, but a missing blob must still be reported.
            return await GetLengthAsync(key, cancellationToken) is null ? throw NotFound(key) : 0;
        }

        return await RequestAsync(What(key), "reading", token => ReadRangeAsync(key, offsetBytes, destination, token), cancellationToken);
    }

    public async ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken)
    {
        var body = new BlobContent(content);
        try
        {
            await RequestAsync(What(key), "putting", token => PutBodyAsync(key, body, content, precondition, token), cancellationToken);
        }
        finally
        {
            await body.SentAsync();
        }
    }

    public async ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken)
    {
        try
        {
            return await RequestAsync(What(key), "looking at it", async token =>
            {
                using var response = await GetRangeAsync(key, 0, 1, token);
                return response is null ? 0L : S3ContentRange.Parse(response, What(key)).TotalBytes;
            }, cancellationToken);
        }
        catch (BlobStoreException e) when (e.Kind == BlobErrorKind.NotFound)
        {
            return null;
        }
    }

    public async IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var last = startAfter ?? "";
        await foreach (var page in PagesAsync(prefix, startAfter, null, cancellationToken))
            foreach (var item in page.S3Objects ?? []) // Null, not empty, where there are none.
            {
                var name = item.Key[_prefix.Length..];
                if (name.Length == 0) continue; // Some tools make an empty object named like the prefix.
                // Directory buckets, for one, list in no order. Beyond ASCII, S3 orders by UTF-8, and we do not care.
                if (string.CompareOrdinal(name, last) <= 0 && Ascii.IsValid(name) && Ascii.IsValid(last))
                    throw NotS3(Description, $"the listing is out of order at '{name}'");
                last = name;
                yield return new BlobInfo(name, item.Size ?? 0);
            }
    }

    public async IAsyncEnumerable<string> ListFoldersAsync(string prefix, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (prefix.Length > 0 && prefix[^1] != '/') throw new ArgumentException("A folder prefix is empty or ends in '/'.", nameof(prefix));
        await foreach (var page in PagesAsync(prefix, null, "/", cancellationToken))
            foreach (var folder in page.CommonPrefixes ?? [])
                yield return folder[(_prefix.Length + prefix.Length)..];
    }

    public async ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken)
    {
        try
        {
            await RequestAsync(What(key), "removing", async token =>
            {
                await _connection.Value.Client.DeleteObjectAsync(new DeleteObjectRequest { BucketName = _options.Bucket, Key = _prefix + key.Value }, token);
                return 0;
            }, cancellationToken);
        }
        catch (BlobStoreException e) when (e.Kind == BlobErrorKind.NotFound)
        {
            // S3 answers 204; some stores 404.
        }
    }

    public ValueTask DisposeAsync()
    {
        if (_connection.IsValueCreated) _connection.Value.Dispose();
        return ValueTask.CompletedTask;
    }

    private string What(BlobKey key) => $"{Description}, blob '{key.Value}'";

    private BlobStoreException NotFound(BlobKey key) => new(BlobErrorKind.NotFound, $"{What(key)}: there is no such blob.");

    private static BlobStoreException NotS3(string what, string why) => S3ErrorMapping.NotS3(what, why);

    private async ValueTask<int> PutBodyAsync(BlobKey key, BlobContent body, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken)
    {
        var connection = _connection.Value;
        // Every store checks the hash of a signed payload. The CRC, ten times as cheap, is checked by those that know it, and ignored by the others.
        // Typed, since a plain null would become an empty memory here.
        var payload = _options.SignPayload ? content : default(ReadOnlyMemory<byte>?);
        var checksum = _options.SignPayload ? default(uint?) : Crc32C.Compute(content.Span);
        using var request = await connection.Requests.PutAsync(key, body, payload, checksum, precondition, cancellationToken);
        // Saves sending long bodies in vain, and costs each put a round trip.
        request.Headers.ExpectContinue = content.Length >= ExpectContinueFromBytes;
        using var response = await connection.SendAsync(request, cancellationToken);
        // Anything can answer 200. Every S3 store names what it has stored.
        if (!response.Headers.NonValidated.TryGetValues("ETag", out var etag) || etag.ToString().Length == 0) throw NotS3(What(key), "the put was answered without an ETag");
        return 0;
    }

    private async ValueTask<int> ReadRangeAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        using var response = await GetRangeAsync(key, offsetBytes, destination.Length, cancellationToken);
        if (response is null) return 0;

        var range = S3ContentRange.Parse(response, What(key));
        var expected = (int)Math.Clamp(range.TotalBytes - offsetBytes, 0, destination.Length);
        if (expected == 0 || range.FirstByte != offsetBytes || range.LengthBytes != expected)
            throw NotS3(What(key), $"asked for {destination.Length} bytes from {offsetBytes} on, the answer holds {range}");
        await using var stream = await response.Content.ReadAsStreamAsync(cancellationToken);
        var total = await stream.ReadAtLeastAsync(destination[..expected], expected, throwOnEndOfStream: false, cancellationToken);
        if (total < expected) throw new BlobStoreException(BlobErrorKind.Unavailable, $"{What(key)}: the answer broke off after {total} of {expected} bytes.");
        // The end is met here, too: only then is the connection free for the next request.
        if (await stream.ReadAsync(new byte[1], cancellationToken) > 0) throw NotS3(What(key), $"the answer goes on after {expected} bytes");
        return total;
    }

    /// <summary>The answer, or null where the blob ends at or before the offset.</summary>
    private async ValueTask<HttpResponseMessage?> GetRangeAsync(BlobKey key, long offsetBytes, int lengthBytes, CancellationToken cancellationToken)
    {
        var connection = _connection.Value;
        using var request = await connection.Requests.GetAsync(key, offsetBytes, lengthBytes, cancellationToken);
        try
        {
            var response = await connection.SendAsync(request, cancellationToken);
            if (response.StatusCode == HttpStatusCode.PartialContent) return response;
            response.Dispose();
            throw NotS3(What(key), $"a ranged GET was answered with status {(int)response.StatusCode} instead of 206");
        }
        catch (AmazonS3Exception e) when (e.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable)
        {
            return null;
        }
    }

    private async IAsyncEnumerable<ListObjectsV2Response> PagesAsync(
        string prefix, string? startAfter, string? delimiter, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var request = new ListObjectsV2Request
        {
            BucketName = _options.Bucket,
            Prefix = _prefix + prefix,
            Delimiter = delimiter,
            StartAfter = string.IsNullOrEmpty(startAfter) ? null : _prefix + startAfter,
        };
        do
        {
            var page = await RequestAsync(Description, "listing", async token => await _connection.Value.Client.ListObjectsV2Async(request, token), cancellationToken);
            // A web page is no listing, but parses as an empty one.
            if (page.Name is null && page.KeyCount is null) throw NotS3(Description, "the answer to a listing is none");
            yield return page;
            if (page.IsTruncated == true && string.IsNullOrEmpty(page.NextContinuationToken)) throw NotS3(Description, "a listing goes on without a continuation token");
            request.ContinuationToken = page.IsTruncated == true ? page.NextContinuationToken : null;
        }
        while (request.ContinuationToken is not null);
    }

    /// <summary>Runs one request under its timeout, and translates whatever goes wrong.</summary>
    private async ValueTask<T> RequestAsync<T>(string what, string action, Func<CancellationToken, ValueTask<T>> request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        using var timeout = new CancellationTokenSource(_options.RequestTimeout, _time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        try
        {
            return await request(both.Token);
        }
        catch (Exception e) when (S3ErrorMapping.IsStoreFailure(e))
        {
            // The SDK may wrap a cancellation into something else: the token tells.
            cancellationToken.ThrowIfCancellationRequested();
            throw S3ErrorMapping.Translate(timeout.IsCancellationRequested ? new TimeoutException() : e, what, action, _options);
        }
    }
}
