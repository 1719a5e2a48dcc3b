using Gateway.Backends.Core;
using Xunit;
using static Gateway.Backends.Resilience.Tests.ResilientWorld;

namespace Gateway.Backends.Resilience.Tests;

/// <summary>Other options while requests are on their way.</summary>
public sealed class ChangeTests
{
    private readonly ResilientWorld _world = new(WithSmallCircuit);

    [Fact]
    public async Task Change_Retries_HoldFromTheNextRequestOn()
    {
        RunInline();
        await _world.PutAsync();
        _world.Next.Enqueue(Fails(BlobErrorKind.Unavailable));
        _world.Store.Change(WithSmallCircuit with { Retries = 1, RetryDelayMin = TimeSpan.FromSeconds(1) });

        var read = _world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask();
        _world.Time.Advance(TimeSpan.FromSeconds(1));

        Assert.Equal(3, await read);
    }

    [Fact]
    public async Task Change_MorePlaces_WhoWaitsHasItsTurn()
    {
        RunInline();
        _world.Store.Change(WithSmallCircuit with { ForegroundRequests = 1 });
        _world.Always = HangsAsync;
        using var cancellation = new CancellationTokenSource();
        var reads = Enumerable.Range(0, 3).Select(_ => _world.Store.Foreground.ReadAsync(Key, 0, new byte[3], cancellation.Token).AsTask()).ToArray();
        Assert.Single(_world.Requests);
        var third = new TaskCompletionSource();
        _world.Always = _ =>
        {
            if (_world.Requests.Count == 3) third.SetResult();
            return HangsAsync(cancellation.Token);
        };

        _world.Store.Change(WithSmallCircuit with { ForegroundRequests = 3 });

        await third.Task;
        await cancellation.CancelAsync();
        foreach (var read in reads) await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read);
    }

    [Fact]
    public async Task Change_FewerPlaces_HoldOnceThoseOnTheirWayAreOver()
    {
        RunInline();
        await _world.PutAsync();
        var answers = new Queue<TaskCompletionSource>();
        _world.Always = _ =>
        {
            answers.Enqueue(new TaskCompletionSource());
            return answers.Last().Task;
        };
        var first = _world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask();
        var second = _world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask();

        _world.Store.Change(WithSmallCircuit with { ForegroundRequests = 1, QueueMax = 1 });
        using var cancellation = new CancellationTokenSource();
        var waiting = _world.Store.Foreground.ReadAsync(Key, 0, new byte[3], cancellation.Token).AsTask();
        answers.Dequeue().SetResult();
        await first;

        Assert.Equal(2, _world.Requests.Count); // The second still has the one place.
        Assert.Equal(BlobErrorKind.Throttled, (await FailAsync(_world.Store.Foreground)).Kind);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        answers.Dequeue().SetResult();
        await second;
    }

    [Fact]
    public async Task Change_CircuitIsOpen_StaysSoUntilTheStoreIsBackAndCountsByTheNewOnes()
    {
        RunInline();
        await _world.PutAsync();
        await _world.OpenCircuitAsync();

        _world.Store.Change(WithSmallCircuit with { MinimumThroughput = 2 });

        Assert.Equal(CircuitState.Open, _world.Store.Health.State);
        _world.Always = null;
        _world.Time.Advance(TimeSpan.FromSeconds(1));
        await _world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default);
        Assert.Equal(CircuitState.Closed, _world.Store.Health.State);
        _world.Time.Advance(TimeSpan.FromSeconds(30));
        _world.Always = Fails(BlobErrorKind.Unavailable);
        await FailAsync(_world.Store.Background);
        await FailAsync(_world.Store.Background);
        Assert.Equal(CircuitState.Open, _world.Store.Health.State);
    }

    [Fact]
    public void Change_OptionsNotValid_ChangesNothing()
    {
        Assert.Throws<ArgumentException>(() => _world.Store.Change(WithSmallCircuit with { RefusedGrace = TimeSpan.Zero, Retries = 21 }));

        Assert.Equal(TimeSpan.FromMinutes(1), _world.Store.RefusedGrace);
    }
}
