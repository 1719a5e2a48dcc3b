using Gateway.Backends.Core;
using Xunit;

namespace Gateway.Backends.Rados.Tests;

/// <summary>A store over a simulated pool, and a clock that the test sets.</summary>
internal sealed class RadosWorld : IAsyncDisposable
{
    public RadosWorld(int? seed = null)
    {
        Pool = new SimulatedPool(seed);
        Store = OpenStore();
    }

    public SimulatedPool Pool { get; }

    public SettableTime Time { get; } = new();

    public RadosBlobStore Store { get; }

    /// <summary>How often a store has connected.</summary>
    public int Connections { get; private set; }

    /// <summary>A store of another process.</summary>
    public RadosBlobStore OpenStore() => new(new RadosStoreOptions { Pool = "pool", RequestTimeout = TimeSpan.FromHours(1) }, Time, () =>
    {
        Connections++;
        return Pool;
    });

    public static async Task<List<BlobInfo>> ListAsync(IBlobStore store, string prefix = "", string? startAfter = null)
    {
        var blobs = new List<BlobInfo>();
        await foreach (var blob in store.ListAsync(prefix, startAfter, CancellationToken.None)) blobs.Add(blob);
        return blobs;
    }

    public static async Task<List<string>> FoldersAsync(IBlobStore store, string prefix)
    {
        var folders = new List<string>();
        await foreach (var folder in store.ListFoldersAsync(prefix, CancellationToken.None)) folders.Add(folder);
        return folders;
    }

    /// <summary>The two rules of the index.</summary>
    public void AssertRulesHold()
    {
        var index = Pool.Index;
        foreach (var name in Pool.Objects.Keys) Assert.True(index.ContainsKey(name), $"Blob '{name}' exists and has no entry.");
        foreach (var (name, entry) in index.Where(e => e.Value.IsSettled))
            Assert.True(Pool.Objects.TryGetValue(name, out var content) && content.Length == entry.Number, $"The entry of '{name}' is settled at {entry.Number} bytes, and the blob has {content?.Length.ToString() ?? "none"}.");
    }

    public ValueTask DisposeAsync() => Store.DisposeAsync();
}

/// <summary>A clock that stands still until it is set; timers run by the system's.</summary>
internal sealed class SettableTime : TimeProvider
{
    public DateTimeOffset Now { get; set; } = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    public override DateTimeOffset GetUtcNow() => Now;
}
