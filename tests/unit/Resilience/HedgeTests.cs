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

    [Fact]
    public async Task Read_SlowerThanMostBefore_IsSentASecondTimeWhenMostWouldHaveBeenAnswered()
    {
        ResilientWorld.RunInline();
        var world = new ResilientWorld(Measured);
        await world.PutAsync();
        await ReadManyAsync(world, 100, slowEvery: 10); // Nine of ten take 10 ms, the tenth 200 ms.
        var before = world.Store.Health;
        var answer = new TaskCompletionSource();
        world.Next.Enqueue(_ => answer.Task);

        var read = world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask();
        world.Time.Advance(TimeSpan.FromMilliseconds(199));
        Assert.Equal(1, world.Store.Health.Attempts - before.Attempts);
        world.Time.Advance(TimeSpan.FromMilliseconds(1));

        Assert.Equal(3, await read);
        Assert.Equal((2, 1, 1), (world.Store.Health.Attempts - before.Attempts, world.Store.Health.Hedges - before.Hedges, world.Store.Health.HedgesWon - before.HedgesWon));
    }

    [Fact]
    public async Task Read_NothingKnownOfItsSize_IsSentOnce()
    {
        ResilientWorld.RunInline();
        var world = new ResilientWorld(Measured);
        await world.PutAsync();
        var answer = new TaskCompletionSource();
        world.Next.Enqueue(_ => answer.Task);

        var read = world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask();
        world.Time.Advance(TimeSpan.FromSeconds(5));
        answer.SetResult();

        Assert.Equal(3, await read);
        Assert.Single(world.Requests);
    }

    [Fact]
    public async Task Reads_StoreBecomesSlow_SecondRequestsStayATenth()
    {
        ResilientWorld.RunInline();
        var world = new ResilientWorld(Measured);
        await world.PutAsync();
        await ReadManyAsync(world, 128, slowEvery: int.MaxValue);

        await ReadManyAsync(world, 1000, slowEvery: 1);

        Assert.InRange(world.Store.Health.Hedges, 1, 120);
    }

    private static readonly ResilienceOptions Measured = new() { HedgePercentile = 95 };

    /// <summary>Reads one after the other, each of 10 ms, some of 200 ms.</summary>
    private static async Task ReadManyAsync(ResilientWorld world, int count, int slowEvery)
    {
        for (var i = 1; i <= count; i++)
        {
            var time = TimeSpan.FromMilliseconds(i % slowEvery == 0 ? 200 : 10);
            world.Next.Enqueue(token => Task.Delay(time, world.Time, token));
            world.Next.Enqueue(token => Task.Delay(time, world.Time, token)); // Of a second request.
            await world.RunAsync(world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask(), TimeSpan.FromMilliseconds(1));
            world.Next.Clear();
        }
    }
}
