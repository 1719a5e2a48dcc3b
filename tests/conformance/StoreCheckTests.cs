using Gateway.Backends.Core;
using Gateway.Tests.Shared;
using Gateway.Tests.Shared.Stores;
using Xunit;

namespace Gateway.Conformance.Tests;

/// <summary>The check that people run on their own stores finds what is wrong with one, and nothing that is not.</summary>
public sealed class StoreCheckTests
{
    [Fact]
    public async Task Check_OfAGoodStore_PassesAndLeavesNothing()
    {
        var store = new MemoryBlobStore();
        var told = new List<StoreCheckResult>();

        var results = await StoreCheck.RunAsync(store, new Random(1), told.Add, CancellationToken.None);

        Assert.Equal([], results.Where(r => !r.Passed).Select(r => $"{r.Name}: {r.Fault}"));
        Assert.Equal(told, results);
        Assert.Empty(store.Blobs);
    }

    [Fact]
    public async Task Check_OfAStoreThatIgnoresConditions_FailsWhereItMattersAndGoesOn()
    {
        var store = new MemoryBlobStore { IgnoresPreconditions = true };

        var results = await StoreCheck.RunAsync(store, new Random(1), null, CancellationToken.None);

        Assert.Equal(
            ["self-test: what every gateway tries before it opens a volume", "a create-only put of an existing blob is refused and keeps it", "of 16 create-only puts at one time exactly one wins"],
            results.Where(r => !r.Passed).Select(r => r.Name));
        Assert.Empty(store.Blobs);
    }

    [Fact]
    public async Task Check_OfAStoreThatIsAway_FailsEverywhereAndEnds()
    {
        var store = new FaultyBlobStore(new MemoryBlobStore(), seed: 1, TimeProvider.System) { Faults = new() { Outage = true } };

        var results = await StoreCheck.RunAsync(store, new Random(1), null, CancellationToken.None);

        Assert.All(results, r => Assert.False(r.Passed, r.Name));
    }
}
