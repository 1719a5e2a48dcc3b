using Gateway.Backends.Core;
using Gateway.Backends.Grpc.V1;
using Google.Protobuf;
using Grpc.Core;
using Microsoft.Extensions.Logging;
using Precondition = Gateway.Backends.Core.Precondition;

namespace Gateway.Backends.Grpc.Server;

/// <summary>The calls of proto/blobstore.proto, over any store.</summary>
/// <remarks>
/// A put is put together in memory and stored once it is whole and its checksum right, so that one that breaks off has no effect. A get reads its
/// range with one request before it sends any of it: two would mix two versions of a blob that is being replaced. Both take their memory from a
/// limited amount, and callers beyond it are told to come again.
/// </remarks>
internal sealed class BlobStoreService(
    IBlobStore store, TenantGate gate, BlobServerOptions options, BlobServerMemory memory, TimeProvider time, ILogger<BlobStoreService> logger) : V1.BlobStore.BlobStoreBase
{
    /// <summary>Bytes of a blob in one message of a get.</summary>
    private const int ChunkBytes = 64 << 10;

    private const int MessageNames = 1000;

    /// <summary>A message ends with the name that exceeds this: with three bytes for each character it is still one that clients take.</summary>
    private const int MessageCharsMax = 128 << 10;

    private const int NameCharsMax = GrpcBlobStore.NameCharsMax;
    private const int LimitMax = 10_000;

    public override Task<PutResponse> Put(IAsyncStreamReader<PutRequest> requestStream, ServerCallContext context) => ServeAsync(context, async (tenant, cancellationToken) =>
    {
        if (!await requestStream.MoveNext(cancellationToken) || requestStream.Current.PartCase != PutRequest.PartOneofCase.Header) throw Rejected("A put begins with its header.");
        var header = requestStream.Current.Header;
        var key = KeyOf(header.Key);
        var precondition = header.Precondition switch
        {
            V1.Precondition.None => Precondition.None,
            V1.Precondition.Absent => Precondition.Absent,
            _ => throw Rejected("A put says which precondition it has."),
        };

        using var buffer = await RentAsync(header.LengthBytes, requestStream, cancellationToken);
        await ReceiveAsync(requestStream, buffer.Memory, cancellationToken);
        if (Crc32C.Compute(buffer.Memory.Span) != header.Crc32C) throw new BlobStoreException(BlobErrorKind.Corrupt, "The blob's CRC-32C is not the one of its header; nothing was stored.");
        await tenant.PutAsync(key, buffer.Memory, precondition, cancellationToken);
        return new PutResponse { LengthBytes = header.LengthBytes, Crc32C = header.Crc32C };
    });

    public override Task Get(GetRequest request, IServerStreamWriter<GetResponse> responseStream, ServerCallContext context) => ServeAsync(context, async (tenant, cancellationToken) =>
    {
        var key = KeyOf(request.Key);
        if (request.OffsetBytes > long.MaxValue) throw Rejected("No blob is that long.");
        if (request.LengthBytes > (ulong)options.BlobMaxBytes) throw Rejected($"At most {options.BlobMaxBytes} bytes can be read at a time here.");

        using var buffer = memory.Gets.Rent((int)request.LengthBytes);
        var content = buffer.Memory[..await tenant.ReadAsync(key, (long)request.OffsetBytes, buffer.Memory, cancellationToken)];
        await responseStream.WriteAsync(new GetResponse { Header = new GetHeader { LengthBytes = (ulong)content.Length, Crc32C = Crc32C.Compute(content.Span) } }, cancellationToken);
        while (!content.IsEmpty)
        {
            var chunk = content[..Math.Min(content.Length, ChunkBytes)];
            // Wrapped, not copied: it is written out before this returns.
            await responseStream.WriteAsync(new GetResponse { Chunk = UnsafeByteOperations.UnsafeWrap(chunk) }, cancellationToken);
            content = content[chunk.Length..];
        }

        return 0;
    });

    public override Task<GetLengthResponse> GetLength(GetLengthRequest request, ServerCallContext context) => ServeAsync(context, async (tenant, cancellationToken) =>
        await tenant.GetLengthAsync(KeyOf(request.Key), cancellationToken) is { } length ? new GetLengthResponse { LengthBytes = (ulong)length } : new GetLengthResponse());

    public override Task List(ListRequest request, IServerStreamWriter<ListResponse> responseStream, ServerCallContext context) => ServeAsync(context, async (tenant, cancellationToken) =>
    {
        var left = LimitOf(request.Limit, request.StartAfter);
        var message = new ListResponse();
        var chars = 0;
        await foreach (var blob in tenant.ListAsync(request.Prefix, request.StartAfter, cancellationToken))
        {
            if (blob.Name.Length > NameCharsMax) continue; // Foreign, and nothing that could be asked for.
            // One more than wanted has been seen: this is not the end.
            if (left-- == 0)
            {
                await responseStream.WriteAsync(message, cancellationToken);
                return 0;
            }

            if (message.Blobs.Count == MessageNames || chars > MessageCharsMax)
            {
                await responseStream.WriteAsync(message, cancellationToken);
                (message, chars) = (new ListResponse(), 0);
            }

            chars += blob.Name.Length;
            message.Blobs.Add(new V1.BlobInfo { Name = blob.Name, LengthBytes = (ulong)blob.LengthBytes });
        }

        message.End = true;
        await responseStream.WriteAsync(message, cancellationToken);
        return 0;
    });

    public override Task ListFolders(ListFoldersRequest request, IServerStreamWriter<ListFoldersResponse> responseStream, ServerCallContext context) => ServeAsync(context, async (tenant, cancellationToken) =>
    {
        var left = LimitOf(request.Limit, request.StartAfter);
        var message = new ListFoldersResponse();
        var chars = 0;
        await foreach (var folder in tenant.ListFoldersAsync(request.Prefix, cancellationToken))
        {
            if (folder.Length > NameCharsMax || string.CompareOrdinal(folder, request.StartAfter) <= 0) continue;
            if (left-- == 0)
            {
                await responseStream.WriteAsync(message, cancellationToken);
                return 0;
            }

            if (message.Folders.Count == MessageNames || chars > MessageCharsMax)
            {
                await responseStream.WriteAsync(message, cancellationToken);
                (message, chars) = (new ListFoldersResponse(), 0);
            }

            chars += folder.Length;
            message.Folders.Add(folder);
        }

        message.End = true;
        await responseStream.WriteAsync(message, cancellationToken);
        return 0;
    });

    public override Task<DeleteResponse> Delete(DeleteRequest request, ServerCallContext context) => ServeAsync(context, async (tenant, cancellationToken) =>
    {
        await tenant.DeleteAsync(KeyOf(request.Key), cancellationToken);
        return new DeleteResponse();
    });

    /// <summary>The one way into the store: finds out whose part of it is meant, limits the time, and translates what goes wrong.</summary>
    private async Task<T> ServeAsync<T>(ServerCallContext context, Func<IBlobStore, CancellationToken, Task<T>> serve)
    {
        var tenant = new TenantStore(store, gate.PrefixFor(context.GetHttpContext()));
        using var timeout = new CancellationTokenSource(options.CallTimeout, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, timeout.Token);
        try
        {
            return await serve(tenant, either.Token);
        }
        catch (BlobStoreException e)
        {
            if (e.Kind is not (BlobErrorKind.NotFound or BlobErrorKind.PreconditionFailed or BlobErrorKind.Throttled)) BlobServerLog.StoreFailed(logger, context.Method, e.Message);
            throw BlobStatus.ToRpc(e.Kind, WordsFor(e.Kind), e.RetryAfter);
        }
        catch (Exception e) when (e is not RpcException && context.CancellationToken.IsCancellationRequested)
        {
            throw new RpcException(new Status(StatusCode.Cancelled, "The client has gone, or its deadline has passed."));
        }
        catch (OperationCanceledException)
        {
            throw new RpcException(new Status(StatusCode.DeadlineExceeded, "The call took longer than this server allows."));
        }
        catch (Exception e) when (e is not RpcException)
        {
            BlobServerLog.CallFailed(logger, context.Method, e);
            throw BlobStatus.ToRpc(BlobErrorKind.Unavailable, "The server failed inside; its log says how.");
        }
    }

    /// <summary>What the store says names its own place, and all tenants': that goes to the log.</summary>
    private static string WordsFor(BlobErrorKind kind) => kind switch
    {
        BlobErrorKind.NotFound => "There is no such blob.",
        BlobErrorKind.PreconditionFailed => "The blob exists.",
        BlobErrorKind.AccessDenied => "The server's store denies it; the server's log says why.",
        BlobErrorKind.Throttled => "There is too much to do at the moment.",
        BlobErrorKind.Corrupt => "The bytes are damaged; nothing was stored or changed.",
        BlobErrorKind.ContainerMissing => "The server's store does not exist; the server's log says which.",
        BlobErrorKind.Rejected => "The server's store refuses it; the server's log says why.",
        _ => "The server's store is away or full; the server's log says why.",
    };

    /// <summary>What is wrong with the request itself, in words for its sender.</summary>
    private static RpcException Rejected(string message) => BlobStatus.ToRpc(BlobErrorKind.Rejected, message);

    /// <summary>The memory for a put. Without it the put is refused, but only once its bytes have come.</summary>
    /// <remarks>
    /// A client that hears no while it sends resets the call, and .NET's may send another frame of it after that (dotnet/corefx issue 39819 is of this kind).
    /// Kestrel then closes the connection (STREAM_CLOSED), and with it every other call of that gateway.
    /// </remarks>
    private async Task<TransferMemory.Buffer> RentAsync(ulong lengthBytes, IAsyncStreamReader<PutRequest> stream, CancellationToken cancellationToken)
    {
        try
        {
            return lengthBytes <= (ulong)options.BlobMaxBytes ? memory.Puts.Rent((int)lengthBytes) : throw Rejected($"A blob has at most {options.BlobMaxBytes} bytes here.");
        }
        catch (Exception e) when (e is BlobStoreException or RpcException)
        {
            var left = options.BlobMaxBytes;
            while (left >= 0 && await stream.MoveNext(cancellationToken)) left -= stream.Current.CalculateSize();
            throw;
        }
    }

    private static async Task ReceiveAsync(IAsyncStreamReader<PutRequest> stream, Memory<byte> content, CancellationToken cancellationToken)
    {
        while (await stream.MoveNext(cancellationToken))
        {
            if (stream.Current.PartCase != PutRequest.PartOneofCase.Chunk) throw Rejected("After its header a put has chunks only.");
            var chunk = stream.Current.Chunk;
            if (chunk.Length is 0 or > GrpcStoreOptions.ChunkMaxBytes) throw Rejected($"A chunk has from 1 to {GrpcStoreOptions.ChunkMaxBytes} bytes.");
            if (chunk.Length > content.Length) throw Rejected("There are more bytes than the header said.");
            chunk.Span.CopyTo(content.Span);
            content = content[chunk.Length..];
        }

        if (!content.IsEmpty) throw Rejected("There are fewer bytes than the header said.");
    }

    private static BlobKey KeyOf(string text) => BlobKey.TryCreate(text, out var key) ? key : throw Rejected("The key is none.");

    private static int LimitOf(uint limit, string startAfter)
    {
        if (startAfter.Length > NameCharsMax) throw Rejected($"A name to start after has at most {NameCharsMax} characters.");
        return limit is >= 1 and <= LimitMax ? (int)limit : throw Rejected($"A limit is from 1 to {LimitMax}.");
    }
}
