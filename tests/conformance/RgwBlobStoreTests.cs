using System.Net;
using System.Net.Sockets;
using Amazon.Runtime;
using Amazon.S3;
using Gateway.Backends.Core;
using Gateway.Backends.S3;
using Gateway.Tests.Shared.Stores;
using Xunit;

namespace Gateway.Conformance.Tests;

/// <summary>S3 against Ceph's RADOS Gateway: the common suite, and what can go wrong between us and an S3 store.</summary>
[Trait("Category", "Server")]
public sealed class RgwBlobStoreTests : S3BlobStoreConformance
{
    protected override Task<S3StoreOptions> NewBucketAsync() => RgwBucket.NewAsync();

    [Fact]
    public async Task Endpoint_ClosedPort_IsUnavailableAndNamesIt()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var endpoint = (IPEndPoint)listener.LocalEndpoint;
        listener.Stop();
        await using var store = new S3BlobStore(LocalOptions(endpoint));

        var error = await ThrowsAsync(BlobErrorKind.Unavailable, () => store.PutAsync(new("a"), new byte[1], Precondition.None, None));

        Assert.Contains($"http://127.0.0.1:{endpoint.Port}", error.Message, StringComparison.Ordinal);
        Assert.Contains("refused", error.Message, StringComparison.Ordinal);
        await ThrowsAsync(BlobErrorKind.Unavailable, async () => await ListAsync(store));
    }

    [Fact]
    public async Task Endpoint_TakesConnectionsAndNeverAnswers_IsUnavailable()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        await using var store = new S3BlobStore(LocalOptions((IPEndPoint)listener.LocalEndpoint) with { RequestTimeout = TimeSpan.FromMilliseconds(300) });

        foreach (var length in (int[])[1, 4 << 20])
        {
            var error = await ThrowsAsync(BlobErrorKind.Unavailable, () => store.PutAsync(new("a"), new byte[length], Precondition.None, None));
            Assert.Contains("no answer within", error.Message, StringComparison.Ordinal);
        }

        await ThrowsAsync(BlobErrorKind.Unavailable, () => Discard(store.ReadAsync(new("a"), 0, new byte[1], None)));
        await ThrowsAsync(BlobErrorKind.Unavailable, async () => await ListAsync(store));
    }

    [Fact]
    public async Task Cancellation_WhileTheStoreIsSilent_IsACancellation()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        await using var store = new S3BlobStore(LocalOptions((IPEndPoint)listener.LocalEndpoint));
        using var source = new CancellationTokenSource();

        var read = store.ReadAsync(new("a"), 0, new byte[1], source.Token).AsTask();
        using var connection = await listener.AcceptTcpClientAsync();
        await source.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read);
    }

    [Fact]
    public async Task Endpoint_NoSuchHost_IsUnavailable()
    {
        await using var store = new S3BlobStore(LocalOptions(new IPEndPoint(IPAddress.Loopback, 1)) with { Endpoint = new Uri("http://no-such-host.invalid:9000") });

        await ThrowsAsync(BlobErrorKind.Unavailable, () => Discard(store.GetLengthAsync(new("a"), None)));
    }

    public static TheoryData<string, BlobErrorKind> Answers => new()
    {
        { "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>", BlobErrorKind.Rejected },
        { "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>", BlobErrorKind.Rejected },
        { "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", BlobErrorKind.Rejected },
        { "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/login\r\nContent-Length: 0\r\n\r\n", BlobErrorKind.Rejected },
        { "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n", BlobErrorKind.Rejected },
        { "HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n", BlobErrorKind.Rejected },
        { "SSH-2.0-OpenSSH_9.2\r\n", BlobErrorKind.Unavailable }, // or a status line that broke off: no proof of a wrong port
        { "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", BlobErrorKind.Unavailable },
        { "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>", BlobErrorKind.Unavailable },
        { "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", BlobErrorKind.Unavailable },
        { S3Error("503 Slow Down", "SlowDown"), BlobErrorKind.Throttled },
        { S3Error("429 Too Many Requests", "TooManyRequests"), BlobErrorKind.Throttled },
        { S3Error("409 Conflict", "ConditionalRequestConflict"), BlobErrorKind.Throttled },
        { S3Error("500 Internal Server Error", "InternalError"), BlobErrorKind.Unavailable },
        { S3Error("400 Bad Request", "RequestTimeout"), BlobErrorKind.Unavailable },
        { S3Error("403 Forbidden", "QuotaExceeded"), BlobErrorKind.Unavailable },
        { S3Error("400 Bad Request", "ExpiredToken"), BlobErrorKind.AccessDenied },
        { S3Error("403 Forbidden", "AccessDenied"), BlobErrorKind.AccessDenied },
        { S3Error("403 Forbidden", "InvalidAccessKeyId"), BlobErrorKind.AccessDenied },
        { S3Error("403 Forbidden", "RequestTimeTooSkewed"), BlobErrorKind.AccessDenied },
        { S3Error("400 Bad Request", "AuthorizationHeaderMalformed"), BlobErrorKind.Rejected },
        { S3Error("301 Moved Permanently", "PermanentRedirect"), BlobErrorKind.Rejected },
        { S3Error("400 Bad Request", "InvalidArgument"), BlobErrorKind.Rejected },
        { S3Error("404 Not Found", "NoSuchBucket"), BlobErrorKind.ContainerMissing },
        { "", BlobErrorKind.Unavailable },
        { "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-0/1\r\nContent-Length: 1000\r\n\r\n", BlobErrorKind.Unavailable },
    };

    [Theory, MemberData(nameof(Answers))]
    public async Task Endpoint_AnswersOddly_HasTheRightKind(string answer, BlobErrorKind expected)
    {
        await using var server = new CannedServer(answer);
        await using var store = new S3BlobStore(LocalOptions(server.Endpoint));
        List<BlobStoreException> errors =
        [
            await ThrowsAsync(expected, () => Discard(store.ReadAsync(new("a"), 0, new byte[1], None))),
        ];
        // The head of a partial answer is enough for a length.
        if (!answer.StartsWith("HTTP/1.1 206", StringComparison.Ordinal))
        {
            errors.Add(await ThrowsAsync(expected, () => Discard(store.GetLengthAsync(new("a"), None))));
            errors.Add(await ThrowsAsync(expected, () => store.PutAsync(new("a"), new byte[1], Precondition.None, None)));
            errors.Add(await ThrowsAsync(expected, async () => await ListAsync(store)));
        }

        Assert.All(errors, e =>
        {
            Assert.Contains(server.Endpoint.ToString(), e.Message, StringComparison.Ordinal);
            Assert.DoesNotContain("aSecretOfATest", e.ToString(), StringComparison.Ordinal);
            Assert.DoesNotContain("anAccessKeyId", e.ToString(), StringComparison.Ordinal);
        });
    }

    public static TheoryData<string> WrongRanges =>
    [
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/100\r\nContent-Length: 10\r\n\r\n0123456789",
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/100\r\nContent-Length: 5\r\n\r\n01234",
        "HTTP/1.1 206 Partial Content\r\nContent-Range: nonsense\r\nContent-Length: 10\r\n\r\n0123456789",
        "HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\n\r\n0123456789",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789",
    ];

    [Theory, MemberData(nameof(WrongRanges))]
    public async Task Read_AnswerIsNotTheRangeAskedFor_IsRejected(string answer)
    {
        await using var server = new CannedServer(answer);
        await using var store = new S3BlobStore(LocalOptions(server.Endpoint));

        await ThrowsAsync(BlobErrorKind.Rejected, () => Discard(store.ReadAsync(new("a"), 5, new byte[10], None)));
    }

    [Fact]
    public async Task Put_ConnectionBreaks_IsTriedOnce()
    {
        await using var server = new CannedServer("");
        await using var store = new S3BlobStore(LocalOptions(server.Endpoint));

        await ThrowsAsync(BlobErrorKind.Unavailable, () => store.PutAsync(new("a"), new byte[1], Precondition.Absent, None));

        Assert.Equal(1, server.Requests);
    }

    [Fact]
    public void Options_Faulty_AreReportedTogether()
    {
        var options = new S3StoreOptions { Endpoint = new Uri("http://user:password@host/path"), Prefix = "/x", AccessKeyId = "a", Profile = "b", ConnectTimeout = TimeSpan.Zero, RequestTimeout = TimeSpan.FromDays(1) };

        var faults = options.Validate(new(options)).ToList();

        Assert.Equal(6, faults.Count);
    }

    private static string S3Error(string status, string code)
    {
        var body = $"<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>text anAccessKeyId</Message><AWSAccessKeyId>anAccessKeyId</AWSAccessKeyId><RequestId>r-1</RequestId></Error>";
        return $"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {body.Length}\r\n\r\n{body}";
    }

    private static S3StoreOptions LocalOptions(IPEndPoint endpoint)
    {
        var secret = Path.Combine(Path.GetTempPath(), $"s3-test-secret-{Environment.ProcessId}");
        lock (Secrets) if (!File.Exists(secret)) File.WriteAllText(secret, "aSecretOfATest");
        return new S3StoreOptions { Endpoint = new Uri($"http://{endpoint}"), Bucket = "bucket", AccessKeyId = "anAccessKeyId", SecretAccessKeyFile = secret };
    }

    private static readonly Lock Secrets = new();

    /// <summary>Reads one request's head per connection, gives a canned answer, and closes.</summary>
    private sealed class CannedServer : IAsyncDisposable
    {
        private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
        private readonly CancellationTokenSource _stop = new();
        private readonly byte[] _answer;
        private readonly Task _loop;
        private int _requests;

        public CannedServer(string answer)
        {
            // Said, so that the client does not send its next request on a connection that is about to close.
            var endOfStatus = answer.StartsWith("HTTP/", StringComparison.Ordinal) ? answer.IndexOf("\r\n", StringComparison.Ordinal) : -1;
            if (endOfStatus > 0) answer = answer.Insert(endOfStatus, "\r\nConnection: close");
            _answer = System.Text.Encoding.ASCII.GetBytes(answer);
            _listener.Start();
            _loop = ServeAsync();
        }

        public IPEndPoint Endpoint => (IPEndPoint)_listener.LocalEndpoint;

        public int Requests => Volatile.Read(ref _requests);

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _loop;
            _listener.Dispose();
            _stop.Dispose();
        }

        private async Task ServeAsync()
        {
            try
            {
                while (true)
                {
                    using var connection = await _listener.AcceptTcpClientAsync(_stop.Token);
                    try
                    {
                        await AnswerAsync(connection);
                    }
                    catch (IOException)
                    {
                        // The client has gone: its choice.
                    }
                }
            }
            catch (OperationCanceledException)
            {
            }
        }

        private async Task AnswerAsync(TcpClient connection)
        {
            var stream = connection.GetStream();
            using var reader = new StreamReader(stream, leaveOpen: true);
            var bodyBytes = 0;
            while (await reader.ReadLineAsync(_stop.Token) is { Length: > 0 } line)
                if (line.StartsWith("Content-Length: ", StringComparison.OrdinalIgnoreCase)) bodyBytes = int.Parse(line["Content-Length: ".Length..], System.Globalization.CultureInfo.InvariantCulture);
            Interlocked.Increment(ref _requests);
            // A close with unread bytes is a reset, which may overtake the answer. Bodies here are of one byte, and ASCII.
            if (bodyBytes > 0) await reader.ReadAsync(new char[bodyBytes], _stop.Token);
            await stream.WriteAsync(_answer, _stop.Token);
        }
    }
}
