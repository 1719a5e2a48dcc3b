using System.Runtime.CompilerServices;
using Gateway.Backends.Core;

namespace Gateway.Tests.Shared.Stores;

/// <summary>How often, and how, a <see cref="FaultyBlobStore"/> misbehaves. Probabilities are from 0 to 1.</summary>
public sealed record StoreFaults
{
    /// <summary>A request fails and has no effect.</summary>
    public double ErrorBefore { get; init; }

    /// <summary>A request takes effect, and its answer is lost: what a conditional put must survive.</summary>
    public double ErrorAfter { get; init; }

    /// <summary>Of the errors, how many are Throttled instead of Unavailable.</summary>
    public double ThrottledShare { get; init; } = 0.2;

    /// <summary>Each request takes up to this long, evenly spread, half of it before its effect. Default none.</summary>
    public TimeSpan LatencyMax { get; init; }

    /// <summary>While true, every request fails as Unavailable and has no effect.</summary>
    public bool Outage { get; init; }
}

/// <summary>A store that fails before or after the effect, and takes its time, as its seed has it.</summary>
/// <remarks>The same seed gives the same faults for the same order of calls; concurrent callers bring their own order.</remarks>
public sealed class FaultyBlobStore(IBlobStore inner, ulong seed, TimeProvider time) : IBlobStore
{
    private readonly Lock _lock = new();
    private readonly Random _random = new(unchecked((int)(seed ^ (seed >> 32))));
    private long _requests;

    /// <summary>What goes wrong from now on; may be changed at any time.</summary>
    public StoreFaults Faults { get; set; } = new();

    /// <summary>Called before each request with its name and key or prefix, for tests that fail, or hold, a particular one.</summary>
    public Func<string, string, CancellationToken, ValueTask>? BeforeRequest { get; set; }

    /// <summary>Called after each request has taken effect and before its caller knows.</summary>
    public Func<string, string, CancellationToken, ValueTask>? AfterEffect { get; set; }

    /// <summary>Requests seen, failed ones included.</summary>
    public long Requests => Interlocked.Read(ref _requests);

    public string Description => $"{inner.Description} with faults of seed {seed}";

    public ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken) =>
        RequestAsync("read", key.Value, () => inner.ReadAsync(key, offsetBytes, destination, cancellationToken), cancellationToken);

    public async ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken) =>
        await RequestAsync("put", key.Value, async () =>
        {
            await inner.PutAsync(key, content, precondition, cancellationToken);
            return 0;
        }, cancellationToken);

    public ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken) =>
        RequestAsync("length", key.Value, () => inner.GetLengthAsync(key, cancellationToken), cancellationToken);

    public async IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await RequestAsync("list", prefix, () => ValueTask.FromResult(0), cancellationToken);
        await foreach (var blob in inner.ListAsync(prefix, startAfter, cancellationToken)) yield return blob;
    }

    public async IAsyncEnumerable<string> ListFoldersAsync(string prefix, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await RequestAsync("folders", prefix, () => ValueTask.FromResult(0), cancellationToken);
        await foreach (var folder in inner.ListFoldersAsync(prefix, cancellationToken)) yield return folder;
    }

    public async ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken) =>
        await RequestAsync("delete", key.Value, async () =>
        {
            await inner.DeleteAsync(key, cancellationToken);
            return 0;
        }, cancellationToken);

    public ValueTask DisposeAsync() => inner.DisposeAsync();

    private async ValueTask<T> RequestAsync<T>(string name, string subject, Func<ValueTask<T>> request, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _requests);
        var (before, after, throttled, latency) = Draw();
        if (BeforeRequest is { } hook) await hook(name, subject, cancellationToken);
        if (latency > TimeSpan.Zero) await Task.Delay(latency / 2, time, cancellationToken);
        if (before) throw Error("before", name, subject, throttled);
        var result = await request();
        if (AfterEffect is { } afterHook) await afterHook(name, subject, cancellationToken);
        if (latency > TimeSpan.Zero) await Task.Delay(latency / 2, time, CancellationToken.None);
        return after ? throw Error("after", name, subject, throttled) : result;
    }

    private (bool Before, bool After, bool Throttled, TimeSpan Latency) Draw()
    {
        var faults = Faults;
        // All four are drawn every time, so that changing one probability does not shift the others' draws.
        lock (_lock)
            return (faults.Outage | _random.NextDouble() < faults.ErrorBefore, _random.NextDouble() < faults.ErrorAfter,
                _random.NextDouble() < faults.ThrottledShare && !faults.Outage, faults.LatencyMax * _random.NextDouble());
    }

    private static BlobStoreException Error(string moment, string name, string subject, bool throttled) => new(
        throttled ? BlobErrorKind.Throttled : BlobErrorKind.Unavailable, $"Injected error {moment} the effect of {name} '{subject}'.");
}
