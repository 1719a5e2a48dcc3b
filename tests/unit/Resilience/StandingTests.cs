using Gateway.Backends.Core;
using Xunit;
using static Gateway.Backends.Resilience.Tests.ResilientWorld;

namespace Gateway.Backends.Resilience.Tests;

/// <summary>How long a store has done nothing, whatever the circuit thinks of it.</summary>
public sealed class StandingTests
{
    private readonly ResilientWorld _world = new(WithSmallCircuit);

    [Fact]
    public async Task Away_OneFailureAndThenNothing_CountsFromIt()
    {
        RunInline();
        _world.Always = Fails(BlobErrorKind.Unavailable);

        await FailAsync(_world.Store.Background);
        _world.Time.Advance(TimeSpan.FromMinutes(1));
        await FailAsync(_world.Store.Background);

        Assert.Equal(CircuitState.Closed, _world.Store.Health.State);
        Assert.Equal((TimeSpan.FromMinutes(1), TimeSpan.Zero), (_world.Store.Health.AwayFor, _world.Store.Health.RefusedFor));
        Assert.Equal("Unavailable (by design of the test).", _world.Store.Standing.LastFailure);
    }

    [Fact]
    public async Task Away_NothingAnswers_CountsFromTheFirstTimeLimit()
    {
        RunInline();
        _world.Always = HangsAsync;
        var read = _world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask();

        _world.Time.Advance(TimeSpan.FromSeconds(8));
        await Assert.ThrowsAsync<BlobStoreException>(() => read);
        _world.Time.Advance(TimeSpan.FromSeconds(2));

        Assert.Equal(TimeSpan.FromSeconds(2), _world.Store.Standing.AwayFor);
    }

    [Theory]
    [InlineData(null)]
    [InlineData(BlobErrorKind.NotFound)]
    [InlineData(BlobErrorKind.PreconditionFailed)]
    public async Task Away_StoreDoesOneRequestOrKnowsItsBlobs_Ends(BlobErrorKind? answer)
    {
        RunInline();
        await _world.PutAsync();
        await _world.OpenCircuitAsync();
        _world.Time.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(TimeSpan.FromMinutes(1), _world.Store.Standing.AwayFor);

        _world.Always = answer is { } kind ? Fails(kind) : null;
        if (answer is null) await _world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default);
        else await FailAsync(_world.Store.Foreground);
        _world.Time.Advance(TimeSpan.FromMinutes(1));

        Assert.Equal(TimeSpan.Zero, _world.Store.Standing.AwayFor);
    }

    [Fact]
    public async Task Away_CallersGiveUpOrAreRefusedByTheCircuit_SaysNothing()
    {
        RunInline();
        _world.Always = HangsAsync;
        using var cancellation = new CancellationTokenSource();
        var read = _world.Store.Background.ReadAsync(Key, 0, new byte[3], cancellation.Token).AsTask();
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read);
        _world.Time.Advance(TimeSpan.FromMinutes(1));

        Assert.Equal(TimeSpan.Zero, _world.Store.Standing.AwayFor);
    }

    [Theory]
    [InlineData(BlobErrorKind.AccessDenied)]
    [InlineData(BlobErrorKind.ContainerMissing)]
    public async Task Refused_ByCredentialsOrForWantOfABucket_CountsWhileTheLastAnswerIsOne(BlobErrorKind kind)
    {
        RunInline();
        _world.Always = Fails(kind);
        await FailAsync(_world.Store.Background);
        _world.Time.Advance(TimeSpan.FromMinutes(1));

        Assert.Equal((TimeSpan.FromMinutes(1), TimeSpan.FromMinutes(1)), (_world.Store.Health.AwayFor, _world.Store.Health.RefusedFor));
        _world.Always = Fails(BlobErrorKind.Unavailable);
        await FailAsync(_world.Store.Background);
        Assert.Equal((TimeSpan.FromMinutes(1), TimeSpan.Zero), (_world.Store.Health.AwayFor, _world.Store.Health.RefusedFor));
        _world.Always = Fails(kind);
        await FailAsync(_world.Store.Background);
        Assert.Equal(TimeSpan.FromMinutes(1), _world.Store.Health.RefusedFor);
    }
}
