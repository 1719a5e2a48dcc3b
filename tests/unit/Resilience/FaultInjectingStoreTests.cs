using Gateway.Backends.Core;
using Gateway.Tests.Shared;
using Gateway.Volumes.Tests;
using Xunit;

namespace Gateway.Backends.Resilience.Tests;

/// <summary>The store that injects faults: each does what its plan says, and the seed says when.</summary>
public sealed class FaultInjectingStoreTests
{
    private static readonly BlobKey Key = new("a/b");
    private readonly ManualTime _time = new();
    private readonly MemoryBlobStore _memory = new();

    [Theory]
    [InlineData("unavailable=1", BlobErrorKind.Unavailable, false)]
    [InlineData("throttled=1", BlobErrorKind.Throttled, false)]
    [InlineData("refused=1", BlobErrorKind.AccessDenied, false)]
    [InlineData("reset=1", BlobErrorKind.Unavailable, true)]
    public async Task Put_OfAFailure_HasItsKindAndItsEffectOrNone(string plan, BlobErrorKind kind, bool hasEffect)
    {
        var failure = await Assert.ThrowsAsync<BlobStoreException>(() => PutAsync(NewStore(plan)));

        Assert.Equal(kind, failure.Kind);
        Assert.Equal(hasEffect, await _memory.GetLengthAsync(Key, default) is not null);
    }

    [Fact]
    public async Task Requests_OfEveryKind_MeetTheirFaults()
    {
        var store = NewStore("unavailable=1");

        await Assert.ThrowsAsync<BlobStoreException>(() => store.ReadAsync(Key, 0, new byte[1], default).AsTask());
        await Assert.ThrowsAsync<BlobStoreException>(() => store.GetLengthAsync(Key, default).AsTask());
        await Assert.ThrowsAsync<BlobStoreException>(() => store.DeleteAsync(Key, default).AsTask());
        await Assert.ThrowsAsync<BlobStoreException>(async () => await store.ListAsync("", null, default).GetAsyncEnumerator().MoveNextAsync());
        await Assert.ThrowsAsync<BlobStoreException>(async () => await store.ListFoldersAsync("", default).GetAsyncEnumerator().MoveNextAsync());
    }

    [Fact]
    public async Task Shares_OverManyRequests_ComeAboutAndFollowTheSeed()
    {
        var first = await CountAsync(NewStore("unavailable=0.2,throttled=0.1,refused=0.05,reset=0.15"));
        var second = await CountAsync(NewStore("unavailable=0.2,throttled=0.1,refused=0.05,reset=0.15"));

        Assert.Equal(first, second);
        Assert.InRange(first[BlobErrorKind.Unavailable], 3300, 3700); // Of 10,000, those with an effect and those without.
        Assert.InRange(first[BlobErrorKind.Throttled], 900, 1100);
        Assert.InRange(first[BlobErrorKind.AccessDenied], 430, 570);

        static async Task<Dictionary<BlobErrorKind, int>> CountAsync(FaultInjectingStore store)
        {
            var counts = new Dictionary<BlobErrorKind, int>();
            for (var i = 0; i < 10_000; i++)
            {
                try
                {
                    await PutAsync(store);
                }
                catch (BlobStoreException e)
                {
                    counts[e.Kind] = counts.GetValueOrDefault(e.Kind) + 1;
                }
            }

            return counts;
        }
    }

    [Fact]
    public async Task Read_WithWrongBytes_DiffersInOneByteAndTheBlobDoesNot()
    {
        var content = new byte[1000];
        await _memory.PutAsync(Key, content, Precondition.None, default);
        var read = new byte[2000];

        Assert.Equal(1000, await NewStore("wrong=1").ReadAsync(Key, 0, read, default));

        Assert.Equal(1, read.Count(b => b != 0));
        Assert.Equal(content, _memory.Blobs[Key.Value]);
    }

    [Theory]
    [InlineData("latency=2000ms", 2)]
    [InlineData("slow=1:3s,latency=2s", 5)]
    [InlineData("bandwidth=0.001", 4)] // 1000 bytes each second, for 4000.
    public async Task Put_ThatIsToTakeTime_TakesThat(string plan, int seconds)
    {
        ResilientWorld.RunInline();
        var put = PutAsync(NewStore(plan), 4000);

        _time.Advance(TimeSpan.FromSeconds(seconds - 0.001));
        Assert.False(put.IsCompleted);
        _time.Advance(TimeSpan.FromSeconds(0.001));

        await put;
    }

    [Fact]
    public async Task Bandwidth_TwoRequestsAtOnce_ShareTheLine()
    {
        ResilientWorld.RunInline();
        var store = NewStore("bandwidth=0.001");
        var (first, second) = (PutAsync(store, 1000), PutAsync(store, 1000));

        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal((true, false), (first.IsCompleted, second.IsCompleted));
        _time.Advance(TimeSpan.FromSeconds(1));

        await second;
    }

    [Fact]
    public async Task Hole_NoAnswer_EndsWithItsTimeOrItsCaller()
    {
        ResilientWorld.RunInline();
        var store = NewStore("hole=1:5s");
        using var cancellation = new CancellationTokenSource();
        var (first, second) = (PutAsync(store), store.GetLengthAsync(Key, cancellation.Token).AsTask());

        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
        Assert.False(first.IsCompleted);
        _time.Advance(TimeSpan.FromSeconds(5));

        Assert.Equal(BlobErrorKind.Unavailable, (await Assert.ThrowsAsync<BlobStoreException>(() => first)).Kind);
        Assert.Null(await _memory.GetLengthAsync(Key, default));
    }

    [Fact]
    public void Parse_EveryFault_IsUnderstood()
    {
        var plan = FaultPlan.Parse("unavailable=0.1, throttled=0.2,refused=0.05,reset=0.15,hole=0.01:5s,slow=0.5:1.5s,wrong=0.001,latency=20ms,jitter=5ms,bandwidth=12.5");

        Assert.Equal(
            new FaultPlan
            {
                Unavailable = 0.1,
                Throttled = 0.2,
                Refused = 0.05,
                Reset = 0.15,
                Hole = 0.01,
                HoleTime = TimeSpan.FromSeconds(5),
                Slow = 0.5,
                SlowTime = TimeSpan.FromSeconds(1.5),
                Wrong = 0.001,
                Latency = TimeSpan.FromMilliseconds(20),
                Jitter = TimeSpan.FromMilliseconds(5),
                BytesPerSecond = 12.5e6,
            },
            plan);
    }

    [Theory]
    [InlineData("", "'' is no fault")]
    [InlineData("slow", "'slow' is no fault")]
    [InlineData("broken=1", "There is no fault 'broken'")]
    [InlineData("reset=0.1,reset=0.2", "'reset' is there twice")]
    [InlineData("reset=x", "'x' is no number")]
    [InlineData("reset=-1", "'-1' is no number")]
    [InlineData("wrong=1.1", "wrong: a share is from 0 to 1")]
    [InlineData("unavailable=0.6,reset=0.6", "more than 1 together")]
    [InlineData("reset=0.1:5s", "only hole and slow have a time")]
    [InlineData("slow=0.1", "write how slow")]
    [InlineData("slow=0.1:10", "'10' is no time")]
    [InlineData("latency=20", "'20' is no time")]
    [InlineData("latency=3601s", "latency: a time is from 0 to 3600 s")]
    [InlineData("bandwidth=0", "bandwidth: must be more than 0")]
    public void Parse_WhatIsNoPlan_IsRefusedWithTheReason(string text, string reason) =>
        Assert.Contains(reason, Assert.Throws<FormatException>(() => FaultPlan.Parse(text)).Message, StringComparison.Ordinal);

    private static Task PutAsync(FaultInjectingStore store, int lengthBytes = 1) => store.PutAsync(Key, new byte[lengthBytes], Precondition.None, default).AsTask();

    private FaultInjectingStore NewStore(string plan) => new(_memory, new Random(1), _time) { Plan = FaultPlan.Parse(plan) };
}
