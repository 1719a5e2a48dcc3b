using Gateway.Backends.Core;
using Gateway.Backends.Rados.Index;
using Xunit;

namespace Gateway.Backends.Rados.Tests;

/// <summary>A blob and its place in the index change one after the other, and look like one all the same.</summary>
public sealed class BlobIndexTests
{
    private const int Actors = 4;
    private const int StepsOfEach = 6;

    public static TheoryData<int> Seeds => [.. Enumerable.Range(0, 20)];

    /// <summary>50 worlds for each seed: puts with and without condition, deletes and listings of three names by four processes, in every order, with and without failures.</summary>
    [Theory, MemberData(nameof(Seeds))]
    public async Task Index_AnyInterleavingAndFailure_KeepsItsRulesAndListsWhatExists(int seed)
    {
        for (var round = 0; round < 50; round++)
        {
            await using var world = new RadosWorld((seed * 1000) + round);
            world.Pool.AfterEach = world.AssertRulesHold;
            world.Pool.Failures = round % 2 == 0 ? 0 : 0.15;

            await world.Pool.RunAsync(Task.WhenAll(Enumerable.Range(0, Actors).Select(actor => ActAsync(world, new Random((seed * 100_000) + (round * 10) + actor)))));

            world.Pool.Failures = 0;
            world.AssertRulesHold();
            await AssertListedIsWhatExistsAsync(world);
            // A day later nobody is left behind any entry, and a listing tidies up.
            world.Time.Now += BlobIndex.AbandonedAfter + TimeSpan.FromMinutes(1);
            await AssertListedIsWhatExistsAsync(world);
            Assert.All(world.Pool.Index, e => Assert.True(e.Value.IsSettled, e.Key));
            Assert.Equal(world.Pool.Objects.Keys.Order(), world.Pool.Index.Keys.Order());
        }
    }

    [Fact]
    public async Task Put_NewBlob_TakesThreeOperationsAndLeavesASettledEntry()
    {
        await using var world = new RadosWorld();

        await world.Store.PutAsync(new("log/1"), new byte[7], Precondition.Absent, CancellationToken.None);

        Assert.Equal(3, world.Pool.Operations);
        Assert.Equal((true, 7L), (world.Pool.Index["log/1"].IsSettled, world.Pool.Index["log/1"].Number));
    }

    [Fact]
    public async Task Delete_Blob_LeavesNothingBehind()
    {
        await using var world = new RadosWorld();
        await world.Store.PutAsync(new("log/1"), new byte[7], Precondition.Absent, CancellationToken.None);

        await world.Store.DeleteAsync(new("log/1"), CancellationToken.None);
        await world.Store.DeleteAsync(new("log/2"), CancellationToken.None);

        Assert.Empty(world.Pool.Objects);
        Assert.Empty(world.Pool.Index);
    }

    [Fact]
    public async Task Put_KilledBeforeTheObject_IsNotListedAndCanBeRepeated()
    {
        await using var world = new RadosWorld();
        var dead = new BlobIndex(world.Pool, world.Time);
        await dead.TryClaimAsync("epochs/1", mustBeAbsent: true, CancellationToken.None);

        Assert.Empty(await RadosWorld.ListAsync(world.Store));
        await world.Store.PutAsync(new("epochs/1"), new byte[3], Precondition.Absent, CancellationToken.None);

        Assert.Equal([new BlobInfo("epochs/1", 3)], await RadosWorld.ListAsync(world.Store));
    }

    [Fact]
    public async Task Put_KilledAfterTheObject_IsListedAndIsThere()
    {
        await using var world = new RadosWorld();
        var dead = new BlobIndex(world.Pool, world.Time);
        await dead.TryClaimAsync("epochs/1", mustBeAbsent: true, CancellationToken.None);
        await world.Pool.WriteAsync("epochs/1", new byte[5], isExclusive: true, CancellationToken.None);

        Assert.Equal([new BlobInfo("epochs/1", 5)], await RadosWorld.ListAsync(world.Store));
        var error = await Assert.ThrowsAsync<BlobStoreException>(async () => await world.Store.PutAsync(new("epochs/1"), new byte[3], Precondition.Absent, CancellationToken.None));
        Assert.Equal(BlobErrorKind.PreconditionFailed, error.Kind);
    }

    private static async Task ActAsync(RadosWorld world, Random random)
    {
        await using var store = world.OpenStore();
        for (var i = 0; i < StepsOfEach; i++)
        {
            var key = new BlobKey("k" + random.Next(3));
            try
            {
                switch (random.Next(5))
                {
                    case 0 or 1:
                        await store.PutAsync(key, new byte[random.Next(1000)], Precondition.Absent, CancellationToken.None);
                        break;
                    case 2:
                        await store.PutAsync(key, new byte[random.Next(1000)], Precondition.None, CancellationToken.None);
                        break;
                    case 3:
                        await store.DeleteAsync(key, CancellationToken.None);
                        break;
                    default:
                        await RadosWorld.ListAsync(store);
                        break;
                }
            }
            catch (BlobStoreException e) when (e.Kind is BlobErrorKind.PreconditionFailed or BlobErrorKind.Unavailable)
            {
                // Somebody else was first, or the pool failed: the next step.
            }
        }
    }

    private static async Task AssertListedIsWhatExistsAsync(RadosWorld world)
    {
        var list = RadosWorld.ListAsync(world.Store);
        await world.Pool.RunAsync(list);
        Assert.Equal(world.Pool.Objects.OrderBy(o => o.Key, StringComparer.Ordinal).Select(o => new BlobInfo(o.Key, o.Value.Length)), await list);
    }
}
