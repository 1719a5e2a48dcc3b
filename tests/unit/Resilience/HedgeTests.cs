using Gateway.Backends.Core;
using Xunit;
using static Gateway.Backends.Resilience.Tests.ResilientWorld;

namespace Gateway.Backends.Resilience.Tests;

public sealed class HedgeTests
{
    private static readonly ResilienceOptions Hedging = new() { HedgeDelay = TimeSpan.FromMilliseconds(50) };

    [Fact]
    public async Task Read_FirstIsSlow_SecondOvertakesAndTheLoserNeverWritesToTheCaller()
    {
        ResilientWorld.RunInline();
        var inner = new SlowFirstRead();
        var time = new Gateway.Volumes.Tests.ManualTime();
        await using var store = new ResilientStore(inner, Hedging, time, new Random(1), Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);
        var destination = new byte[4];

        var read = store.Foreground.ReadAsync(Key, 0, destination, default).AsTask();
        time.Advance(TimeSpan.FromMilliseconds(50));

        Assert.Equal(4, await read);
        Assert.Equal([2, 2, 2, 2], destination);
        inner.First.SetResult(); // Deaf to its cancellation, it fills its buffer now.
        await inner.FirstDone.Task;
        Assert.Equal([2, 2, 2, 2], destination);
    }

    [Fact]
    public async Task Read_AnsweredInTime_IsSentOnce()
    {
        ResilientWorld.RunInline();
        var world = new ResilientWorld(Hedging);
        await world.PutAsync();
        var destination = new byte[5];

        Assert.Equal(3, await world.Store.Foreground.ReadAsync(Key, 0, destination, default));

        Assert.Equal([1, 2, 3, 0, 0], destination);
        Assert.Single(world.Requests);
    }

    [Fact]
    public async Task Read_FirstFailsAtOnce_IsRepeatedOnlyAfterTheDelay()
    {
        ResilientWorld.RunInline();
        var world = new ResilientWorld(Hedging);
        await world.PutAsync();
        world.Next.Enqueue(Fails(BlobErrorKind.Unavailable));

        var read = world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask();

        Assert.Single(world.Requests);
        Assert.Equal(3, await world.RunAsync(read, TimeSpan.FromMilliseconds(10)));
        Assert.Equal((2, 1), (world.Store.Health.Attempts, world.Store.Health.Retries));
    }

    [Fact]
    public async Task Read_SecondFails_FirstStillCounts()
    {
        ResilientWorld.RunInline();
        var world = new ResilientWorld(Hedging);
        await world.PutAsync();
        var answer = new TaskCompletionSource();
        world.Next.Enqueue(_ => answer.Task);
        world.Next.Enqueue(Fails(BlobErrorKind.Unavailable));

        var read = world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask();
        world.Time.Advance(TimeSpan.FromMilliseconds(50));
        answer.SetResult();

        Assert.Equal(3, await read);
        Assert.Equal(0, world.Store.Health.Retries);
    }

    [Fact]
    public async Task Read_NoPlaceForASecond_WaitsForTheFirst()
    {
        ResilientWorld.RunInline();
        var world = new ResilientWorld(Hedging with { ForegroundRequests = 1 });
        await world.PutAsync();
        var answer = new TaskCompletionSource();
        world.Next.Enqueue(_ => answer.Task);

        var read = world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask();
        world.Time.Advance(TimeSpan.FromSeconds(1));
        answer.SetResult();

        Assert.Equal(3, await read);
        Assert.Single(world.Requests);
    }

    [Fact]
    public async Task Read_InTheBackground_IsNotHedged()
    {
        ResilientWorld.RunInline();
        var world = new ResilientWorld(Hedging);
        await world.PutAsync();
        var answer = new TaskCompletionSource();
        world.Next.Enqueue(_ => answer.Task);

        var read = world.Store.Background.ReadAsync(Key, 0, new byte[3], default).AsTask();
        world.Time.Advance(TimeSpan.FromSeconds(1));
        answer.SetResult();

        Assert.Equal(3, await read);
        Assert.Single(world.Requests);
    }
}
