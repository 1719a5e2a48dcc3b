using Gateway.Backends.Rados.Index;

namespace Gateway.Backends.Rados.Tests;

/// <summary>A pool in memory. Its operations take effect one at a time, in an order that a seed decides, and may fail before or after their effect.</summary>
/// <remarks>With a seed, every operation waits for <see cref="RunAsync"/> to choose it: so operations of several callers interleave in every way, and the same seed replays it.</remarks>
internal sealed class SimulatedPool(int? seed = null) : IRadosObjects, IRadosConnection
{
    private readonly Random _random = new(seed ?? 0);
    private readonly List<(TaskCompletionSource<object?>? Source, Func<object?> Effect)> _waiting = [];

    public Dictionary<string, byte[]> Objects { get; } = [];

    public Dictionary<string, SortedDictionary<string, IndexEntry>> Omaps { get; } = [];

    /// <summary>Of the operations, how many fail: half after their effect, a quarter before it, a quarter long before it.</summary>
    public double Failures { get; set; }

    /// <summary>The next operation fails with this errno, and has no effect.</summary>
    public int? NextError { get; set; }

    /// <summary>The most keys in a page, whatever is asked for, as OSDs have it.</summary>
    public int PageMax { get; set; } = int.MaxValue;

    /// <summary>Operations that took effect.</summary>
    public int Operations { get; private set; }

    /// <summary>Called after each.</summary>
    public Action? AfterEach { get; set; }

    public IRadosObjects Blobs => this;

    public IRadosObjects Entries => this;

    /// <summary>All index entries by name.</summary>
    public Dictionary<string, IndexEntry> Index => Omaps.SelectMany(o => o.Value).ToDictionary();

    public void Dispose()
    {
    }

    /// <summary>Lets waiting operations take effect, until all is done.</summary>
    public async Task RunAsync(Task all)
    {
        while (!all.IsCompleted)
        {
            if (TakeOne() is { } chosen) Complete(chosen.Source, chosen.Effect);
            else await Task.Yield();
        }

        while (TakeOne() is { } late) Complete(late.Source, late.Effect);
        await all;
    }

    public Task<int> ReadAsync(string name, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken) => Do(() =>
    {
        var rest = ObjectOf(name).AsSpan((int)Math.Min(offsetBytes, ObjectOf(name).Length));
        var read = Math.Min(rest.Length, destination.Length);
        rest[..read].CopyTo(destination.Span);
        return read;
    });

    public Task WriteAsync(string name, ReadOnlyMemory<byte> content, bool isExclusive, CancellationToken cancellationToken) => Do<object?>(() =>
    {
        if (isExclusive && Objects.ContainsKey(name)) throw new RadosException(RadosErrors.EEXIST);
        Objects[name] = content.ToArray();
        return null;
    });

    public Task<long?> GetLengthAsync(string name, CancellationToken cancellationToken) => Do<long?>(() => Objects.TryGetValue(name, out var content) ? content.Length : null);

    public Task RemoveAsync(string name, CancellationToken cancellationToken) => Do<object?>(() =>
    {
        Objects.Remove(name);
        return null;
    });

    public Task<IndexEntry?> GetEntryAsync(string name, string key, CancellationToken cancellationToken) => Do<IndexEntry?>(() => OmapOf(name).TryGetValue(key, out var entry) ? entry : null);

    public Task<bool> TryChangeEntryAsync(string name, string key, IndexEntry? expected, IndexEntry? next, CancellationToken cancellationToken) => Do(() =>
    {
        IndexEntry? seen = OmapOf(name).TryGetValue(key, out var entry) ? entry : null;
        if (seen != expected) return false;
        if (next is { } value) OmapOf(name)[key] = value;
        else OmapOf(name).Remove(key);
        return true;
    });

    public Task SetEntryAsync(string name, string key, IndexEntry next, CancellationToken cancellationToken) => Do<object?>(() =>
    {
        OmapOf(name)[key] = next;
        return null;
    });

    public Task<IndexPage> GetPageAsync(string name, string prefix, string startAfter, int countMax, CancellationToken cancellationToken) => Do(() =>
    {
        var all = OmapOf(name).Where(e => e.Key.StartsWith(prefix, StringComparison.Ordinal) && string.CompareOrdinal(e.Key, startAfter) > 0).Select(e => (e.Key, e.Value)).ToList();
        var count = Math.Min(countMax, PageMax);
        return new IndexPage(all.Take(count).ToList(), all.Count > count);
    });

    private (TaskCompletionSource<object?>? Source, Func<object?> Effect)? TakeOne()
    {
        lock (_waiting)
        {
            if (_waiting.Count == 0) return null;
            var at = _random.Next(_waiting.Count);
            var chosen = _waiting[at];
            _waiting.RemoveAt(at);
            return chosen;
        }
    }

    private byte[] ObjectOf(string name) => Objects.TryGetValue(name, out var content) ? content : throw new RadosException(RadosErrors.ENOENT);

    private SortedDictionary<string, IndexEntry> OmapOf(string name)
    {
        if (!Omaps.TryGetValue(name, out var omap)) Omaps[name] = omap = new SortedDictionary<string, IndexEntry>(StringComparer.Ordinal);
        return omap;
    }

    private async Task<T> Do<T>(Func<T> effect)
    {
        var source = new TaskCompletionSource<object?>();
        if (seed is null) Complete(source, () => effect());
        else lock (_waiting) _waiting.Add((source, () => effect()));
        return (T)(await source.Task)!;
    }

    /// <param name="source">Null if nobody waits any more.</param>
    /// <param name="effect">What happens in the pool.</param>
    private void Complete(TaskCompletionSource<object?>? source, Func<object?> effect)
    {
        var fate = source is null ? 1 : _random.NextDouble();
        try
        {
            if (NextError is { } errno)
            {
                NextError = null;
                throw new RadosException(errno);
            }

            if (fate < Failures / 2)
            {
                // Some of what nobody waits for any more still happens: any time later.
                if (fate < Failures / 4) lock (_waiting) _waiting.Add((null, effect));
                throw new RadosException(RadosErrors.ETIMEDOUT);
            }

            var result = effect();
            Operations++;
            AfterEach?.Invoke();
            if (fate < Failures) throw new RadosException(RadosErrors.ETIMEDOUT);
            source?.SetResult(result);
        }
        catch (Exception e) when (e is RadosException)
        {
            source?.SetException(e);
        }
    }
}
