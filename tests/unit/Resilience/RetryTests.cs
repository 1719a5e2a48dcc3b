using Gateway.Backends.Core;
using Xunit;
using static Gateway.Backends.Resilience.Tests.ResilientWorld;

namespace Gateway.Backends.Resilience.Tests;

public sealed class RetryTests
{
    private readonly ResilientWorld _world = new();

    [Theory]
    [InlineData(BlobErrorKind.Unavailable)]
    [InlineData(BlobErrorKind.Throttled)]
    public async Task ForegroundRead_FailsTwice_IsSentAgainUntilItSucceeds(BlobErrorKind kind)
    {
        ResilientWorld.RunInline();
        await _world.PutAsync();
        _world.Next.Enqueue(Fails(kind));
        _world.Next.Enqueue(Fails(kind));
        var destination = new byte[3];

        var read = _world.Store.Foreground.ReadAsync(Key, 0, destination, default).AsTask();

        Assert.Single(_world.Requests); // It waits before the next.
        _world.Time.Advance(TimeSpan.FromMilliseconds(100));
        Assert.Equal(2, _world.Requests.Count);
        _world.Time.Advance(TimeSpan.FromMilliseconds(200));
        Assert.Equal(3, await read);
        Assert.Equal([1, 2, 3], destination);
        Assert.Equal(2, _world.Store.Health.Retries);
        Assert.Equal(3, _world.Store.Health.Attempts);
    }

    [Fact]
    public async Task ForegroundRead_FailsForGood_EndsAfterTheRetriesWithTheLastFailure()
    {
        ResilientWorld.RunInline();
        _world.Always = Fails(BlobErrorKind.Unavailable);

        var error = await Assert.ThrowsAsync<BlobStoreException>(() => _world.RunAsync(_world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask(), TimeSpan.FromSeconds(1)));

        Assert.Equal(BlobErrorKind.Unavailable, error.Kind);
        Assert.Equal(5, _world.Requests.Count);
    }

    [Fact]
    public async Task ForegroundRead_DeadlineWithinADelay_EndsThere()
    {
        ResilientWorld.RunInline();
        _world.Always = Fails(BlobErrorKind.Throttled, TimeSpan.FromSeconds(25));
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(20), _world.Time);

        var read = _world.Store.Foreground.ReadAsync(Key, 0, new byte[3], deadline.Token).AsTask();
        _world.Time.Advance(TimeSpan.FromSeconds(19.9));

        Assert.False(read.IsCompleted);
        _world.Time.Advance(TimeSpan.FromSeconds(0.1));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read);
        Assert.Single(_world.Requests);
    }

    [Theory]
    [InlineData(BlobErrorKind.NotFound)]
    [InlineData(BlobErrorKind.AccessDenied)]
    [InlineData(BlobErrorKind.ContainerMissing)]
    [InlineData(BlobErrorKind.Rejected)]
    [InlineData(BlobErrorKind.Corrupt)]
    public async Task ForegroundRead_TryingAgainWouldNotHelp_IsSentOnce(BlobErrorKind kind)
    {
        ResilientWorld.RunInline();
        _world.Always = Fails(kind);

        Assert.Equal(kind, (await FailAsync(_world.Store.Foreground)).Kind);

        Assert.Single(_world.Requests);
    }

    [Theory]
    [InlineData(Precondition.Absent)]
    [InlineData(Precondition.None)]
    public async Task Put_Fails_IsSentOnceByEitherFace(Precondition precondition)
    {
        ResilientWorld.RunInline();
        _world.Always = Fails(BlobErrorKind.Unavailable);

        foreach (var store in new[] { _world.Store.Foreground, _world.Store.Background })
            await Assert.ThrowsAsync<BlobStoreException>(() => store.PutAsync(Key, new byte[1], precondition, default).AsTask());

        Assert.Equal(["put", "put"], _world.Requests);
    }

    [Fact]
    public async Task BackgroundRead_Fails_IsSentOnce()
    {
        ResilientWorld.RunInline();
        _world.Always = Fails(BlobErrorKind.Unavailable);

        await FailAsync(_world.Store.Background);

        Assert.Single(_world.Requests);
    }

    [Fact]
    public async Task RetryAfter_LongerThanOurDelay_IsWaitedFor()
    {
        ResilientWorld.RunInline();
        await _world.PutAsync();
        _world.Next.Enqueue(Fails(BlobErrorKind.Throttled, TimeSpan.FromSeconds(7)));

        var read = _world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask();
        _world.Time.Advance(TimeSpan.FromSeconds(6.9));

        Assert.Single(_world.Requests);
        _world.Time.Advance(TimeSpan.FromSeconds(0.1));
        Assert.Equal(3, await read);
    }

    [Fact]
    public async Task RetryAfter_BeyondTheBound_IsCut()
    {
        ResilientWorld.RunInline();
        await _world.PutAsync();
        _world.Next.Enqueue(Fails(BlobErrorKind.Throttled, TimeSpan.FromDays(1)));

        var read = _world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask();
        _world.Time.Advance(TimeSpan.FromSeconds(30));

        Assert.Equal(3, await read);
    }

    [Fact]
    public async Task Attempt_NoAnswer_TimesOutAndIsSentAgain()
    {
        ResilientWorld.RunInline();
        await _world.PutAsync();
        _world.Next.Enqueue(HangsAsync);

        var read = _world.Store.Foreground.ReadAsync(Key, 0, new byte[3], default).AsTask();

        Assert.Equal(3, await _world.RunAsync(read, TimeSpan.FromSeconds(1)));
        Assert.Equal(1, _world.Store.Health.Timeouts);
        Assert.Contains("no answer within 8 s", _world.Store.Health.LastError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Put_NoAnswer_IsNotEndedByTheTimeForAnAttempt()
    {
        ResilientWorld.RunInline();
        var answer = new TaskCompletionSource();
        _world.Next.Enqueue(_ => answer.Task);

        var put = _world.Store.Background.PutAsync(Key, new byte[1], Precondition.Absent, default).AsTask();
        _world.Time.Advance(TimeSpan.FromMinutes(1));

        Assert.False(put.IsCompleted);
        answer.SetResult();
        await put;
    }

    [Fact]
    public async Task Read_OfAWholeSegment_IsNotEndedByTheTimeForAnAttempt()
    {
        ResilientWorld.RunInline();
        await _world.PutAsync();
        foreach (var store in new[] { _world.Store.Foreground, _world.Store.Background })
        {
            var answer = new TaskCompletionSource();
            _world.Next.Enqueue(_ => answer.Task);

            var read = store.ReadAsync(Key, 0, new byte[8 << 20], default).AsTask();
            _world.Time.Advance(TimeSpan.FromSeconds(19));
            answer.SetResult();

            Assert.Equal(3, await read);
        }

        Assert.Equal(0, _world.Store.Health.Timeouts);
    }

    [Fact]
    public async Task List_FailsBeforeItsFirstItem_IsSentAgain()
    {
        ResilientWorld.RunInline();
        await _world.PutAsync();
        _world.Next.Enqueue(Fails(BlobErrorKind.Unavailable));

        var names = await _world.RunAsync(_world.Store.Foreground.ListAsync("", null, default).Select(b => b.Name).ToArrayAsync().AsTask(), TimeSpan.FromSeconds(1));

        Assert.Equal(["a/b"], names);
        Assert.Equal(["list", "list"], _world.Requests);
    }

    [Fact]
    public async Task List_FailsAfterAnItem_PassesTheFailureOn()
    {
        ResilientWorld.RunInline();
        var inner = new BreakingListing();
        await using var store = new ResilientStore(inner, new ResilienceOptions(), _world.Time, new Random(1), _world);
        var names = new List<string>();

        await Assert.ThrowsAsync<BlobStoreException>(async () =>
        {
            await foreach (var blob in store.Foreground.ListAsync("", null, default)) names.Add(blob.Name);
        });

        Assert.Equal(["a"], names);
        Assert.Equal(1, inner.Listings);
    }

    [Fact]
    public async Task List_ConsumerTakesLongerThanAnAttempt_GoesOn()
    {
        ResilientWorld.RunInline();
        foreach (var name in new[] { "a", "b" }) await _world.Memory.PutAsync(new BlobKey(name), new byte[1], Precondition.None, default);
        var names = new List<string>();

        await foreach (var blob in _world.Store.Foreground.ListAsync("", null, default))
        {
            names.Add(blob.Name);
            _world.Time.Advance(TimeSpan.FromHours(1));
        }

        Assert.Equal(["a", "b"], names);
    }
}
