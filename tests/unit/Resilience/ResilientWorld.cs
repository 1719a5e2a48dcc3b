using Gateway.Backends.Core;
using Gateway.Tests.Shared;
using Gateway.Tests.Shared.Stores;
using Gateway.Volumes.Tests;
using Microsoft.Extensions.Logging;

namespace Gateway.Backends.Resilience.Tests;

/// <summary>A resilient store over one in memory that fails as the test says, on a clock that the test moves.</summary>
internal sealed class ResilientWorld : ILogger
{
    public static readonly BlobKey Key = new BlobKey("a/b");

    public ResilientWorld(ResilienceOptions? options = null)
    {
        Faulty = new FaultyBlobStore(Memory, 1, Time) { BeforeRequest = (name, _, token) => BeforeAsync(name, token) };
        Store = new ResilientStore(Faulty, options ?? new ResilienceOptions(), Time, new Random(1), this);
    }

    public ManualTime Time { get; } = new();

    public MemoryBlobStore Memory { get; } = new();

    public FaultyBlobStore Faulty { get; }

    public ResilientStore Store { get; }

    /// <summary>What the next requests meet, one each: null, nothing. When it is empty: <see cref="Always"/>.</summary>
    public Queue<Func<CancellationToken, Task>?> Next { get; } = new();

    public Func<CancellationToken, Task>? Always { get; set; }

    /// <summary>The requests that reached the store.</summary>
    public List<string> Requests { get; } = [];

    public List<(LogLevel Level, string Text)> Log { get; } = [];

    /// <summary>From here on, what an answer or the clock sets going runs inside the call that does so, and is over when that returns.</summary>
    public static void RunInline() => SynchronizationContext.SetSynchronizationContext(null);

    public static Func<CancellationToken, Task> Fails(BlobErrorKind kind, TimeSpan? retryAfter = null) =>
        _ => throw new BlobStoreException(kind, $"{kind} (by design of the test).") { RetryAfter = retryAfter };

    /// <summary>Never answers.</summary>
    public static Task HangsAsync(CancellationToken token) => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, token);

    public static ResilienceOptions WithSmallCircuit => new() { Retries = 0, MinimumThroughput = 4, FailureRatio = 0.75 };

    public Task PutAsync() => Memory.PutAsync(Key, new byte[] { 1, 2, 3 }, Precondition.None, default).AsTask();

    public async Task OpenCircuitAsync()
    {
        Always = Fails(BlobErrorKind.Unavailable);
        while (Store.Health.State == CircuitState.Closed) await FailAsync(Store.Background);
        Requests.Clear();
    }

    /// <summary>Reads, and returns what kind of failure that ends with.</summary>
    public static async Task<BlobStoreException> FailAsync(IBlobStore store) =>
        await Xunit.Assert.ThrowsAsync<BlobStoreException>(() => store.ReadAsync(Key, 0, new byte[3], default).AsTask());

    /// <summary>Moves the clock until the task is done: each wait ends as soon as there is one. Bounded, so that a hang fails.</summary>
    public async Task<T> RunAsync<T>(Task<T> task, TimeSpan step)
    {
        for (var i = 0; i < 10_000 && !task.IsCompleted; i++)
        {
            Time.Advance(step);
            await Task.Yield();
        }

        return await task;
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    void ILogger.Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        Log.Add((logLevel, formatter(state, exception)));

    private async ValueTask BeforeAsync(string name, CancellationToken token)
    {
        Func<CancellationToken, Task>? action;
        lock (Requests)
        {
            Requests.Add(name);
            action = Next.Count > 0 ? Next.Dequeue() : Always;
        }

        if (action is not null) await action(token);
    }
}
