using System.Globalization;

namespace Gateway.Backends.Core;

/// <summary>One thing that was tried.</summary>
/// <param name="Name">What must hold.</param>
/// <param name="Fault">What was seen instead, a sentence; null if it holds.</param>
public sealed record StoreCheckResult(string Name, string? Fault)
{
    /// <summary>True if it holds.</summary>
    public bool Passed => Fault is null;
}

/// <summary>Tries everything that a store must do (docs/backends.md) on a running one: <see cref="StoreSelfTest"/> at length, for people who build or set up a store.</summary>
/// <remarks>
/// Works below <c>.check-&lt;nonce&gt;/</c> and removes what it made. Some 2,000 requests and 100 MiB; a check that fails does not stop the others. It shows
/// what a store does today: neither that it survives a power cut, nor that two servers of it agree.
/// </remarks>
public static class StoreCheck
{
    private const int MiB = 1 << 20;

    /// <summary>A little more than the largest segment.</summary>
    private const int LargeBytes = (72 * MiB) + 13;

    private const int Racers = 16;
    private const int RaceRounds = 8;
    private const int ListedBlobs = 1250;
    private const int ParallelRequests = 16;

    /// <summary>Runs all checks. A failing store gives results, not an exception; only cancellation throws.</summary>
    /// <param name="store">The store to check.</param>
    /// <param name="random">Makes the names unique: two checks at one time must not meet.</param>
    /// <param name="report">Told each result as it is there.</param>
    /// <param name="cancellationToken">Ends the check; blobs may be left behind.</param>
    public static async Task<IReadOnlyList<StoreCheckResult>> RunAsync(IBlobStore store, Random random, Action<StoreCheckResult>? report, CancellationToken cancellationToken)
    {
        var root = string.Create(CultureInfo.InvariantCulture, $".check-{random.NextInt64():x16}");
        var results = new List<StoreCheckResult>();
        foreach (var (name, check) in Checks)
        {
            var folder = $"{root}/{results.Count}/";
            var result = new StoreCheckResult(name, await FaultOfAsync(() => check(new Bench(store, folder, cancellationToken))));
            results.Add(result);
            report?.Invoke(result);
        }

        var last = new StoreCheckResult("what the checks made can be removed", await FaultOfAsync(() => CleanUpAsync(store, root + "/", cancellationToken)));
        results.Add(last);
        report?.Invoke(last);
        return results;
    }

    private static readonly (string Name, Func<Bench, Task> Check)[] Checks =
    [
        ("self-test: what every gateway tries before it opens a volume", SelfTestAsync),
        ("blobs of 0 bytes to 4 MiB read back whole", LengthsAsync),
        ("a blob of 72 MiB reads back whole", LargeAsync),
        ("ranges read those bytes, and fewer only at the end", RangesAsync),
        ("a missing blob: not found, no length, removed without error", MissingAsync),
        ("a put without a condition replaces", ReplaceAsync),
        ("a create-only put of an existing blob is refused and keeps it", CreateOnlyAsync),
        ("of 16 create-only puts at one time exactly one wins", RaceAsync),
        ("a blob of 1 MiB that is replaced over and over is never read torn", TornAsync),
        ("keys of all characters, and of 400, stay apart", KeysAsync),
        ("listings are in order, by prefix, and start after a name", ListOrderAsync),
        ("a listing of 1,250 names comes whole", LongListAsync),
        ("folders are listed once, without blobs", FoldersAsync),
        ("a removed blob is gone, and so is its folder", DeleteAsync),
        ("a put that is cancelled leaves a whole blob or none", CancelAsync),
    ];

    private static async Task<string?> FaultOfAsync(Func<Task> check)
    {
        try
        {
            await check();
            return null;
        }
        catch (BlobStoreException e)
        {
            return $"{e.Kind}: {e.Message}";
        }
        catch (StoreCheckException e)
        {
            return e.Message;
        }
    }

    private static async Task SelfTestAsync(Bench bench)
    {
        var result = await StoreSelfTest.RunAsync(bench.Store, new Random(bench.Folder.GetHashCode(StringComparison.Ordinal)), bench.Cancellation);
        Require(result.Passed, result.ToString());
    }

    private static async Task LengthsAsync(Bench bench)
    {
        foreach (var length in (int[])[0, 1, 511, 4096, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, MiB - 1, MiB, MiB + 1, 4 * MiB])
        {
            await bench.PutAsync($"{length}", Bytes(length, length));
            await bench.ExpectAsync($"{length}", Bytes(length, length));
            var told = await bench.Store.GetLengthAsync(bench.Key($"{length}"), bench.Cancellation);
            Require(told == length, $"A blob of {length} bytes is told to have {told?.ToString(CultureInfo.InvariantCulture) ?? "none"}.");
        }
    }

    private static async Task LargeAsync(Bench bench)
    {
        await bench.PutAsync("large", Bytes(LargeBytes, 1));
        await bench.ExpectAsync("large", Bytes(LargeBytes, 1));
    }

    private static async Task RangesAsync(Bench bench)
    {
        var content = Bytes(300_000, 2);
        await bench.PutAsync("blob", content);
        foreach (var (offset, length) in ((long, int)[])[(0, 1), (0, 300_000), (1, 4095), (4096, 4096), (65_530, 100_000), (299_999, 1), (299_999, 100), (299_900, 200_000), (300_000, 10), (300_001, 10), (1L << 40, 10), (0, 0), (0, 400_000)])
        {
            // The bytes around the destination are not the store's.
            var guarded = new byte[length + 2];
            guarded[0] = guarded[^1] = 0xEE;
            var expected = (int)Math.Clamp(content.Length - offset, 0, length);
            var read = await bench.Store.ReadAsync(bench.Key("blob"), offset, guarded.AsMemory(1, length), bench.Cancellation);
            Require(read == expected, $"{length} bytes from {offset} on of {content.Length} were asked for, and {read} came.");
            Require(read == 0 || content.AsSpan((int)offset, read).SequenceEqual(guarded.AsSpan(1, read)), $"{length} bytes from {offset} on were other ones.");
            Require(guarded[0] == 0xEE && guarded[^1] == 0xEE, "A read wrote outside of its destination.");
        }
    }

    private static async Task MissingAsync(Bench bench)
    {
        await bench.PutAsync("folder/blob", Bytes(1, 3));
        foreach (var name in (string[])["nothing", "folder", "folder/other", "no/such/folder"])
        {
            await Bench.FailsAsync(BlobErrorKind.NotFound, $"reading '{name}', which does not exist,", () => bench.Store.ReadAsync(bench.Key(name), 0, new byte[1], bench.Cancellation).AsTask());
            await Bench.FailsAsync(BlobErrorKind.NotFound, $"reading no bytes of '{name}', which does not exist,", () => bench.Store.ReadAsync(bench.Key(name), 0, default, bench.Cancellation).AsTask());
            Require(await bench.Store.GetLengthAsync(bench.Key(name), bench.Cancellation) is null, $"'{name}' has a length, but does not exist.");
            await bench.Store.DeleteAsync(bench.Key(name), bench.Cancellation);
        }

        await bench.ExpectNamesAsync("", null, ["folder/blob"]);
    }

    private static async Task ReplaceAsync(Bench bench)
    {
        await bench.PutAsync("blob", Bytes(100, 4));
        await bench.PutAsync("blob", Bytes(50, 5));
        await bench.ExpectAsync("blob", Bytes(50, 5));
    }

    private static async Task CreateOnlyAsync(Bench bench)
    {
        await bench.PutAsync("blob", Bytes(100, 6), Precondition.Absent);
        await Bench.FailsAsync(BlobErrorKind.PreconditionFailed, "a create-only put of a blob that exists", () => bench.PutAsync("blob", Bytes(50, 7), Precondition.Absent));
        await bench.ExpectAsync("blob", Bytes(100, 6));
        await bench.Store.DeleteAsync(bench.Key("blob"), bench.Cancellation);
        await bench.PutAsync("blob", Bytes(50, 7), Precondition.Absent);
        await bench.ExpectAsync("blob", Bytes(50, 7));
    }

    private static async Task RaceAsync(Bench bench)
    {
        for (var round = 0; round < RaceRounds; round++)
        {
            var name = $"race-{round}";
            var won = await Task.WhenAll(Enumerable.Range(0, Racers).Select(i => TryCreateAsync(bench, name, Bytes(10_000 + i, i))));
            Require(won.Count(w => w) == 1, $"{won.Count(w => w)} of {Racers} create-only puts of one name that ran together succeeded; it must be exactly 1.");
            var winner = Array.IndexOf(won, true);
            await bench.ExpectAsync(name, Bytes(10_000 + winner, winner));
        }
    }

    private static async Task<bool> TryCreateAsync(Bench bench, string name, byte[] content)
    {
        await Task.Yield(); // So that all of them start before the first is done, also where a store answers at once.
        try
        {
            await bench.PutAsync(name, content, Precondition.Absent);
            return true;
        }
        catch (BlobStoreException e) when (e.Kind is BlobErrorKind.PreconditionFailed or BlobErrorKind.Throttled)
        {
            return false;
        }
    }

    private static async Task TornAsync(Bench bench)
    {
        await bench.PutAsync("blob", Uniform(0));
        using var done = new CancellationTokenSource();
        var readers = Enumerable.Range(0, 3).Select(_ => ReadUntilAsync(done.Token)).ToArray();
        try
        {
            for (var i = 1; i <= 20; i++) await bench.PutAsync("blob", Uniform(i));
        }
        finally
        {
            await done.CancelAsync();
            await Task.WhenAll(readers);
        }

        async Task ReadUntilAsync(CancellationToken end)
        {
            var buffer = new byte[MiB];
            do
            {
                await Task.Yield(); // A store that answers at once would keep the writer from its turn.
                var read = await bench.Store.ReadAsync(bench.Key("blob"), 0, buffer, bench.Cancellation);
                Require(read == MiB && !buffer.AsSpan().ContainsAnyExcept(buffer[0]), "One read had bytes of two versions of a blob.");
            }
            while (!end.IsCancellationRequested);
        }

        static byte[] Uniform(int value) => Enumerable.Repeat((byte)value, MiB).ToArray();
    }

    private static async Task KeysAsync(Bench bench)
    {
        const string characters = "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
        var room = 400 - bench.Folder.Length;
        string[] names = [.. characters.Select(c => $"{c}x{c}/k{c}"), "...", ".hidden/..b", "-rf", "a/" + characters, string.Join('/', Enumerable.Repeat("0123456789", room / 11))];
        foreach (var name in names) await bench.PutAsync(name, System.Text.Encoding.ASCII.GetBytes(name), Precondition.Absent);
        foreach (var name in names) await bench.ExpectAsync(name, System.Text.Encoding.ASCII.GetBytes(name));
        await bench.ExpectNamesAsync("", null, names);
    }

    private static async Task ListOrderAsync(Bench bench)
    {
        string[] names = ["a", "a-b", "a.b", "a-/x", "a./x", "aA", "a0", "a_", "B/a", "b/a.c", "b/a/c", "b-a", "ab/c/d", "ab/c-d", "ab/c.d", "Z", "0", "_", "z/z/z/z"];
        foreach (var name in names) await bench.PutAsync(name, Bytes(name.Length, 1));
        foreach (var prefix in (string[])["", "a", "a-", "b", "b/", "b/a", "b/a/", "ab/c", "nothing", "z/z/z/z", "z/z/z/z/", "/", "../", "a/../b"]) await bench.ExpectNamesAsync(prefix, null, names);
        foreach (var after in (string[])[.. names, "a/", "b/a/", "b/a0", "ab", "ab/", "~", "!", "a-a"])
        {
            await bench.ExpectNamesAsync("", after, names);
            await bench.ExpectNamesAsync("b/", after, names);
        }
    }

    private static async Task LongListAsync(Bench bench)
    {
        var names = Enumerable.Range(0, ListedBlobs).Select(i => string.Create(CultureInfo.InvariantCulture, $"log/{i % 7:d2}-{i:d6}")).Order(StringComparer.Ordinal).ToArray();
        await Parallel.ForEachAsync(names, new ParallelOptions { MaxDegreeOfParallelism = ParallelRequests, CancellationToken = bench.Cancellation }, async (name, _) => await bench.PutAsync(name, [1], Precondition.Absent));
        await bench.ExpectNamesAsync("", null, names);
        await bench.ExpectNamesAsync("log/", names[999], names);
        await bench.ExpectNamesAsync("log/", names[^1], names);
        await bench.ExpectFoldersAsync("", ["log/"]);
    }

    private static async Task FoldersAsync(Bench bench)
    {
        foreach (var name in (string[])["top", "v1/volume/1", "v1/epochs/1", "v1/epochs/2", "v1/heartbeat", "v1-clone/volume/1", "v10/volume/1", "V1/volume/1"]) await bench.PutAsync(name, Bytes(1, 1));
        await bench.ExpectFoldersAsync("", ["V1/", "v1-clone/", "v1/", "v10/"]);
        await bench.ExpectFoldersAsync("v1/", ["epochs/", "volume/"]);
        await bench.ExpectFoldersAsync("v1/epochs/", []);
        await bench.ExpectFoldersAsync("nothing/", []);
    }

    private static async Task DeleteAsync(Bench bench)
    {
        await bench.PutAsync("a/b/c", Bytes(10, 1));
        await bench.PutAsync("a/d", Bytes(10, 1));
        await bench.Store.DeleteAsync(bench.Key("a/b/c"), bench.Cancellation);
        await bench.Store.DeleteAsync(bench.Key("a/b/c"), bench.Cancellation);
        await Bench.FailsAsync(BlobErrorKind.NotFound, "reading a removed blob", () => bench.Store.ReadAsync(bench.Key("a/b/c"), 0, new byte[1], bench.Cancellation).AsTask());
        await bench.ExpectNamesAsync("", null, ["a/d"]);
        await bench.ExpectFoldersAsync("a/", []);
    }

    private static async Task CancelAsync(Bench bench)
    {
        var content = Bytes(MiB, 8);
        for (var i = 0; i < 16; i++)
        {
            using var source = CancellationTokenSource.CreateLinkedTokenSource(bench.Cancellation);
            var put = bench.Store.PutAsync(bench.Key($"blob-{i}"), content, Precondition.None, source.Token).AsTask();
            await source.CancelAsync();
            try
            {
                await put;
            }
            catch (OperationCanceledException) when (!bench.Cancellation.IsCancellationRequested)
            {
                // Either is right; what is not is half a blob.
            }
        }

        await foreach (var blob in bench.Store.ListAsync(bench.Folder, null, bench.Cancellation)) await bench.ExpectAsync(blob.Name[bench.Folder.Length..], content);
    }

    private static async Task CleanUpAsync(IBlobStore store, string folder, CancellationToken cancellationToken)
    {
        var names = new List<string>();
        await foreach (var blob in store.ListAsync(folder, null, cancellationToken)) names.Add(blob.Name);
        await Parallel.ForEachAsync(names, new ParallelOptions { MaxDegreeOfParallelism = ParallelRequests, CancellationToken = cancellationToken }, async (name, token) =>
        {
            if (BlobKey.TryCreate(name, out var key)) await store.DeleteAsync(key, token);
        });
        await foreach (var blob in store.ListAsync(folder, null, cancellationToken)) throw new StoreCheckException($"'{blob.Name}' is still there.");
    }

    private static byte[] Bytes(int length, int seed)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private static void Require(bool holds, string fault)
    {
        if (!holds) throw new StoreCheckException(fault);
    }

    private sealed class StoreCheckException(string message) : Exception(message);

    /// <summary>One check's own folder of the store.</summary>
    private sealed record Bench(IBlobStore Store, string Folder, CancellationToken Cancellation)
    {
        public BlobKey Key(string name) => new(Folder + name);

        public Task PutAsync(string name, byte[] content, Precondition precondition = Precondition.None) => Store.PutAsync(Key(name), content, precondition, Cancellation).AsTask();

        public async Task ExpectAsync(string name, byte[] expected)
        {
            var actual = await Store.ReadWholeAsync(Key(name), expected.Length, Cancellation);
            Require(actual.AsSpan().SequenceEqual(expected), $"'{name}' has {actual.Length} bytes that are not the {expected.Length} that were put.");
        }

        public static async Task FailsAsync(BlobErrorKind kind, string what, Func<Task> action)
        {
            try
            {
                await action();
            }
            catch (BlobStoreException e) when (e.Kind == kind)
            {
                return;
            }

            throw new StoreCheckException($"{what} went well; {kind} is the right answer.");
        }

        /// <summary>What of all names in this folder comes with that prefix and after that name.</summary>
        public async Task ExpectNamesAsync(string prefix, string? after, string[] all)
        {
            var expected = all.Where(n => n.StartsWith(prefix, StringComparison.Ordinal) && (after is null || string.CompareOrdinal(n, after) > 0)).Order(StringComparer.Ordinal).Select(n => Folder + n).ToArray();
            var seen = new List<string>();
            await foreach (var blob in Store.ListAsync(Folder + prefix, after is null ? null : Folder + after, Cancellation))
            {
                seen.Add(blob.Name);
                if (seen.Count > expected.Length) break;
            }

            Require(seen.SequenceEqual(expected), $"A listing of '{prefix}' after '{after}' told {Words(seen)} instead of {Words(expected)}.");
        }

        public async Task ExpectFoldersAsync(string prefix, string[] expected)
        {
            var seen = new List<string>();
            await foreach (var folder in Store.ListFoldersAsync(Folder + prefix, Cancellation)) seen.Add(folder);
            Require(seen.SequenceEqual(expected), $"The folders below '{prefix}' are told as {Words(seen)} instead of {Words(expected)}.");
        }

        private static string Words(IReadOnlyCollection<string> names) => names.Count > 12 ? $"{names.Count} names" : $"[{string.Join(", ", names)}]";
    }
}
