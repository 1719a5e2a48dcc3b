using Gateway.Backends.Core;
using Gateway.Backends.Grpc.V1;
using Google.Protobuf;
using Grpc.Core;
using Xunit;
using BlobInfo = Gateway.Backends.Grpc.V1.BlobInfo;
using Precondition = Gateway.Backends.Core.Precondition;

namespace Gateway.Backends.Grpc.Tests;

/// <summary>What a server says is not to be trusted: nothing of it makes the client write elsewhere, take up memory or believe in bytes that are not there.</summary>
public sealed class HostileServerTests
{
    private static readonly BlobKey Key = new("blob");

    private static CancellationToken None => CancellationToken.None;

    public static TheoryData<string> WrongGets => [.. Gets.Keys];

    private static readonly Dictionary<string, (BlobErrorKind Kind, GetResponse[] Answer)> Gets = new()
    {
        ["nothing"] = (BlobErrorKind.Rejected, []),
        ["no header"] = (BlobErrorKind.Rejected, [Chunk(10)]),
        ["more than asked for"] = (BlobErrorKind.Rejected, [Header(11), Chunk(11)]),
        ["more than there can be"] = (BlobErrorKind.Rejected, [Header(ulong.MaxValue), Chunk(10)]),
        ["more than announced"] = (BlobErrorKind.Rejected, [Header(5), Chunk(6)]),
        ["more than announced in a second piece"] = (BlobErrorKind.Rejected, [Header(10), Chunk(10), Chunk(1)]),
        ["less than announced"] = (BlobErrorKind.Rejected, [Header(10), Chunk(9)]),
        ["an empty piece"] = (BlobErrorKind.Rejected, [Header(10), Chunk(0), Chunk(10)]),
        ["two headers"] = (BlobErrorKind.Rejected, [Header(10), Header(10), Chunk(10)]),
        ["a part that is none"] = (BlobErrorKind.Rejected, [Header(10), new GetResponse(), Chunk(10)]),
        ["other bytes"] = (BlobErrorKind.Corrupt, [Header(10, seed: 2), Chunk(10)]),
        ["a message of 2 MiB"] = (BlobErrorKind.Rejected, [Header(10), Chunk(2 << 20)]),
    };

    [Theory, MemberData(nameof(WrongGets))]
    public async Task Read_WrongAnswer_IsAnErrorAndTouchesNothingElse(string name)
    {
        var (kind, answer) = Gets[name];
        await using var server = await ScriptedServer.StartAsync(new() { Get = answer });
        await using var store = Open(server);
        var guarded = Enumerable.Repeat((byte)0xEE, 30).ToArray();

        var error = await Assert.ThrowsAsync<BlobStoreException>(async () => await store.ReadAsync(Key, 0, guarded.AsMemory(10, 10), None));

        Assert.True(kind == error.Kind, error.Message);
        Assert.All(guarded[..10], b => Assert.Equal(0xEE, b));
        Assert.All(guarded[20..], b => Assert.Equal(0xEE, b));
    }

    [Fact]
    public async Task Read_RightAnswerInPieces_IsPutTogether()
    {
        await using var server = await ScriptedServer.StartAsync(new() { Get = [Header(10), Chunk(4), new GetResponse { Chunk = ByteString.CopyFrom(Bytes(10)[4..]) }] });
        await using var store = Open(server);
        var buffer = new byte[12];

        Assert.Equal(10, await store.ReadAsync(Key, 0, buffer, None));
        Assert.Equal(Bytes(10), buffer[..10]);
    }

    public static TheoryData<string> WrongLists => [.. Lists.Keys];

    private static readonly Dictionary<string, ListResponse[]> Lists = new()
    {
        ["no end and no names"] = [new ListResponse()],
        ["nothing at all"] = [],
        ["out of order"] = [Names("p/b", "p/a")],
        ["one twice"] = [Names("p/a", "p/a")],
        ["before the start"] = [Names("p/0")],
        ["the start itself"] = [Names("p/1")],
        ["another prefix"] = [Names("q/a")],
        ["an empty name"] = [Names("")],
        ["a name without end"] = [Names("p/" + new string('x', 5000))],
        ["more than asked for"] = [.. Enumerable.Range(0, 1001).Select(i => new ListResponse { Blobs = { new BlobInfo { Name = $"p/a{i:d5}" } } })],
        ["a length that is none"] = [new ListResponse { Blobs = { new BlobInfo { Name = "p/a", LengthBytes = ulong.MaxValue } }, End = true }],
        ["more after the end"] = [new ListResponse { End = true }, new ListResponse { End = true }],
    };

    [Theory, MemberData(nameof(WrongLists))]
    public async Task List_WrongAnswer_IsRejected(string name)
    {
        await using var server = await ScriptedServer.StartAsync(new() { List = Lists[name] });
        await using var store = Open(server);

        await ThrowsAsync(BlobErrorKind.Rejected, async () =>
        {
            await foreach (var _ in store.ListAsync("p/", "p/1", None))
            {
            }
        });
    }

    [Theory]
    [InlineData("a")]
    [InlineData("/")]
    [InlineData("a/b/")]
    [InlineData("b/", "a/")]
    public async Task ListFolders_WrongAnswer_IsRejected(params string[] folders)
    {
        await using var server = await ScriptedServer.StartAsync(new() { Folders = [new ListFoldersResponse { Folders = { folders }, End = true }] });
        await using var store = Open(server);

        await ThrowsAsync(BlobErrorKind.Rejected, async () =>
        {
            await foreach (var _ in store.ListFoldersAsync("", None))
            {
            }
        });
    }

    [Fact]
    public async Task Put_AnsweredWithOkUnread_IsRejected()
    {
        await using var server = await ScriptedServer.StartAsync(new() { Put = new PutResponse() });
        await using var store = Open(server);

        await ThrowsAsync(BlobErrorKind.Rejected, async () => await store.PutAsync(Key, new byte[4 << 20], Precondition.None, None));
    }

    [Fact]
    public async Task Put_AnsweredForOtherBytes_IsRejected()
    {
        await using var server = await ScriptedServer.StartAsync(new() { Put = new PutResponse { LengthBytes = 3, Crc32C = 1 } });
        await using var store = Open(server);

        await ThrowsAsync(BlobErrorKind.Rejected, async () => await store.PutAsync(Key, new byte[3], Precondition.None, None));
    }

    [Fact]
    public async Task Length_OfMoreThanThereCanBe_IsRejected()
    {
        await using var server = await ScriptedServer.StartAsync(new() { Length = new GetLengthResponse { LengthBytes = ulong.MaxValue } });
        await using var store = Open(server);

        await ThrowsAsync(BlobErrorKind.Rejected, async () => await store.GetLengthAsync(Key, None));
    }

    [Theory]
    [InlineData(StatusCode.NotFound, true, BlobErrorKind.NotFound)]
    [InlineData(StatusCode.NotFound, false, BlobErrorKind.Rejected)]
    [InlineData(StatusCode.AlreadyExists, true, BlobErrorKind.PreconditionFailed)]
    [InlineData(StatusCode.AlreadyExists, false, BlobErrorKind.Rejected)]
    [InlineData(StatusCode.FailedPrecondition, true, BlobErrorKind.ContainerMissing)]
    [InlineData(StatusCode.ResourceExhausted, true, BlobErrorKind.Throttled)]
    [InlineData(StatusCode.ResourceExhausted, false, BlobErrorKind.Rejected)]
    [InlineData(StatusCode.Unauthenticated, false, BlobErrorKind.AccessDenied)]
    [InlineData(StatusCode.PermissionDenied, false, BlobErrorKind.AccessDenied)]
    [InlineData(StatusCode.Unavailable, false, BlobErrorKind.Unavailable)]
    [InlineData(StatusCode.Internal, false, BlobErrorKind.Unavailable)]
    [InlineData(StatusCode.Unknown, false, BlobErrorKind.Unavailable)]
    [InlineData(StatusCode.Cancelled, false, BlobErrorKind.Unavailable)]
    [InlineData(StatusCode.DeadlineExceeded, false, BlobErrorKind.Unavailable)]
    [InlineData(StatusCode.DataLoss, false, BlobErrorKind.Corrupt)]
    [InlineData(StatusCode.InvalidArgument, false, BlobErrorKind.Rejected)]
    [InlineData(StatusCode.Unimplemented, false, BlobErrorKind.Rejected)]
    public async Task Status_OfTheInterface_BecomesThatKind(StatusCode code, bool named, BlobErrorKind kind)
    {
        var trailers = new Metadata();
        if (named) trailers.Add("blob-error", "x");
        await using var server = await ScriptedServer.StartAsync(new() { Failure = new RpcException(new Status(code, "said\u0007\nso"), trailers) });
        await using var store = Open(server);

        foreach (var call in (Func<Task>[])[async () => await store.ReadAsync(Key, 0, new byte[1], None), async () => await store.PutAsync(Key, new byte[3], Precondition.Absent, None), async () => await store.GetLengthAsync(Key, None)])
        {
            var error = await Assert.ThrowsAsync<BlobStoreException>(call);
            Assert.True(kind == error.Kind, error.Message);
            Assert.DoesNotContain(error.Message, char.IsControl);
        }
    }

    [Theory]
    [InlineData("1500", 1.5)]
    [InlineData("9000000000000000000", 3600.0)]
    [InlineData("-5", null)]
    [InlineData("soon", null)]
    public async Task RetryAfter_AsTheTrailerHasIt_IsKeptWithinReason(string trailer, double? seconds)
    {
        await using var server = await ScriptedServer.StartAsync(new() { Failure = new RpcException(new Status(StatusCode.ResourceExhausted, ""), new Metadata { { "blob-error", "throttled" }, { "retry-after-ms", trailer } }) });
        await using var store = Open(server);

        var error = await ThrowsAsync(BlobErrorKind.Throttled, async () => await store.GetLengthAsync(Key, None));

        Assert.Equal(seconds, error.RetryAfter?.TotalSeconds);
    }

    [Fact]
    public async Task Token_RepeatedByTheServer_IsInNoMessage()
    {
        var file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, "s3cr3t-t0k3n\n");
        await using var server = await ScriptedServer.StartAsync(new() { Failure = new RpcException(new Status(StatusCode.Unauthenticated, "bad header 'Bearer s3cr3t-t0k3n'")) });
        await using var store = new GrpcBlobStore(new GrpcStoreOptions { Address = server.Address, TokenFile = file });

        var error = await ThrowsAsync(BlobErrorKind.AccessDenied, async () => await store.GetLengthAsync(Key, None));

        Assert.DoesNotContain("s3cr3t", error.ToString(), StringComparison.Ordinal);
        File.Delete(file);
        error = await ThrowsAsync(BlobErrorKind.AccessDenied, async () => await store.GetLengthAsync(Key, None));
        Assert.Contains(file, error.Message, StringComparison.Ordinal);
    }

    private static GrpcBlobStore Open(ScriptedServer server) => new(new GrpcStoreOptions { Address = server.Address });

    private static byte[] Bytes(int length, int seed = 1)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private static GetResponse Header(ulong length, int seed = 1) => new() { Header = new GetHeader { LengthBytes = length, Crc32C = Crc32C.Compute(Bytes((int)Math.Min(length, 10), seed)) } };

    private static GetResponse Chunk(int length) => new() { Chunk = ByteString.CopyFrom(Bytes(length)) };

    private static ListResponse Names(params string[] names) => new() { Blobs = { names.Select(n => new BlobInfo { Name = n }) }, End = true };

    private static async Task<BlobStoreException> ThrowsAsync(BlobErrorKind kind, Func<Task> action)
    {
        var error = await Assert.ThrowsAsync<BlobStoreException>(action);
        Assert.True(kind == error.Kind, $"{kind} was expected, but {error.Kind} came: {error.Message}");
        return error;
    }
}
