using System.Text;
using Gateway.Backends.Core;
using Gateway.Backends.Grpc.V1;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Health.V1;

namespace Gateway.Backends.Grpc;

/// <summary>Tries a running blob server: what only the interface itself can show, and everything that a store must do (<see cref="StoreCheck"/>).</summary>
public static class BlobServerCheck
{
    private static readonly uint Crc = Crc32C.Compute("abc"u8);

    /// <summary>Runs all checks. A failing server gives results, not an exception; only cancellation throws.</summary>
    /// <param name="options">Where it is, and with which credentials.</param>
    /// <param name="random">Makes the names unique: two checks at one time must not meet.</param>
    /// <param name="report">Told each result as it is there.</param>
    /// <param name="cancellationToken">Ends the check; blobs may be left behind.</param>
    public static async Task<IReadOnlyList<StoreCheckResult>> RunAsync(GrpcStoreOptions options, Random random, Action<StoreCheckResult> report, CancellationToken cancellationToken)
    {
        await using var store = new GrpcBlobStore(options);
        var wire = new Wire(store, $".check-{random.NextInt64():x16}", cancellationToken);
        var results = new List<StoreCheckResult>();
        foreach (var (name, check) in ((string, Func<Task<string?>>)[])
        [
            ("health: SERVING", wire.HealthAsync),
            ("keys that are none are refused", wire.KeysAsync),
            ("a put without a precondition is refused", () => wire.PutAsync(BlobErrorKind.Rejected, V1.Precondition.Unspecified, 3, Crc, "abc")),
            ("a put with fewer bytes than announced is refused", () => wire.PutAsync(BlobErrorKind.Rejected, V1.Precondition.None, 4, Crc, "abc")),
            ("a put with more bytes than announced is refused", () => wire.PutAsync(BlobErrorKind.Rejected, V1.Precondition.None, 3, Crc, "abc", "d")),
            ("a put with a wrong CRC-32C is refused as damaged", () => wire.PutAsync(BlobErrorKind.Corrupt, V1.Precondition.None, 3, ~Crc, "abc")),
            ("none of these puts had an effect", wire.NothingStoredAsync),
            ("a put in two pieces is stored", () => wire.PutAsync(null, V1.Precondition.Absent, 3, Crc, "a", "bc")),
            ("a put in one piece is stored, and listings end where asked", wire.LimitAsync),
        ])
        {
            var result = new StoreCheckResult(name, await check());
            results.Add(result);
            report(result);
        }

        results.AddRange(await StoreCheck.RunAsync(store, random, report, cancellationToken));
        return results;
    }

    /// <summary>Calls as <see cref="GrpcBlobStore"/> would never make them. Each returns what is wrong, or null.</summary>
    private sealed class Wire(GrpcBlobStore store, string name, CancellationToken cancellationToken)
    {
        public async Task<string?> HealthAsync()
        {
            var status = HealthCheckResponse.Types.ServingStatus.Unknown;
            var fault = await FaultOfAsync(null, async () => status = await store.RequestAsync("health", "asking", async (connection, call) => (await connection.Health.CheckAsync(new HealthCheckRequest(), call)).Status, cancellationToken));
            return fault ?? (status == HealthCheckResponse.Types.ServingStatus.Serving ? null : $"The status is {status}.");
        }

        public async Task<string?> KeysAsync()
        {
            foreach (var key in (string[])["", "/", "a/", "/a", "..", ".", "../a", "a/../b", "a//b", "a b", "a\\b", "a\0", "ä", "%2e%2e", "+tmp/x", new('k', 513)])
            {
                var fault = await FaultOfAsync(BlobErrorKind.Rejected, async () => await store.RequestAsync("key", "looking at it", async (connection, call) => await connection.Client.GetLengthAsync(new GetLengthRequest { Key = key }, call), cancellationToken));
                if (fault is not null) return $"'{key}': {fault}";
            }

            return null;
        }

        public Task<string?> PutAsync(BlobErrorKind? expected, V1.Precondition precondition, ulong length, uint crc, params string[] chunks) =>
            FaultOfAsync(expected, async () => await PutAsync(name + "-wire", precondition, length, crc, chunks));

        public async Task<string?> NothingStoredAsync() => await FaultOfAsync(null, async () =>
        {
            if (await store.GetLengthAsync(new(name + "-wire"), cancellationToken) is { } length) throw new BlobStoreException(BlobErrorKind.Corrupt, $"There is a blob of {length} bytes.");
        });

        public async Task<string?> LimitAsync() => await FaultOfAsync(null, async () =>
        {
            await PutAsync(name + "-x", V1.Precondition.None, 3, Crc, ["abc"]);
            await PutAsync(name + "-y", V1.Precondition.None, 3, Crc, ["abc"]);
            var (names, end) = await store.RequestAsync("listing", "reading", async (connection, call) =>
            {
                using var list = connection.Client.List(new ListRequest { Prefix = name, Limit = 2 }, call);
                var (seen, ended) = (0, false);
                while (await list.ResponseStream.MoveNext(call.CancellationToken)) (seen, ended) = (seen + list.ResponseStream.Current.Blobs.Count, list.ResponseStream.Current.End);
                return (seen, ended);
            }, cancellationToken);
            foreach (var suffix in (string[])["-wire", "-x", "-y"]) await store.DeleteAsync(new(name + suffix), cancellationToken);
            if (names is 0 or > 2 || end) throw new BlobStoreException(BlobErrorKind.Rejected, $"Of three names at most two were asked for; {names} came, {(end ? "and the end" : "without the end")}.");
        });

        private ValueTask<PutResponse> PutAsync(string key, V1.Precondition precondition, ulong length, uint crc, string[] chunks) => store.RequestAsync("put", "putting", async (connection, call) =>
        {
            using var put = connection.Client.Put(call);
            try
            {
                await put.RequestStream.WriteAsync(new PutRequest { Header = new PutHeader { Key = key, Precondition = precondition, LengthBytes = length, Crc32C = crc } }, call.CancellationToken);
                foreach (var chunk in chunks) await put.RequestStream.WriteAsync(new PutRequest { Chunk = ByteString.CopyFrom(chunk, Encoding.ASCII) }, call.CancellationToken);
                await put.RequestStream.CompleteAsync();
            }
            catch (Exception e) when (e is RpcException or InvalidOperationException or IOException || (e is OperationCanceledException && !call.CancellationToken.IsCancellationRequested))
            {
                // The server did not want the rest; its answer says why.
            }

            return await put.ResponseAsync;
        }, cancellationToken);

        private static async Task<string?> FaultOfAsync(BlobErrorKind? expected, Func<Task> action)
        {
            try
            {
                await action();
                return expected is null ? null : $"It went well; {expected} is the right answer.";
            }
            catch (BlobStoreException e)
            {
                return e.Kind == expected ? null : $"{e.Kind}: {e.Message}";
            }
        }
    }
}
