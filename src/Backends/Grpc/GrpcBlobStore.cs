using System.Runtime.CompilerServices;
using System.Text;
using Gateway.Backends.Core;
using Gateway.Backends.Grpc.V1;
using Google.Protobuf;
using Grpc.Core;
using BlobInfo = Gateway.Backends.Core.BlobInfo;
using Precondition = Gateway.Backends.Core.Precondition;

namespace Gateway.Backends.Grpc;

/// <summary>A blob server as a blob store.</summary>
/// <remarks>
/// Every operation is one call (a listing, one per 1,000 names) and is tried once: only the caller knows whether to try again. What the server says
/// is held to what was asked for: it can neither have us write outside of a destination nor allocate more than a message and a page of names.
/// </remarks>
public sealed class GrpcBlobStore : IBlobStore
{
    /// <summary>Names asked for at a time.</summary>
    internal const int PageNames = 1000;

    /// <summary>Longest name in a listing, by the interface.</summary>
    internal const int NameCharsMax = 1024;

    private readonly GrpcStoreOptions _options;
    private readonly TimeProvider _time;
    private readonly Lazy<GrpcConnection> _connection;

    /// <summary>Connects to nothing yet.</summary>
    /// <param name="options">Read once, here.</param>
    /// <param name="time">Measures <see cref="GrpcStoreOptions.RequestTimeout"/>; the system's clock if null.</param>
    /// <exception cref="ArgumentException">The address is none.</exception>
    public GrpcBlobStore(GrpcStoreOptions options, TimeProvider? time = null)
    {
        var address = GrpcAddress.TryParse(options.Address) ?? throw new ArgumentException($"An address is {GrpcAddress.Syntax}.", nameof(options));
        _options = options with { };
        _time = time ?? TimeProvider.System;
        // A file that is missing now may be there for the next request: a failure is not kept.
        _connection = new Lazy<GrpcConnection>(() => new GrpcConnection(_options, address), LazyThreadSafetyMode.PublicationOnly);
        Description = $"blob server at {address}";
    }

    public string Description { get; }

    public async ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offsetBytes);
        var request = new GetRequest { Key = key.Value, OffsetBytes = (ulong)offsetBytes, LengthBytes = (ulong)destination.Length };
        return await RequestAsync(What(key), "reading", async (connection, call) =>
        {
            using var get = connection.Client.Get(request, call);
            return await ReceiveAsync(What(key), get.ResponseStream, destination, call.CancellationToken);
        }, cancellationToken);
    }

    public async ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken)
    {
        var header = new PutHeader
        {
            Key = key.Value,
            Precondition = precondition == Precondition.Absent ? V1.Precondition.Absent : V1.Precondition.None,
            LengthBytes = (ulong)content.Length,
            Crc32C = Crc32C.Compute(content.Span),
        };
        await RequestAsync(What(key), "putting", async (connection, call) =>
        {
            using var put = connection.Client.Put(call);
            var sent = await TrySendAsync(put.RequestStream, header, content, call.CancellationToken);
            var response = await put.ResponseAsync; // Says why, if the server did not want the rest.
            // Anything can answer OK. A blob server says what it has stored.
            if (!sent || response.LengthBytes != header.LengthBytes || response.Crc32C != header.Crc32C)
                throw BlobStatus.NotABlobServer(What(key), "the put was answered with OK, but not for these bytes");
            return 0;
        }, cancellationToken);
    }

    public async ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken) =>
        await RequestAsync(What(key), "looking at it", async (connection, call) =>
        {
            var response = await connection.Client.GetLengthAsync(new GetLengthRequest { Key = key.Value }, call);
            return response.HasLengthBytes ? LengthOf(What(key), response.LengthBytes) : (long?)null;
        }, cancellationToken);

    public async IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var last = startAfter ?? "";
        for (var end = false; !end;)
        {
            var after = last;
            var page = new List<BlobInfo>();
            end = await RequestAsync(Description, "listing", async (connection, call) =>
            {
                using var list = connection.Client.List(new ListRequest { Prefix = prefix, StartAfter = after, Limit = PageNames }, call);
                var complete = false;
                while (await list.ResponseStream.MoveNext(call.CancellationToken))
                {
                    if (complete) throw BlobStatus.NotABlobServer(Description, "a listing goes on after its end");
                    var message = list.ResponseStream.Current;
                    foreach (var blob in message.Blobs)
                    {
                        CheckName(blob.Name, page.Count == 0 ? after : page[^1].Name, page.Count);
                        if (!blob.Name.StartsWith(prefix, StringComparison.Ordinal)) throw BlobStatus.NotABlobServer(Description, "the listing has names that do not begin with what was asked for");
                        page.Add(new BlobInfo(blob.Name, LengthOf(Description, blob.LengthBytes)));
                    }

                    complete = message.End;
                }

                return complete || page.Count > 0 ? complete : throw BlobStatus.NotABlobServer(Description, "a listing goes on without a name");
            }, cancellationToken);
            foreach (var blob in page) yield return blob;
            if (page.Count > 0) last = page[^1].Name;
        }
    }

    public async IAsyncEnumerable<string> ListFoldersAsync(string prefix, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (prefix.Length > 0 && prefix[^1] != '/') throw new ArgumentException("A folder prefix is empty or ends in '/'.", nameof(prefix));
        var last = "";
        for (var end = false; !end;)
        {
            var after = last;
            var page = new List<string>();
            end = await RequestAsync(Description, "listing folders", async (connection, call) =>
            {
                using var list = connection.Client.ListFolders(new ListFoldersRequest { Prefix = prefix, StartAfter = after, Limit = PageNames }, call);
                var complete = false;
                while (await list.ResponseStream.MoveNext(call.CancellationToken))
                {
                    if (complete) throw BlobStatus.NotABlobServer(Description, "a listing goes on after its end");
                    var message = list.ResponseStream.Current;
                    foreach (var folder in message.Folders)
                    {
                        CheckName(folder, page.Count == 0 ? after : page[^1], page.Count);
                        if (folder.Length < 2 || folder.IndexOf('/') != folder.Length - 1) throw BlobStatus.NotABlobServer(Description, "the listing has folders that are none");
                        page.Add(folder);
                    }

                    complete = message.End;
                }

                return complete || page.Count > 0 ? complete : throw BlobStatus.NotABlobServer(Description, "a listing goes on without a name");
            }, cancellationToken);
            foreach (var folder in page) yield return folder;
            if (page.Count > 0) last = page[^1];
        }
    }

    public async ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken) =>
        await RequestAsync(What(key), "removing", async (connection, call) => await connection.Client.DeleteAsync(new DeleteRequest { Key = key.Value }, call), cancellationToken);

    public ValueTask DisposeAsync()
    {
        if (_connection.IsValueCreated) _connection.Value.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>Runs one call under its timeout, and translates whatever goes wrong.</summary>
    internal async ValueTask<T> RequestAsync<T>(
        string what, string action, Func<GrpcConnection, CallOptions, ValueTask<T>> request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        using var timeout = new CancellationTokenSource(_options.RequestTimeout, _time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        string? token = null;
        try
        {
            var connection = _connection.Value;
            token = connection.Token;
            var headers = TraceContext.AddTo(token is null ? null : new Metadata { { "authorization", "Bearer " + token } });
            // For the server to know. The library counts by the system's clock, whatever ours is.
            var deadline = TimeProvider.System.GetUtcNow().UtcDateTime + _options.RequestTimeout;
            return await request(connection, new CallOptions(headers, deadline, both.Token));
        }
        catch (Exception e) when (e is RpcException or OperationCanceledException or HttpRequestException or IOException or TimeoutException)
        {
            cancellationToken.ThrowIfCancellationRequested();
            throw BlobStatus.ToBlobError(timeout.IsCancellationRequested ? new TimeoutException() : e, what, action, _options, token);
        }
    }

    private string What(BlobKey key) => $"{Description}, blob '{key.Value}'";

    private static async ValueTask<int> ReceiveAsync(string what, IAsyncStreamReader<GetResponse> stream, Memory<byte> destination, CancellationToken cancellationToken)
    {
        if (!await stream.MoveNext(cancellationToken) || stream.Current.PartCase != GetResponse.PartOneofCase.Header)
            throw BlobStatus.NotABlobServer(what, "the answer does not begin with a header");
        var header = stream.Current.Header;
        if (header.LengthBytes > (ulong)destination.Length)
            throw BlobStatus.NotABlobServer(what, $"{destination.Length} bytes were asked for, and {header.LengthBytes} are announced");

        var length = (int)header.LengthBytes;
        var filled = 0;
        while (await stream.MoveNext(cancellationToken))
        {
            var chunk = stream.Current.Chunk; // Empty if it is none.
            if (chunk.Length == 0 || chunk.Length > length - filled) throw BlobStatus.NotABlobServer(what, $"the answer does not hold the {length} bytes that it announced");
            chunk.Span.CopyTo(destination.Span[filled..]);
            filled += chunk.Length;
        }

        if (filled < length) throw BlobStatus.NotABlobServer(what, $"the answer ended after {filled} of {length} bytes");
        if (Crc32C.Compute(destination.Span[..length]) != header.Crc32C) throw new BlobStoreException(BlobErrorKind.Corrupt, $"{what}: the bytes that came are not those that the server sent (CRC-32C).");
        return length;
    }

    /// <summary>False if the call ended before all was sent: its answer says why.</summary>
    private async ValueTask<bool> TrySendAsync(IClientStreamWriter<PutRequest> stream, PutHeader header, ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
    {
        try
        {
            await stream.WriteAsync(new PutRequest { Header = header }, cancellationToken);
            while (!content.IsEmpty)
            {
                // Wrapped, not copied: it is written out before this returns.
                var chunk = content[..Math.Min(content.Length, _options.ChunkBytes)];
                await stream.WriteAsync(new PutRequest { Chunk = UnsafeByteOperations.UnsafeWrap(chunk) }, cancellationToken);
                content = content[chunk.Length..];
            }

            await stream.CompleteAsync();
            return true;
        }
        catch (Exception e) when (e is RpcException or InvalidOperationException or IOException or HttpRequestException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return false;
        }
    }

    private static long LengthOf(string what, ulong length) =>
        length <= long.MaxValue ? (long)length : throw BlobStatus.NotABlobServer(what, $"a blob cannot be {length} bytes long");

    private void CheckName(string name, string last, int count)
    {
        if (count >= PageNames) throw BlobStatus.NotABlobServer(Description, $"{PageNames} names were asked for, and more came");
        if (name.Length is 0 or > NameCharsMax) throw BlobStatus.NotABlobServer(Description, "the listing has names that are empty or too long");
        // Beyond ASCII, orders differ, and we do not care.
        if (string.CompareOrdinal(name, last) <= 0 && Ascii.IsValid(name) && Ascii.IsValid(last)) throw BlobStatus.NotABlobServer(Description, "the listing is out of order");
    }
}
