using Gateway.Backends.Core;
using Xunit;
using static Gateway.Backends.Resilience.Tests.ResilientWorld;

namespace Gateway.Backends.Resilience.Tests;

public sealed class PlacesTests
{
    [Fact]
    public async Task Background_TakesAllItsPlacesAndMore_ForegroundAndLooksGo()
    {
        ResilientWorld.RunInline();
        var world = new ResilientWorld(new ResilienceOptions { BackgroundRequests = 2 });
        await world.PutAsync();
        var answer = new TaskCompletionSource();
        world.Next.Enqueue(_ => answer.Task);
        world.Next.Enqueue(_ => answer.Task);
        var puts = Enumerable.Range(0, 10).Select(i => world.Store.Background.PutAsync(new BlobKey($"c{i}"), new byte[1], Precondition.Absent, default).AsTask()).ToArray();

        Assert.Equal(3, await world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default));
        Assert.Equal(3, await world.Store.Background.GetLengthAsync(Key, default));

        Assert.Equal(["put", "put", "read", "length"], world.Requests);
        answer.SetResult();
        await Task.WhenAll(puts);
        Assert.Equal(10, world.Requests.Count(r => r == "put"));
    }

    [Fact]
    public async Task Queue_Full_RefusesAtOnceAndDoesNotSpeakAgainstTheStore()
    {
        ResilientWorld.RunInline();
        var world = new ResilientWorld(new ResilienceOptions { ForegroundRequests = 1, QueueMax = 1 });
        await world.PutAsync();
        var answer = new TaskCompletionSource();
        world.Next.Enqueue(_ => answer.Task);
        var first = world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask();
        var second = world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask();

        var refused = await FailAsync(world.Store.Foreground);

        Assert.Equal(BlobErrorKind.Throttled, refused.Kind);
        Assert.Equal((1, null), (world.Store.Health.Rejected, world.Store.Health.LastError));
        answer.SetResult();
        Assert.Equal(3, await first);
        Assert.Equal(3, await second);
    }

    [Fact]
    public async Task Queue_WaiterGivesUp_ItsPlaceIsTheNextOnes()
    {
        ResilientWorld.RunInline();
        var world = new ResilientWorld(new ResilienceOptions { ForegroundRequests = 1, QueueMax = 1 });
        await world.PutAsync();
        var answer = new TaskCompletionSource();
        world.Next.Enqueue(_ => answer.Task);
        using var cancellation = new CancellationTokenSource();
        var first = world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask();
        var second = world.Store.Foreground.ReadAsync(Key, 0, new byte[3], cancellation.Token).AsTask();

        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
        var third = world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask();

        answer.SetResult();
        Assert.Equal(3, await first);
        Assert.Equal(3, await third);
        Assert.Equal(3, await world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default)); // No place was lost.
    }

    [Fact]
    public async Task Gate_CancelledWhileTurnsAreGiven_LosesNoPlace()
    {
        ResilientWorld.RunInline();
        var gate = new RequestGate(2, 1000);
        var entered = 0;
        await Task.WhenAll(Enumerable.Range(0, 200).Select(i => Task.Run(async () =>
        {
            using var cancellation = new CancellationTokenSource();
            var entering = gate.EnterAsync("gate", cancellation.Token).AsTask();
            if (i % 2 == 0) await cancellation.CancelAsync();
            try
            {
                await entering;
            }
            catch (OperationCanceledException)
            {
                return;
            }

            Interlocked.Increment(ref entered);
            await Task.Yield();
            gate.Leave();
        })));

        Assert.True(entered >= 100);
        await gate.EnterAsync("gate", default);
        await gate.EnterAsync("gate", default);
        Assert.False(gate.HasRoom);
    }
}
