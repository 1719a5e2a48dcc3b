using System.Diagnostics;
using Gateway.Backends.Core;
using Gateway.Backends.Rados;
using Gateway.Tests.Shared.Stores;
using Xunit;

namespace Gateway.Conformance.Tests;

/// <summary>RADOS against a real cluster: the common suite, and what can go wrong between us and one.</summary>
[Trait("Category", "Server")]
public sealed class RadosBlobStoreTests : BlobStoreConformance
{
    private RadosStoreOptions? _options;

    protected override async Task<IBlobStore> OpenViewAsync() => new RadosBlobStore(await OptionsAsync());

    /// <summary>Options for this test's own namespace.</summary>
    private async Task<RadosStoreOptions> OptionsAsync() => _options ??= await RadosNamespace.NewAsync();

    [SkippableFact]
    public async Task Check_OfThisStore_PassesAndLeavesNothing()
    {
        var store = await OpenAsync();

        var results = await StoreCheck.RunAsync(store, new Random(1), null, None);

        Assert.Equal([], results.Where(r => !r.Passed).Select(r => $"{r.Name}: {r.Fault}"));
        Assert.Empty(await NamesAsync(store));
    }

    [SkippableFact]
    public async Task Namespace_TwoOfThem_KeepStoresApart()
    {
        var options = await OptionsAsync();
        await using var one = new RadosBlobStore(options with { Namespace = options.Namespace + "-one" });
        await using var other = new RadosBlobStore(options with { Namespace = options.Namespace + "-other" });
        await one.PutAsync(new("blob"), new byte[1], Precondition.Absent, None);
        await other.PutAsync(new("blob"), new byte[2], Precondition.Absent, None);

        Assert.Equal([new BlobInfo("blob", 1)], await ListAsync(one));
        Assert.Equal([new BlobInfo("blob", 2)], await ListAsync(other));
    }

    [SkippableFact]
    public async Task Pool_Missing_IsContainerMissingForEveryOperation()
    {
        await using var store = new RadosBlobStore(await OptionsAsync() with { Pool = "no-such-pool" });

        var error = await ThrowsAsync(BlobErrorKind.ContainerMissing, () => Discard(store.ReadAsync(new("a"), 0, new byte[1], None)));
        Assert.Contains("no-such-pool", error.Message, StringComparison.Ordinal);
        await ThrowsAsync(BlobErrorKind.ContainerMissing, () => store.PutAsync(new("a"), new byte[1], Precondition.None, None));
        await ThrowsAsync(BlobErrorKind.ContainerMissing, () => Discard(store.GetLengthAsync(new("a"), None)));
        await ThrowsAsync(BlobErrorKind.ContainerMissing, async () => await ListAsync(store));
        await ThrowsAsync(BlobErrorKind.ContainerMissing, async () => await FoldersAsync(store, ""));
        await ThrowsAsync(BlobErrorKind.ContainerMissing, () => store.DeleteAsync(new("a"), None));
    }

    /// <summary>librados has one errno for a blob that is missing and a pool that is gone: a volume must not look as if it never was.</summary>
    [SkippableFact]
    public async Task Pool_RemovedAndMadeAgain_IsContainerMissingThenServes()
    {
        var options = await OptionsAsync() with { Pool = $"pool-{Guid.NewGuid():n}" };
        await CephAsync("osd", "pool", "create", options.Pool, "4");
        await using var store = new RadosBlobStore(options);
        await store.PutAsync(new("blob"), new byte[1], Precondition.Absent, None);

        await CephAsync("osd", "pool", "rm", options.Pool, options.Pool, "--yes-i-really-really-mean-it");

        await ThrowsAsync(BlobErrorKind.ContainerMissing, () => Discard(store.ReadAsync(new("blob"), 0, new byte[1], None)));
        await ThrowsAsync(BlobErrorKind.ContainerMissing, async () => await ListAsync(store));
        await ThrowsAsync(BlobErrorKind.ContainerMissing, () => Discard(store.GetLengthAsync(new("blob"), None)));

        await CephAsync("osd", "pool", "create", options.Pool, "4");
        await store.PutAsync(new("blob"), new byte[2], Precondition.Absent, None);
        Assert.Equal([new BlobInfo("blob", 2)], await ListAsync(store));
    }

    [SkippableFact]
    public async Task Put_LargerThanTheClusterTakes_IsRejectedAndSaysWhatToRaise()
    {
        var store = await OpenAsync();

        var error = await ThrowsAsync(BlobErrorKind.Rejected, () => store.PutAsync(new("blob"), new byte[100 << 20], Precondition.None, None));

        Assert.Contains("osd_max_write_size", error.Message, StringComparison.Ordinal);
        Assert.Empty(await NamesAsync(store));
    }

    [SkippableFact]
    public async Task Keyring_FileMissing_IsAccessDeniedAndSaysWhere()
    {
        await using var store = new RadosBlobStore(await OptionsAsync() with { KeyringFile = "/nowhere/keyring" });

        var error = await ThrowsAsync(BlobErrorKind.AccessDenied, () => Discard(store.GetLengthAsync(new("a"), None)));

        Assert.Contains("/nowhere/keyring", error.Message, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task Monitors_NobodyThere_IsUnavailableWithinTheConnectTimeout()
    {
        await using var store = new RadosBlobStore(await OptionsAsync() with { ConfigurationFile = null, Monitors = "v2:127.0.0.1:1", ConnectTimeout = TimeSpan.FromSeconds(2) });
        var started = Stopwatch.StartNew();

        var error = await ThrowsAsync(BlobErrorKind.Unavailable, () => Discard(store.GetLengthAsync(new("a"), None)));

        Assert.Contains("No monitor answered", error.Message, StringComparison.Ordinal);
        Assert.InRange(started.Elapsed.TotalSeconds, 0, 20);
    }

    [SkippableFact]
    public async Task Puts_DeletesAndListingsOfTheSameNames_EndWithAListingOfWhatIsThere()
    {
        IBlobStore[] views = [await OpenAsync(), await OpenAsync()];

        await Task.WhenAll(Enumerable.Range(0, 8).Select(worker => Task.Run(async () =>
        {
            var random = new Random(worker);
            for (var i = 0; i < 60; i++)
            {
                var (store, key) = (views[random.Next(2)], new BlobKey($"raced/{random.Next(4)}"));
                try
                {
                    if (random.Next(3) == 0) await store.DeleteAsync(key, None);
                    else await store.PutAsync(key, new byte[random.Next(5000)], random.Next(2) == 0 ? Precondition.Absent : Precondition.None, None);
                }
                catch (BlobStoreException e) when (e.Kind == BlobErrorKind.PreconditionFailed)
                {
                    // Another one was first.
                }

                if (i % 10 == 0) await NamesAsync(store, "raced/");
            }
        })));

        var listed = await ListAsync(views[0]);
        for (var i = 0; i < 4; i++)
        {
            var length = await views[1].GetLengthAsync(new($"raced/{i}"), None);
            Assert.Equal(length, listed.Where(b => b.Name == $"raced/{i}").Select(b => (long?)b.LengthBytes).SingleOrDefault());
        }
    }

    /// <summary>An OSD that is stopped in the middle: no request outlives its time, a cancelled one ends at once, and everything works again afterwards.</summary>
    [SkippableFact]
    public async Task Osd_Silent_RequestsEndInTimeAndGoOnAfterwards()
    {
        Skip.If(RgwServer.SkipReason is not null, RgwServer.SkipReason);
        var server = await RgwServer.StartAsync("--store", "memstore", "--rbd", "--no-rgw");
        await using var store = new RadosBlobStore(new RadosStoreOptions { Pool = "rbd", ConfigurationFile = server.ConfigurationFile, RequestTimeout = TimeSpan.FromSeconds(2) });
        var buffer = new byte[4096];
        try
        {
            await store.PutAsync(new("blob"), Bytes(4096, seed: 1), Precondition.Absent, None);
            await server.ControlAsync("osd-pause");
            var started = Stopwatch.StartNew();

            await ThrowsAsync(BlobErrorKind.Unavailable, () => Discard(store.ReadAsync(new("blob"), 0, buffer, None)));
            await ThrowsAsync(BlobErrorKind.Unavailable, () => store.PutAsync(new("other"), new byte[8 << 20], Precondition.None, None));
            await ThrowsAsync(BlobErrorKind.Unavailable, async () => await ListAsync(store));
            Assert.InRange(started.Elapsed.TotalSeconds, 3, 30);
            using var source = new CancellationTokenSource();
            var read = store.ReadAsync(new("blob"), 0, buffer, source.Token).AsTask();
            await source.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read);

            await server.ControlAsync("osd-cont");
            Assert.Equal(4096, await store.ReadAsync(new("blob"), 0, buffer, None));
            AssertSame(Bytes(4096, seed: 1), buffer);
        }
        finally
        {
            server.Stop();
        }
    }

    /// <summary>A cluster that asks for keys: what the documentation tells to give a gateway's user is enough, and a wrong key is shown nowhere.</summary>
    [SkippableFact]
    public async Task Key_RightWrongAndOfAnotherPool_ServesOrIsAccessDenied()
    {
        Skip.If(RgwServer.SkipReason is not null, RgwServer.SkipReason);
        const string wrongKey = "AQD1rLVnAAAAABAAV3JvbmdLZXlOb2JvZHkhIQ==", brokenKey = "AQD1rLVnAAAAABAAVGhpcyBpcyBub25l";
        var server = await RgwServer.StartAsync("--store", "memstore", "--rbd", "--no-rgw", "--cephx");
        try
        {
            var folder = server.DirectoryPath;
            foreach (var (user, pool) in ((string, string)[])[("gateway", "rbd"), ("stranger", "other")])
                await CephAsync(server, "auth", "get-or-create", $"client.{user}", "mon", "allow r", "osd", $"allow rw pool={pool}", "-o", $"{folder}/{user}.keyring");
            foreach (var (name, key) in ((string, string)[])[("wrong", wrongKey), ("broken", brokenKey)]) await File.WriteAllTextAsync($"{folder}/{name}.keyring", $"[client.gateway]\n\tkey = {key}\n");
            var options = new RadosStoreOptions { Pool = "rbd", ConfigurationFile = server.ConfigurationFile, User = "gateway", KeyringFile = $"{folder}/gateway.keyring" };

            await using (var store = new RadosBlobStore(options)) Assert.Equal("The store passed its self-test.", (await StoreSelfTest.RunAsync(store, new Random(1), None)).ToString());
            foreach (var wrong in (RadosStoreOptions[])
            [
                options with { KeyringFile = $"{folder}/wrong.keyring" },
                options with { KeyringFile = $"{folder}/broken.keyring" },
                options with { User = "nobody" },
                options with { User = "stranger", KeyringFile = $"{folder}/stranger.keyring" },
            ])
            {
                await using var store = new RadosBlobStore(wrong);
                var error = await ThrowsAsync(BlobErrorKind.AccessDenied, () => store.PutAsync(new("a"), new byte[1], Precondition.None, None));
                Assert.Contains($"client.{wrong.User}", error.Message, StringComparison.Ordinal);
                Assert.DoesNotContain(wrongKey[16..], error.ToString(), StringComparison.Ordinal);
                Assert.DoesNotContain(brokenKey[16..], error.ToString(), StringComparison.Ordinal);
            }
        }
        finally
        {
            server.Stop();
        }
    }

    private static async Task CephAsync(params string[] arguments) => await CephAsync(await RgwServer.SharedAsync(), arguments);

    private static async Task CephAsync(RgwServer server, params string[] arguments)
    {
        using var ceph = Process.Start("ceph", ["-c", server.ConfigurationFile, .. arguments]);
        await ceph.WaitForExitAsync();
        Assert.Equal(0, ceph.ExitCode);
    }
}
