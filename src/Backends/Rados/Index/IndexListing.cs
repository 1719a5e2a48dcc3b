using Gateway.Backends.Core;

namespace Gateway.Backends.Rados.Index;

/// <summary>The blobs of a prefix in ordinal order: the shards' orders, merged. Not thread safe.</summary>
/// <param name="index">Told what may be tidied.</param>
/// <param name="entries">The pool that has the index.</param>
/// <param name="blobs">The pool that has the blobs.</param>
/// <param name="prefix">Of the names.</param>
/// <param name="startAfter">The first name comes after this one; empty: all.</param>
internal sealed class IndexListing(BlobIndex index, IRadosObjects entries, IRadosObjects blobs, string prefix, string startAfter)
{
    /// <summary>A shard's first page is short, since many listings end after a few names; each further one is so much longer, up to what an OSD gives at a time.</summary>
    internal const int PageNamesFirst = 32;

    private const int PageGrowth = 8;
    private const int PageNamesMax = 1000;

    /// <summary>Looks at objects at a time.</summary>
    private const int LooksMax = 32;

    private readonly Shard[] _shards = [.. Enumerable.Range(0, BlobIndex.ShardCount).Select(i => new Shard(BlobIndex.ShardName(i), startAfter))];

    /// <summary>The next blob, or null after the last one.</summary>
    /// <param name="run">Makes one request of the work it is given: all shards that are at an end get their next page in it.</param>
    public async ValueTask<BlobInfo?> NextAsync(Func<Func<CancellationToken, ValueTask<int>>, ValueTask<int>> run)
    {
        if (Array.Exists(_shards, s => s.NeedsPage)) await run(FillAsync);
        Shard? first = null;
        foreach (var shard in _shards)
            if (!shard.IsAtEnd && (first is null || string.CompareOrdinal(shard.Head.Name, first.Head.Name) < 0)) first = shard;
        return first?.Take();
    }

    /// <summary>Goes on with what comes after that name.</summary>
    public void Skip(string after)
    {
        foreach (var shard in _shards) shard.Skip(after);
    }

    private async ValueTask<int> FillAsync(CancellationToken cancellationToken)
    {
        // Also a page without a blob has brought its shard further.
        while (Array.Exists(_shards, s => s.NeedsPage)) await Task.WhenAll(_shards.Where(s => s.NeedsPage).Select(s => FillAsync(s, cancellationToken)));
        return 0;
    }

    private async Task FillAsync(Shard shard, CancellationToken cancellationToken)
    {
        var page = await entries.GetPageAsync(shard.Name, prefix, shard.After, shard.PageNames, cancellationToken);
        var found = new BlobInfo?[page.Entries.Count];
        var unsettled = new List<int>();
        for (var i = 0; i < found.Length; i++)
        {
            var (name, entry) = page.Entries[i];
            if (entry.IsSettled) found[i] = new BlobInfo(name, entry.Number);
            else unsettled.Add(i);
        }

        await Parallel.ForEachAsync(unsettled, new ParallelOptions { MaxDegreeOfParallelism = LooksMax, CancellationToken = cancellationToken }, async (i, token) =>
        {
            var (name, entry) = page.Entries[i];
            var length = await blobs.GetLengthAsync(name, token);
            if (length is { } bytes) found[i] = new BlobInfo(name, bytes);
            await index.TidyAsync(shard.Name, name, entry, length, token);
        });
        shard.Add(found, page.Entries.Count == 0 ? shard.After : page.Entries[^1].Key, page.HasMore && page.Entries.Count > 0);
    }

    /// <summary>One shard's names, a page at a time.</summary>
    private sealed class Shard(string name, string after)
    {
        private readonly Queue<BlobInfo> _page = new();
        private bool _hasMore = true;

        public string Name { get; } = name;

        /// <summary>Where its next page begins.</summary>
        public string After { get; private set; } = after;

        public int PageNames { get; private set; } = PageNamesFirst;

        public bool NeedsPage => _page.Count == 0 && _hasMore;

        public bool IsAtEnd => _page.Count == 0;

        public BlobInfo Head => _page.Peek();

        public BlobInfo Take() => _page.Dequeue();

        public void Add(BlobInfo?[] blobs, string last, bool hasMore)
        {
            foreach (var blob in blobs)
                if (blob is { } known) _page.Enqueue(known);
            (After, _hasMore, PageNames) = (last, hasMore, Math.Min(PageNames * PageGrowth, PageNamesMax));
        }

        public void Skip(string after)
        {
            while (_page.Count > 0 && string.CompareOrdinal(Head.Name, after) <= 0) _page.Dequeue();
            if (string.CompareOrdinal(After, after) >= 0) return;
            // Who steps over names is not after the many that follow.
            (After, PageNames) = (after, PageNamesFirst);
        }
    }
}
