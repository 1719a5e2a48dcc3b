using Gateway.Backends.Core;
using Xunit;

namespace Gateway.Backends.Rados.Tests;

/// <summary>Listings put together from the shards of the index.</summary>
public sealed class IndexListingTests
{
    /// <summary>Whatever length of page the OSDs give.</summary>
    [Theory, InlineData(1), InlineData(3), InlineData(64), InlineData(int.MaxValue)]
    public async Task List_RandomNames_IsSortedAndFilteredAsAListWouldBe(int pageMax)
    {
        await using var world = new RadosWorld();
        world.Pool.PageMax = pageMax;
        var random = new Random(5);
        var names = Enumerable.Range(0, 1500).Select(_ => RandomName(random)).Distinct().Order(StringComparer.Ordinal).ToArray();
        foreach (var name in names) await world.Store.PutAsync(new(name), new byte[name.Length], Precondition.Absent, CancellationToken.None);

        Assert.Equal(names.Select(n => new BlobInfo(n, n.Length)), await RadosWorld.ListAsync(world.Store));
        for (var i = 0; i < 30; i++)
        {
            var prefix = names[random.Next(names.Length)][..random.Next(1, 3)];
            var after = random.Next(3) == 0 ? null : names[random.Next(names.Length)][..^random.Next(2)];
            var expected = names.Where(n => n.StartsWith(prefix, StringComparison.Ordinal) && (after is null || string.CompareOrdinal(n, after) > 0));
            Assert.Equal(expected, (await RadosWorld.ListAsync(world.Store, prefix, after)).Select(b => b.Name));
        }

        foreach (var prefix in (string[])["", .. names.Where(n => n.Contains('/')).Select(n => n[..(n.IndexOf('/') + 1)]).Distinct()])
        {
            var expected = names.Where(n => n.StartsWith(prefix, StringComparison.Ordinal) && n.IndexOf('/', prefix.Length) > 0).Select(n => n[prefix.Length..(n.IndexOf('/', prefix.Length) + 1)]).Distinct().Order(StringComparer.Ordinal);
            Assert.Equal(expected, await RadosWorld.FoldersAsync(world.Store, prefix));
        }
    }

    [Theory, InlineData("a\0"), InlineData("ü"), InlineData("+index"), InlineData("a b"), InlineData("../+")]
    public async Task List_PrefixThatNoNameHas_IsEmpty(string prefix)
    {
        await using var world = new RadosWorld();
        await world.Store.PutAsync(new("a"), new byte[1], Precondition.Absent, CancellationToken.None);

        Assert.Empty(await RadosWorld.ListAsync(world.Store, prefix));
        Assert.Empty(await RadosWorld.FoldersAsync(world.Store, prefix + "/"));
    }

    /// <summary>A look for the newest of a numbered family must not cost more as the family grows.</summary>
    [Fact]
    public async Task List_EndOfALongFamily_ReadsNoMoreThanThat()
    {
        await using var world = new RadosWorld();
        for (var i = 0; i < 5000; i++) await world.Store.PutAsync(new($"v/log/{i:d8}"), new byte[1], Precondition.Absent, CancellationToken.None);
        var before = world.Pool.Operations;

        var last = await RadosWorld.ListAsync(world.Store, "v/log/", "v/log/00004990");

        Assert.Equal(9, last.Count);
        Assert.Equal(16, world.Pool.Operations - before);
    }

    /// <summary>What lies in a folder is stepped over, however much it is.</summary>
    [Fact]
    public async Task ListFolders_FullFolders_AreSteppedOver()
    {
        await using var world = new RadosWorld();
        foreach (var volume in (string[])["v1", "v2", "v3"])
            for (var i = 0; i < 3000; i++) await world.Store.PutAsync(new($"{volume}/log/{i:d8}"), new byte[1], Precondition.Absent, CancellationToken.None);
        var before = world.Pool.Operations;

        Assert.Equal(["v1/", "v2/", "v3/"], await RadosWorld.FoldersAsync(world.Store, ""));

        Assert.True(world.Pool.Operations - before <= 4 * 16, $"{world.Pool.Operations - before} operations");
    }

    private static string RandomName(Random random) =>
        string.Join('/', Enumerable.Range(0, random.Next(1, 4)).Select(_ => new string([.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => "ab-.0_Z"[random.Next(7)])])).Where(p => p is not ("." or "..")).DefaultIfEmpty("x"));
}
