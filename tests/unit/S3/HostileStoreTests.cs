using System.Net;
using System.Net.Sockets;
using System.Text;
using Gateway.Backends.Core;
using Xunit;

namespace Gateway.Backends.S3.Tests;

/// <summary>Answers that no store should give: they end in an error of the right kind, in bounded time and memory, with our secrets in none.</summary>
public sealed class HostileStoreTests : IDisposable
{
    private const string Secret = "aSecretOfATest";
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly string _secretFile = Path.GetTempFileName();

    public HostileStoreTests()
    {
        _listener.Start();
        File.WriteAllText(_secretFile, Secret);
    }

    public void Dispose()
    {
        _listener.Dispose();
        File.Delete(_secretFile);
    }

    public static TheoryData<string, BlobErrorKind> Reads => new()
    {
        // Longer than it says it is, in both ways of saying it.
        { "206 Partial Content\r\nContent-Range: bytes 0-9/10\r\nContent-Length: 11\r\n\r\n0123456789X", BlobErrorKind.Rejected },
        { "206 Partial Content\r\nContent-Range: bytes 0-9/10\r\nTransfer-Encoding: chunked\r\n\r\nB\r\n0123456789X\r\n0\r\n\r\n", BlobErrorKind.Rejected },
        { "206 Partial Content\r\nContent-Range: bytes 0-9/10\r\nContent-Length: 9223372036854775807\r\n\r\n0123456789X", BlobErrorKind.Rejected },
        // Broken off.
        { "206 Partial Content\r\nContent-Range: bytes 0-9/10\r\nContent-Length: 10\r\n\r\n012345", BlobErrorKind.Unavailable },
        { "206 Partial Content\r\nContent-Range: bytes 0-9/10\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n", BlobErrorKind.Unavailable },
        { "206 Partial Content\r\nContent-Range: bytes 0-9/10\r\nContent-Length: 4\r\n\r\n0123", BlobErrorKind.Unavailable },
        { "206 Partial Content\r\nContent-Ra", BlobErrorKind.Unavailable },
        { "2", BlobErrorKind.Unavailable },
        { "", BlobErrorKind.Unavailable },
        { "no number at all\r\n\r\n", BlobErrorKind.Unavailable },
        // Ranges that are none, of other bytes, or past every number.
        { "206 Partial Content\r\nContent-Range: bytes 1-10/11\r\nContent-Length: 10\r\n\r\n0123456789", BlobErrorKind.Rejected },
        { "206 Partial Content\r\nContent-Range: bytes 0-9/0\r\nContent-Length: 10\r\n\r\n0123456789", BlobErrorKind.Rejected },
        { "206 Partial Content\r\nContent-Range: bytes 0-9223372036854775807/9223372036854775807\r\nContent-Length: 10\r\n\r\n0123456789", BlobErrorKind.Rejected },
        { "206 Partial Content\r\nContent-Range: bytes 0-99999999999999999999/5\r\nContent-Length: 10\r\n\r\n0123456789", BlobErrorKind.Rejected },
        { "206 Partial Content\r\nContent-Range: bytes 0-9/*\r\nContent-Length: 10\r\n\r\n0123456789", BlobErrorKind.Rejected },
        { "307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", BlobErrorKind.Rejected },
        // Errors whose words are no words.
        { "500 Internal Server Error\r\nContent-Type: application/xml\r\nContent-Length: 9\r\n\r\n<Error><C", BlobErrorKind.Unavailable },
        { "403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: 7\r\n\r\n<<<>&;\0", BlobErrorKind.AccessDenied },
        { "403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: 99\r\n\r\n<Error>", BlobErrorKind.Unavailable },
    };

    [Theory, MemberData(nameof(Reads))]
    public async Task Read_HostileAnswer_HasTheRightKind(string answer, BlobErrorKind expected)
    {
        await using var store = Open();
        var guarded = new byte[30];

        var read = store.ReadAsync(new("a"), 0, guarded.AsMemory(10, 10), CancellationToken.None).AsTask();
        await AnswerAsync("HTTP/1.1 " + answer);

        var error = await Assert.ThrowsAsync<BlobStoreException>(() => read);
        Assert.True(expected == error.Kind, $"{expected} was expected, but {error.Kind} came: {error.Message}");
        Assert.DoesNotContain(Secret, error.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("Signature=", error.ToString(), StringComparison.Ordinal);
        Assert.Equal(-1, guarded.AsSpan(0, 10).IndexOfAnyExcept((byte)0));
        Assert.Equal(-1, guarded.AsSpan(20).IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public async Task Error_OfEntitiesThatMultiply_EndsAsAnError()
    {
        var entities = new StringBuilder("<?xml version=\"1.0\"?><!DOCTYPE Error [<!ENTITY e0 \"ha\">");
        for (var i = 1; i < 40; i++) entities.Append(System.Globalization.CultureInfo.InvariantCulture, $"<!ENTITY e{i} \"&e{i - 1};&e{i - 1};\">");
        var body = entities.Append("]><Error><Code>&e39;</Code></Error>").ToString();
        await using var store = Open();

        var read = store.ReadAsync(new("a"), 0, new byte[1], CancellationToken.None).AsTask();
        await AnswerAsync($"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: {body.Length}\r\n\r\n{body}");

        var error = await Assert.ThrowsAsync<BlobStoreException>(() => read);
        Assert.Equal(BlobErrorKind.AccessDenied, error.Kind);
    }

    [Fact]
    public async Task Error_ThatNeverEnds_IsReadNoFurtherThanItsBound()
    {
        await using var store = Open();

        var read = store.ReadAsync(new("a"), 0, new byte[1], CancellationToken.None).AsTask();
        using var connection = await AcceptAsync();
        await connection.GetStream().WriteAsync(Encoding.ASCII.GetBytes("HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: 1000000000\r\n\r\n<Error><Code>AccessDenied</Code>" + new string(' ', 70_000)));

        var error = await Assert.ThrowsAsync<BlobStoreException>(() => read);
        Assert.Equal(BlobErrorKind.AccessDenied, error.Kind);
    }

    [Theory]
    [InlineData("429 Too Many Requests", "<Error><Code>SlowDown</Code></Error>", BlobErrorKind.Throttled)]
    [InlineData("503 Service Unavailable", "", BlobErrorKind.Unavailable)]
    [InlineData("503 Service Unavailable", "<html>", BlobErrorKind.Unavailable)]
    public async Task Error_WithRetryAfter_SaysSoOnBothWaysToTheStore(string status, string body, BlobErrorKind kind)
    {
        await using var store = Open();
        var answer = $"HTTP/1.1 {status}\r\nRetry-After: 7\r\nConnection: close\r\nContent-Type: application/xml\r\nContent-Length: {body.Length}\r\n\r\n{body}";

        foreach (var request in new Func<Task>[] { () => store.ReadAsync(new("a"), 0, new byte[1], CancellationToken.None).AsTask(), () => store.DeleteAsync(new("a"), CancellationToken.None).AsTask() })
        {
            var running = request();
            await AnswerAsync(answer);

            var error = await Assert.ThrowsAsync<BlobStoreException>(() => running);
            Assert.Equal((kind, TimeSpan.FromSeconds(7)), (error.Kind, error.RetryAfter));
        }
    }

    [Fact]
    public async Task Read_BodyStopsAndTheConnectionStays_EndsWithTheRequestTimeout()
    {
        await using var store = Open(TimeSpan.FromMilliseconds(300));

        var read = store.ReadAsync(new("a"), 0, new byte[10], CancellationToken.None).AsTask();
        using var connection = await AcceptAsync();
        await connection.GetStream().WriteAsync(Encoding.ASCII.GetBytes("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/10\r\nContent-Length: 10\r\n\r\n012"));

        var error = await Assert.ThrowsAsync<BlobStoreException>(() => read);
        Assert.Equal(BlobErrorKind.Unavailable, error.Kind);
        Assert.Contains("no answer within", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Put_BodyIsNotTaken_EndsWithTheRequestTimeout()
    {
        await using var store = Open(TimeSpan.FromMilliseconds(300));

        var put = store.PutAsync(new("a"), new byte[32 << 20], Precondition.Absent, CancellationToken.None).AsTask();
        using var connection = await AcceptAsync();
        await connection.GetStream().WriteAsync(Encoding.ASCII.GetBytes("HTTP/1.1 100 Continue\r\n\r\n"));

        var error = await Assert.ThrowsAsync<BlobStoreException>(() => put);
        Assert.Equal(BlobErrorKind.Unavailable, error.Kind);
    }

    [Fact]
    public async Task Put_EmptyETag_IsRejected()
    {
        await using var store = Open();

        var put = store.PutAsync(new("a"), default, Precondition.None, CancellationToken.None).AsTask();
        await AnswerAsync("HTTP/1.1 200 OK\r\nETag: \r\nContent-Length: 0\r\n\r\n");

        Assert.Equal(BlobErrorKind.Rejected, (await Assert.ThrowsAsync<BlobStoreException>(() => put)).Kind);
    }

    [Fact]
    public async Task Content_RequestEndedBeforeItWasSent_IsNeverSent()
    {
        using var content = new BlobContent(new byte[10]);
        await content.SentAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => content.CopyToAsync(Stream.Null));
    }

    [Fact]
    public async Task Content_StillBeingWritten_IsWaitedFor()
    {
        using var content = new BlobContent(new byte[10]);
        using var stream = new HeldStream();
        var copy = content.CopyToAsync(stream);

        var sent = content.SentAsync();

        Assert.False(sent.IsCompleted);
        stream.Fail();
        await sent;
        await Assert.ThrowsAnyAsync<Exception>(() => copy);
    }

    private S3BlobStore Open(TimeSpan? timeout = null)
    {
        var options = new S3StoreOptions { Endpoint = new Uri($"http://{_listener.LocalEndpoint}"), Bucket = "bucket", AccessKeyId = "anId", SecretAccessKeyFile = _secretFile };
        if (timeout is { } limit) options.RequestTimeout = limit;
        return new S3BlobStore(options);
    }

    /// <summary>Takes a connection and reads a request's head.</summary>
    private async Task<TcpClient> AcceptAsync()
    {
        var connection = await _listener.AcceptTcpClientAsync();
        using var reader = new StreamReader(connection.GetStream(), leaveOpen: true);
        while (await reader.ReadLineAsync() is { Length: > 0 })
        {
        }

        return connection;
    }

    private async Task AnswerAsync(string answer)
    {
        using var connection = await AcceptAsync();
        await connection.GetStream().WriteAsync(Encoding.ASCII.GetBytes(answer));
    }

    /// <summary>Takes what is written to it for as long as it is told to.</summary>
    private sealed class HeldStream : MemoryStream
    {
        private readonly TaskCompletionSource _held = new();

        public void Fail() => _held.SetException(new IOException("The connection is closed."));

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => new(_held.Task);
    }
}
