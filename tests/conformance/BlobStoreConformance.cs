using System.Security.Cryptography;
using System.Text;
using Gateway.Backends.Core;
using Gateway.Tests.Shared.Stores;
using Xunit;

namespace Gateway.Conformance.Tests;

/// <summary>What every <see cref="IBlobStore"/> must do. A store joins by a subclass that opens it, empty.</summary>
public abstract class BlobStoreConformance : IAsyncLifetime
{
    private const int MiB = 1 << 20;
    private const int ReadErrorsMax = 100;
    private readonly List<IBlobStore> _opened = [];

    /// <summary>Characters that a key can have, in ordinal order.</summary>
    private const string KeyCharacters = "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

    protected static CancellationToken None => CancellationToken.None;

    /// <summary>A second view of the same, shared container, as another process would have it. Skips the test where the store cannot run.</summary>
    protected abstract Task<IBlobStore> OpenViewAsync();

    public Task InitializeAsync() => Task.CompletedTask;

    public virtual async Task DisposeAsync()
    {
        foreach (var store in _opened) await store.DisposeAsync();
    }

    protected async Task<IBlobStore> OpenAsync()
    {
        var store = await OpenViewAsync();
        _opened.Add(store);
        return store;
    }

    public static TheoryData<int> Lengths => [0, 1, 511, 4096, 65_535, 65_536, 65_537, MiB - 1, MiB, 4 * MiB + 13, 16 * MiB];

    [SkippableTheory, MemberData(nameof(Lengths))]
    public async Task Put_AnyLength_ReadsBackWhole(int length)
    {
        var store = await OpenAsync();
        var content = Bytes(length, seed: length);

        await store.PutAsync(new("a/blob"), content, Precondition.None, None);

        Assert.Equal(length, await store.GetLengthAsync(new("a/blob"), None));
        AssertSame(content, await store.ReadWholeAsync(new("a/blob"), length, None));
        var buffer = new byte[length + 10];
        Assert.Equal(length, await store.ReadAsync(new("a/blob"), 0, buffer, None));
        AssertSame(content, buffer[..length]);
    }

    [SkippableFact]
    public async Task Read_Ranges_ReturnsThoseBytes()
    {
        var store = await OpenAsync();
        var content = Bytes(300_000, seed: 1);
        await store.PutAsync(new("blob"), content, Precondition.None, None);

        foreach (var (offset, length) in ((int, int)[])[(0, 1), (0, 300_000), (1, 4095), (4096, 4096), (65_530, 100_000), (299_999, 1), (123, 200_000)])
        {
            var buffer = new byte[length];
            Assert.Equal(length, await store.ReadAsync(new("blob"), offset, buffer, None));
            AssertSame(content[offset..(offset + length)], buffer);
        }
    }

    [SkippableFact]
    public async Task Read_AroundTheEnd_ReturnsWhatThereIs()
    {
        var store = await OpenAsync();
        var content = Bytes(1000, seed: 2);
        await store.PutAsync(new("blob"), content, Precondition.None, None);
        var buffer = new byte[100];

        Assert.Equal(50, await store.ReadAsync(new("blob"), 950, buffer, None));
        AssertSame(content[950..], buffer[..50]);
        Assert.Equal(0, await store.ReadAsync(new("blob"), 1000, buffer, None));
        Assert.Equal(0, await store.ReadAsync(new("blob"), 1001, buffer, None));
        Assert.Equal(0, await store.ReadAsync(new("blob"), 1L << 40, buffer, None));
        Assert.Equal(0, await store.ReadAsync(new("blob"), 0, Memory<byte>.Empty, None));
    }

    [SkippableFact]
    public async Task Read_EmptyBlob_ReturnsNothing()
    {
        var store = await OpenAsync();
        await store.PutAsync(new("empty"), default, Precondition.Absent, None);

        Assert.Equal(0, await store.ReadAsync(new("empty"), 0, new byte[10], None));
        Assert.Equal(0, await store.ReadAsync(new("empty"), 5, new byte[10], None));
        Assert.Equal(0L, await store.GetLengthAsync(new("empty"), None));
        Assert.Empty(await store.ReadWholeAsync(new("empty"), 0, None));
        Assert.Equal([new BlobInfo("empty", 0)], await ListAsync(store));
    }

    [SkippableFact]
    public async Task Read_PartOfAnArray_TouchesNothingElse()
    {
        var store = await OpenAsync();
        await store.PutAsync(new("blob"), Bytes(5000, seed: 3), Precondition.None, None);
        var guarded = Enumerable.Repeat((byte)0xEE, 6000).ToArray();

        await store.ReadExactlyAsync(new("blob"), 100, guarded.AsMemory(500, 4000), None);

        AssertSame(Bytes(5000, seed: 3)[100..4100], guarded[500..4500]);
        Assert.All(guarded[..500], b => Assert.Equal(0xEE, b));
        Assert.All(guarded[4500..], b => Assert.Equal(0xEE, b));
    }

    [SkippableFact]
    public async Task Read_ShorterThanExact_IsCorrupt()
    {
        var store = await OpenAsync();
        await store.PutAsync(new("blob"), Bytes(100, seed: 4), Precondition.None, None);

        await ThrowsAsync(BlobErrorKind.Corrupt, () => store.ReadExactlyAsync(new("blob"), 50, new byte[51], None));
        await ThrowsAsync(BlobErrorKind.Corrupt, () => Discard(store.ReadWholeAsync(new("blob"), 99, None)));
        Assert.Equal(100, (await store.ReadWholeAsync(new("blob"), 100, None)).Length);
    }

    [SkippableFact]
    public async Task Missing_Blob_IsNotFoundOrNull()
    {
        var store = await OpenAsync();
        await store.PutAsync(new("folder/blob"), Bytes(1, seed: 5), Precondition.None, None);

        foreach (var key in (BlobKey[])[new("nothing"), new("folder"), new("folder/other"), new("no/such/folder")])
        {
            await ThrowsAsync(BlobErrorKind.NotFound, () => Discard(store.ReadAsync(key, 0, new byte[1], None)));
            await ThrowsAsync(BlobErrorKind.NotFound, () => Discard(store.ReadAsync(key, 0, Memory<byte>.Empty, None)));
            await ThrowsAsync(BlobErrorKind.NotFound, () => Discard(store.ReadWholeAsync(key, 10, None)));
            Assert.Null(await store.GetLengthAsync(key, None));
            await store.DeleteAsync(key, None);
        }

        Assert.Equal([new BlobInfo("folder/blob", 1)], await ListAsync(store));
    }

    [SkippableFact]
    public async Task Put_WithoutCondition_Replaces()
    {
        var store = await OpenAsync();
        await store.PutAsync(new("blob"), Bytes(100, seed: 6), Precondition.None, None);

        await store.PutAsync(new("blob"), Bytes(50, seed: 7), Precondition.None, None);

        AssertSame(Bytes(50, seed: 7), await store.ReadWholeAsync(new("blob"), 100, None));
    }

    [SkippableFact]
    public async Task Put_ExistingBlobMustBeAbsent_IsRefusedAndKeepsIt()
    {
        var store = await OpenAsync();
        await store.PutAsync(new("epochs/1"), Bytes(100, seed: 8), Precondition.Absent, None);

        await ThrowsAsync(BlobErrorKind.PreconditionFailed, () => store.PutAsync(new("epochs/1"), Bytes(50, seed: 9), Precondition.Absent, None));

        AssertSame(Bytes(100, seed: 8), await store.ReadWholeAsync(new("epochs/1"), 100, None));
        await store.DeleteAsync(new("epochs/1"), None);
        await store.PutAsync(new("epochs/1"), Bytes(50, seed: 9), Precondition.Absent, None);
        AssertSame(Bytes(50, seed: 9), await store.ReadWholeAsync(new("epochs/1"), 100, None));
    }

    [SkippableFact]
    public async Task Put_SixteenRaceToCreate_ExactlyOneWinsAndItsContentStays()
    {
        IBlobStore[] views = [await OpenAsync(), await OpenAsync()];
        for (var round = 0; round < 20; round++)
        {
            var key = new BlobKey($"epochs/{round:d4}");
            var contents = Enumerable.Range(0, 16).Select(i => Bytes(10_000 + i, seed: round * 16 + i)).ToArray();

            var won = await Task.WhenAll(contents.Select((content, i) => Task.Run(() => TryCreateAsync(views[i % 2], key, content))));

            Assert.Single(won, w => w);
            AssertSame(contents[Array.IndexOf(won, true)], await views[round % 2].ReadWholeAsync(key, 20_000, None));
        }
    }

    [SkippableFact]
    public async Task Put_OverAndOverWhileRead_IsNeverTorn()
    {
        var store = await OpenAsync();
        const int length = 200_000;
        await store.PutAsync(new("heartbeat"), Uniform(0), Precondition.None, None);
        using var done = new CancellationTokenSource();

        var readers = Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            for (var (reads, errors) = (0, 0); reads < 5 || !done.IsCancellationRequested;)
            {
                try
                {
                    var seen = await store.ReadWholeAsync(new("heartbeat"), length, None);
                    Assert.Equal(length, seen.Length);
                    Assert.Equal(-1, seen.AsSpan().IndexOfAnyExcept(seen[0]));
                    reads++;
                }
                catch (BlobStoreException e) when (e.IsTransient && errors++ < ReadErrorsMax)
                {
                    // RGW 16.2 now and then answers 500 to the read of a blob that is being replaced: an error, but no torn bytes.
                }
            }
        })).ToArray();
        for (var i = 1; i <= 50; i++) await store.PutAsync(new("heartbeat"), Uniform(i), Precondition.None, None);
        await done.CancelAsync();

        await Task.WhenAll(readers);
        AssertSame(Uniform(50), await store.ReadWholeAsync(new("heartbeat"), length, None));

        static byte[] Uniform(int value) => Enumerable.Repeat((byte)value, length).ToArray();
    }

    [SkippableFact]
    public async Task List_NamesAroundTheSlash_AreInOrdinalOrder()
    {
        var store = await OpenAsync();
        string[] names = ["a", "a-b", "a.b", "a-/x", "a./x", "aA", "a0", "a_", "B/a", "b/a", "b/a.c", "b/a/c", "b-a", "ab/c/d", "ab/c-d", "ab/c.d", "Z", "0", "_", "z/z/z/z"];
        names = [.. names.Where(n => n is not "b/a")];
        foreach (var name in names) await store.PutAsync(new(name), Bytes(name.Length, seed: 1), Precondition.None, None);
        var expected = names.Order(StringComparer.Ordinal).ToArray();

        Assert.Equal(expected, await NamesAsync(store));
        Assert.Equal(expected.Select(n => (long)n.Length), (await ListAsync(store)).Select(b => b.LengthBytes));
        foreach (var prefix in (string[])["a", "a-", "b", "b/", "b/a", "b/a/", "ab/c", "nothing", "z/z/z/z", "z/z/z/z/", "/"])
            Assert.Equal(expected.Where(n => n.StartsWith(prefix, StringComparison.Ordinal)), await NamesAsync(store, prefix));
        foreach (var after in (string[])[.. expected, "a/", "b/a/", "b/a0", "ab", "ab/", "~", "!", "a-a"])
        {
            Assert.Equal(expected.Where(n => string.CompareOrdinal(n, after) > 0), await NamesAsync(store, "", after));
            Assert.Equal(expected.Where(n => string.CompareOrdinal(n, after) > 0 && n.StartsWith("b/", StringComparison.Ordinal)), await NamesAsync(store, "b/", after));
        }
    }

    [SkippableFact]
    public async Task List_MoreThanAPage_ComesWholeAndInOrder()
    {
        var store = await OpenAsync();
        var names = Enumerable.Range(0, 1250).Select(i => $"log/{i % 7:d2}-{i:d6}").Order(StringComparer.Ordinal).ToArray();
        await Parallel.ForEachAsync(names, new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (name, token) => await store.PutAsync(new(name), new byte[] { 1 }, Precondition.Absent, token));

        Assert.Equal(names, await NamesAsync(store));
        Assert.Equal(names[1000..], await NamesAsync(store, "log/", names[999]));
        Assert.Equal(names[1249..], await NamesAsync(store, "log/", names[1248]));
        Assert.Empty(await NamesAsync(store, "log/", names[1249]));
        await foreach (var first in store.ListAsync("log/06-", null, None))
        {
            Assert.Equal(names.First(n => n.StartsWith("log/06-", StringComparison.Ordinal)), first.Name);
            break;
        }

        await foreach (var folder in store.ListFoldersAsync("", None)) Assert.Equal("log/", folder);
    }

    [SkippableFact]
    public async Task ListFolders_MixedTree_ShowsFoldersOnlyAndOnce()
    {
        var store = await OpenAsync();
        foreach (var name in (string[])["top", "v1/volume/1", "v1/epochs/1", "v1/epochs/2", "v1/heartbeat", "v1-clone/volume/1", "v10/volume/1", "V1/volume/1"])
            await store.PutAsync(new(name), Bytes(1, seed: 1), Precondition.None, None);

        Assert.Equal(["V1/", "v1-clone/", "v1/", "v10/"], await FoldersAsync(store, ""));
        Assert.Equal(["epochs/", "volume/"], await FoldersAsync(store, "v1/"));
        Assert.Empty(await FoldersAsync(store, "v1/epochs/"));
        Assert.Empty(await FoldersAsync(store, "nothing/"));
        await store.DeleteAsync(new("v10/volume/1"), None);
        Assert.Equal(["V1/", "v1-clone/", "v1/"], await FoldersAsync(store, ""));
    }

    [SkippableFact]
    public async Task ListFolders_MoreThanAPage_ComesWhole()
    {
        var store = await OpenAsync();
        var folders = Enumerable.Range(0, 1100).Select(i => $"volume-{i:d5}/").ToArray();
        await Parallel.ForEachAsync(folders, new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (folder, token) => await store.PutAsync(new(folder + "x"), new byte[] { 1 }, Precondition.Absent, token));

        Assert.Equal(folders, await FoldersAsync(store, ""));
    }

    [SkippableFact]
    public async Task Delete_Twice_IsNoErrorAndTheBlobIsGone()
    {
        var store = await OpenAsync();
        await store.PutAsync(new("a/b/c"), Bytes(10, seed: 1), Precondition.None, None);
        await store.PutAsync(new("a/d"), Bytes(10, seed: 1), Precondition.None, None);

        await store.DeleteAsync(new("a/b/c"), None);
        await store.DeleteAsync(new("a/b/c"), None);

        Assert.Null(await store.GetLengthAsync(new("a/b/c"), None));
        Assert.Equal(["a/d"], await NamesAsync(store));
        Assert.Empty(await FoldersAsync(store, "a/"));
    }

    [SkippableFact]
    public async Task Concurrency_SixteenWorkersPutReadListDelete_EachSeesItsOwn()
    {
        var store = await OpenAsync();

        await Task.WhenAll(Enumerable.Range(0, 16).Select(worker => Task.Run(async () =>
        {
            for (var i = 0; i < 12; i++)
            {
                // All share one folder that comes and goes as it gets empty.
                var key = new BlobKey($"shared/deep/{worker:d2}-{i:d2}");
                var content = Bytes(1 + worker * 1000 + i, seed: worker * 100 + i);
                await store.PutAsync(key, content, Precondition.Absent, None);
                AssertSame(content, await store.ReadWholeAsync(key, 20_000, None));
                Assert.Equal([key.Value], await NamesAsync(store, key.Value));
                await store.DeleteAsync(key, None);
                Assert.Null(await store.GetLengthAsync(key, None));
            }
        })));

        Assert.Empty(await NamesAsync(store));
    }

    [SkippableFact]
    public async Task Cancellation_BeforeTheStart_ThrowsAndHasNoEffect()
    {
        var store = await OpenAsync();
        var cancelled = new CancellationToken(canceled: true);
        await store.PutAsync(new("kept"), Bytes(1, seed: 1), Precondition.None, None);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await store.PutAsync(new("blob"), Bytes(1, seed: 1), Precondition.None, cancelled));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await store.ReadAsync(new("kept"), 0, new byte[1], cancelled));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await store.GetLengthAsync(new("kept"), cancelled));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await store.DeleteAsync(new("kept"), cancelled));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await store.ListAsync("", null, cancelled).GetAsyncEnumerator(CancellationToken.None).MoveNextAsync());
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await store.ListFoldersAsync("", cancelled).GetAsyncEnumerator(CancellationToken.None).MoveNextAsync());

        Assert.Equal(["kept"], await NamesAsync(store));
    }

    [SkippableFact]
    public async Task Cancellation_InMidFlight_LeavesWholeBlobsOrNone()
    {
        var store = await OpenAsync();
        var content = Bytes(MiB, seed: 1);

        for (var i = 0; i < 16; i++)
        {
            using var source = new CancellationTokenSource();
            var put = store.PutAsync(new($"blob-{i:d2}"), content, Precondition.None, source.Token).AsTask();
            await source.CancelAsync();
            try
            {
                await put;
            }
            catch (OperationCanceledException)
            {
                // Either is right; what is not is half a blob.
            }
        }

        foreach (var blob in await ListAsync(store)) AssertSame(content, await store.ReadWholeAsync(new(blob.Name), MiB, None));
    }

    [SkippableFact]
    public async Task Keys_AllAllowedCharacters_StayApart()
    {
        var store = await OpenAsync();
        var keys = KeyCharacters.Select(c => $"{c}x{c}/k{c}").Append(new string('k', 200) + "/" + string.Join('/', Enumerable.Repeat("0123456789", 28)))
            .Append("...").Append(".hidden/..b").Append("-rf").Append("a/" + KeyCharacters).ToArray();
        foreach (var key in keys) await store.PutAsync(new(key), Encoding.ASCII.GetBytes(key), Precondition.Absent, None);

        Assert.Equal(keys.Order(StringComparer.Ordinal), await NamesAsync(store));
        foreach (var key in keys) Assert.Equal(key, Encoding.ASCII.GetString(await store.ReadWholeAsync(new(key), BlobKey.LengthMax, None)));
    }

    [SkippableFact]
    public async Task Container_TwoViews_SeeEachOthersBlobsAtOnce()
    {
        var (one, other) = (await OpenAsync(), await OpenAsync());

        for (var i = 0; i < 10; i++)
        {
            var key = new BlobKey($"log/{i:d4}");
            await one.PutAsync(key, Bytes(100, seed: i), Precondition.Absent, None);
            AssertSame(Bytes(100, seed: i), await other.ReadWholeAsync(key, 100, None));
            Assert.Equal(i + 1, (await NamesAsync(other, "log/")).Count);
        }
    }

    [SkippableFact]
    public async Task SelfTest_OfThisStore_PassesAndLeavesNothing()
    {
        var store = await OpenAsync();

        var result = await StoreSelfTest.RunAsync(store, new Random(1), None);

        Assert.Equal("The store passed its self-test.", result.ToString());
        Assert.True(result.Passed && result.CreateOnlyWorks && result.ErrorKind is null);
        Assert.Empty(await NamesAsync(store));
    }

    [SkippableFact]
    public async Task Retries_UnderFaults_NeverLoseOrDoubleACreation()
    {
        var inner = await OpenAsync();
        var store = new FaultyBlobStore(inner, seed: 7, TimeProvider.System) { Faults = new() { ErrorBefore = 0.2, ErrorAfter = 0.2 } };

        for (var i = 0; i < 40; i++)
        {
            var key = new BlobKey($"log/{i:d4}");
            var created = false;
            for (var tries = 0; !created && tries < 50; tries++)
            {
                try
                {
                    await store.PutAsync(key, Bytes(64, seed: i), Precondition.Absent, None);
                    created = true;
                }
                catch (BlobStoreException e) when (e.Kind == BlobErrorKind.PreconditionFailed)
                {
                    // Our own earlier try, whose answer was lost: read back, as the fencing rules have it.
                    AssertSame(Bytes(64, seed: i), await inner.ReadWholeAsync(key, 64, None));
                    created = true;
                }
                catch (BlobStoreException e) when (e.IsTransient)
                {
                }
            }

            Assert.True(created);
        }

        Assert.Equal(40, (await NamesAsync(inner)).Count);
    }

    protected static byte[] Bytes(int length, int seed)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>Compares by hash: xunit's own comparison of megabytes takes seconds.</summary>
    protected static void AssertSame(byte[] expected, byte[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        Assert.Equal(Convert.ToHexString(SHA256.HashData(expected)), Convert.ToHexString(SHA256.HashData(actual)));
    }

    protected static async Task<BlobStoreException> ThrowsAsync(BlobErrorKind kind, Func<ValueTask> action)
    {
        var error = await Assert.ThrowsAsync<BlobStoreException>(async () => await action());
        Assert.True(kind == error.Kind, $"{kind} was expected, but {error.Kind} came: {error.Message}");
        return error;
    }

    protected static async ValueTask Discard<T>(ValueTask<T> task) => _ = await task;

    protected static async Task<List<BlobInfo>> ListAsync(IBlobStore store, string prefix = "", string? startAfter = null)
    {
        var blobs = new List<BlobInfo>();
        await foreach (var blob in store.ListAsync(prefix, startAfter, None)) blobs.Add(blob);
        return blobs;
    }

    protected static async Task<List<string>> NamesAsync(IBlobStore store, string prefix = "", string? startAfter = null) =>
        [.. (await ListAsync(store, prefix, startAfter)).Select(b => b.Name)];

    protected static async Task<List<string>> FoldersAsync(IBlobStore store, string prefix)
    {
        var folders = new List<string>();
        await foreach (var folder in store.ListFoldersAsync(prefix, None)) folders.Add(folder);
        return folders;
    }

    private static async Task<bool> TryCreateAsync(IBlobStore store, BlobKey key, byte[] content)
    {
        try
        {
            await store.PutAsync(key, content, Precondition.Absent, None);
            return true;
        }
        catch (BlobStoreException e) when (e.Kind is BlobErrorKind.PreconditionFailed)
        {
            return false;
        }
    }
}
