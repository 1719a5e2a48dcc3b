using Gateway.Backends.Core;
using Microsoft.Extensions.Logging;
using Xunit;
using static Gateway.Backends.Resilience.Tests.ResilientWorld;

namespace Gateway.Backends.Resilience.Tests;

public sealed class CircuitTests
{
    private readonly ResilientWorld _world = new(WithSmallCircuit);

    [Fact]
    public async Task Circuit_EnoughFailed_OpensForBothFacesAndRefusesAtOnceInWords()
    {
        ResilientWorld.RunInline();
        await _world.OpenCircuitAsync();

        var refused = await FailAsync(_world.Store.Foreground);
        await Assert.ThrowsAsync<BlobStoreException>(() => _world.Store.Background.PutAsync(Key, new byte[1], Precondition.Absent, default).AsTask());

        Assert.Empty(_world.Requests);
        Assert.Equal(BlobErrorKind.Unavailable, refused.Kind);
        Assert.Contains("away since 1970-01-02 00:00:00Z", refused.Message, StringComparison.Ordinal);
        Assert.Contains("Unavailable (by design of the test).", refused.Message, StringComparison.Ordinal);
        Assert.Equal((CircuitState.Open, 4, 2), (_world.Store.Health.State, _world.Store.Health.Attempts, _world.Store.Health.Rejected));
    }

    [Fact]
    public async Task Circuit_RefusedWithRetriesLeft_IsNotTriedAgain()
    {
        ResilientWorld.RunInline();
        var world = new ResilientWorld(WithSmallCircuit with { Retries = 4 });
        await world.OpenCircuitAsync();

        await FailAsync(world.Store.Foreground); // Without the clock having moved.

        Assert.Equal(0, world.Store.Health.Retries);
    }

    [Fact]
    public async Task Circuit_StoreIsBack_OneProbeGoesAndClosesIt()
    {
        ResilientWorld.RunInline();
        await _world.PutAsync();
        await _world.OpenCircuitAsync();
        var answer = new TaskCompletionSource();
        _world.Always = _ => answer.Task;
        _world.Time.Advance(TimeSpan.FromSeconds(1));

        var probe = _world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask();
        await FailAsync(_world.Store.Background);

        Assert.Single(_world.Requests);
        Assert.Equal(CircuitState.HalfOpen, _world.Store.Health.State);
        answer.SetResult();
        Assert.Equal(3, await probe);
        Assert.Equal(CircuitState.Closed, _world.Store.Health.State);
        Assert.Equal(3, await _world.Store.Background.ReadAsync(Key, 0, new byte[3], default));
    }

    [Fact]
    public async Task Circuit_ProbeFails_WaitsForTheNext()
    {
        ResilientWorld.RunInline();
        await _world.OpenCircuitAsync();
        _world.Time.Advance(TimeSpan.FromSeconds(1));

        await FailAsync(_world.Store.Foreground);
        await FailAsync(_world.Store.Foreground);

        Assert.Single(_world.Requests);
        Assert.Equal(CircuitState.Open, _world.Store.Health.State);
        _world.Time.Advance(TimeSpan.FromSeconds(1));
        await FailAsync(_world.Store.Foreground);
        Assert.Equal(2, _world.Requests.Count);
    }

    [Fact]
    public async Task Circuit_ProbeHangs_TheNextGoesInItsTime()
    {
        ResilientWorld.RunInline();
        await _world.PutAsync();
        await _world.OpenCircuitAsync();
        _world.Always = null;
        _world.Next.Enqueue(HangsAsync);
        using var cancellation = new CancellationTokenSource();
        _world.Time.Advance(TimeSpan.FromSeconds(1));
        var hung = _world.Store.Foreground.ReadAsync(Key, 0, new byte[3], cancellation.Token).AsTask();
        _world.Time.Advance(TimeSpan.FromSeconds(1));

        Assert.Equal(3, await _world.Store.Background.ReadAsync(Key, 0, new byte[3], default));

        Assert.Equal(CircuitState.Closed, _world.Store.Health.State);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => hung);
        Assert.Equal(CircuitState.Closed, _world.Store.Health.State);
    }

    [Fact]
    public async Task Circuit_ProbeGivenUpByItsCaller_SaysNothing()
    {
        ResilientWorld.RunInline();
        await _world.OpenCircuitAsync();
        _world.Always = HangsAsync;
        using var cancellation = new CancellationTokenSource();
        _world.Time.Advance(TimeSpan.FromSeconds(1));
        var probe = _world.Store.Foreground.ReadAsync(Key, 0, new byte[3], cancellation.Token).AsTask();

        await cancellation.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => probe);
        Assert.Equal(CircuitState.Open, _world.Store.Health.State);
    }

    [Fact]
    public async Task Circuit_LateSuccessFromBeforeItOpened_DoesNotCloseIt()
    {
        ResilientWorld.RunInline();
        await _world.PutAsync();
        var answer = new TaskCompletionSource();
        _world.Next.Enqueue(_ => answer.Task);
        var late = _world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask();
        await _world.OpenCircuitAsync();

        answer.SetResult();

        Assert.Equal(3, await late);
        Assert.Equal(CircuitState.Open, _world.Store.Health.State);
    }

    [Fact]
    public async Task Circuit_Open_LeaseLooksGoAndTheFirstAnswerClosesIt()
    {
        ResilientWorld.RunInline();
        await _world.OpenCircuitAsync();

        await Assert.ThrowsAsync<BlobStoreException>(() => _world.Store.Background.GetLengthAsync(Key, default).AsTask());
        _world.Always = null;
        Assert.Null(await _world.Store.Background.GetLengthAsync(Key, default));

        Assert.Equal(["length", "length"], _world.Requests);
        Assert.Equal(CircuitState.Closed, _world.Store.Health.State);
    }

    [Theory]
    [InlineData(BlobErrorKind.NotFound)]
    [InlineData(BlobErrorKind.AccessDenied)]
    [InlineData(BlobErrorKind.ContainerMissing)]
    [InlineData(BlobErrorKind.PreconditionFailed)]
    public async Task Circuit_StoreAnswersWithARefusal_StaysClosed(BlobErrorKind kind)
    {
        ResilientWorld.RunInline();
        _world.Always = Fails(kind);

        for (var i = 0; i < 100; i++) await FailAsync(_world.Store.Background);

        Assert.Equal(CircuitState.Closed, _world.Store.Health.State);
        Assert.Equal(100, _world.Requests.Count);
    }

    [Fact]
    public async Task Circuit_CallersGiveUp_StaysClosed()
    {
        ResilientWorld.RunInline();
        _world.Always = HangsAsync;
        for (var i = 0; i < 20; i++)
        {
            using var cancellation = new CancellationTokenSource();
            var read = _world.Store.Background.ReadAsync(Key, 0, new byte[3], cancellation.Token).AsTask();
            await cancellation.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read);
        }

        Assert.Equal(CircuitState.Closed, _world.Store.Health.State);
    }

    [Fact]
    public async Task Circuit_NothingAnswers_TimeoutsOpenIt()
    {
        ResilientWorld.RunInline();
        _world.Always = HangsAsync;
        var reads = Enumerable.Range(0, 4).Select(_ => _world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask()).ToArray();

        _world.Time.Advance(TimeSpan.FromSeconds(8));

        foreach (var read in reads) await Assert.ThrowsAsync<BlobStoreException>(() => read);
        Assert.Equal((CircuitState.Open, 4), (_world.Store.Health.State, _world.Store.Health.Timeouts));
    }

    [Fact]
    public async Task Circuit_FailuresLongAgo_AreForgotten()
    {
        ResilientWorld.RunInline();
        _world.Always = Fails(BlobErrorKind.Unavailable);
        for (var i = 0; i < 3; i++) await FailAsync(_world.Store.Background);
        _world.Time.Advance(TimeSpan.FromSeconds(6));

        await FailAsync(_world.Store.Background);

        Assert.Equal(CircuitState.Closed, _world.Store.Health.State);
    }

    [Fact]
    public async Task Log_OutageOfManyFailures_TellsOfItsBeginningAndEndOnceEach()
    {
        ResilientWorld.RunInline();
        await _world.PutAsync();
        await _world.OpenCircuitAsync();
        for (var i = 0; i < 30; i++)
        {
            _world.Time.Advance(TimeSpan.FromSeconds(1));
            await FailAsync(_world.Store.Foreground);
        }

        _world.Always = null;
        _world.Time.Advance(TimeSpan.FromSeconds(1));
        await _world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default);

        Assert.Equal([LogLevel.Warning, LogLevel.Information], _world.Log.Select(l => l.Level));
        Assert.Contains("is back after 00:00:31", _world.Log[1].Text, StringComparison.Ordinal);
    }
}
