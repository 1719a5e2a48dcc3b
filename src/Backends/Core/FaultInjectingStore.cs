using System.Runtime.CompilerServices;

namespace Gateway.Backends.Core;

/// <summary>A store that does to its callers what networks and clouds do, as a plan and a seed have it. For tests and measurements: nothing that serves stacks it. Thread safe.</summary>
/// <remarks>
/// The same seed and plan give the same faults for the same order of calls; concurrent callers bring their own order. Every request draws the same
/// number of times, so that changing one share does not shift the others' draws. Of listings, only the start meets faults.
/// </remarks>
/// <param name="inner">The store; disposed of with this.</param>
/// <param name="random">Decides all faults.</param>
/// <param name="time">Measures every wait.</param>
public sealed class FaultInjectingStore(IBlobStore inner, Random random, TimeProvider time) : IBlobStore
{
    private readonly Lock _lock = new();
    private readonly long _start = time.GetTimestamp();
    private volatile FaultPlan _plan = FaultPlan.None;
    private TimeSpan _lineFreeAt;

    /// <summary>What goes wrong with requests that begin from now on.</summary>
    /// <exception cref="ArgumentException">The plan has a <see cref="FaultPlan.Fault"/>.</exception>
    public FaultPlan Plan
    {
        get => _plan;
        set => _plan = value.Fault is { } fault ? throw new ArgumentException(fault, nameof(value)) : value;
    }

    public string Description => $"{inner.Description}, with faults";

    public async ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        var fate = await MeetAsync($"read '{key}'", isWrite: false, cancellationToken);
        var read = await inner.ReadAsync(key, offsetBytes, destination, cancellationToken);
        await TransferAsync(fate, read, cancellationToken);
        if (fate.Wrong && read > 0) destination.Span[(int)(fate.Place * read)] ^= 0x40;
        fate.ThrowIfAnswerIsLost();
        return read;
    }

    public async ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken)
    {
        var fate = await MeetAsync($"put '{key}'", isWrite: true, cancellationToken);
        await TransferAsync(fate, content.Length, cancellationToken);
        await inner.PutAsync(key, content, precondition, cancellationToken);
        fate.ThrowIfAnswerIsLost();
    }

    public async ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken)
    {
        var fate = await MeetAsync($"look at '{key}'", isWrite: false, cancellationToken);
        var length = await inner.GetLengthAsync(key, cancellationToken);
        fate.ThrowIfAnswerIsLost();
        return length;
    }

    public async IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        (await MeetAsync($"list '{prefix}'", isWrite: false, cancellationToken)).ThrowIfAnswerIsLost();
        await foreach (var blob in inner.ListAsync(prefix, startAfter, cancellationToken)) yield return blob;
    }

    public async IAsyncEnumerable<string> ListFoldersAsync(string prefix, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        (await MeetAsync($"list folders '{prefix}'", isWrite: false, cancellationToken)).ThrowIfAnswerIsLost();
        await foreach (var folder in inner.ListFoldersAsync(prefix, cancellationToken)) yield return folder;
    }

    public async ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken)
    {
        var fate = await MeetAsync($"delete '{key}'", isWrite: true, cancellationToken);
        await inner.DeleteAsync(key, cancellationToken);
        fate.ThrowIfAnswerIsLost();
    }

    public ValueTask DisposeAsync() => inner.DisposeAsync();

    /// <summary>Draws what a request meets, waits, and fails if that comes before the effect.</summary>
    private async ValueTask<Fate> MeetAsync(string request, bool isWrite, CancellationToken cancellationToken)
    {
        var plan = _plan;
        double failure, slow, jitter, wrong, place;
        lock (_lock) (failure, slow, jitter, wrong, place) = (random.NextDouble(), random.NextDouble(), random.NextDouble(), random.NextDouble(), random.NextDouble());
        var wait = plan.Latency + (plan.Jitter * jitter) + (slow < plan.Slow ? plan.SlowTime : TimeSpan.Zero);
        if (wait > TimeSpan.Zero) await Task.Delay(wait, time, cancellationToken);
        var fate = new Fate(request, plan.BytesPerSecond, wrong < plan.Wrong, place, IsAnswerLost: false);
        if (isWrite && plan.SparesWrites) return fate;
        if ((failure -= plan.Unavailable) < 0) throw Injected(BlobErrorKind.Unavailable, request, "refused as unavailable");
        if ((failure -= plan.Throttled) < 0) throw Injected(BlobErrorKind.Throttled, request, "throttled");
        if ((failure -= plan.Refused) < 0) throw Injected(BlobErrorKind.AccessDenied, request, "refused");
        if ((failure -= plan.Hole) < 0)
        {
            await Task.Delay(plan.HoleTime, time, cancellationToken);
            throw Injected(BlobErrorKind.Unavailable, request, "no answer");
        }

        return fate with { IsAnswerLost = failure < plan.Reset };
    }

    /// <summary>Waits for the request's turn on the line that all share, and until its bytes are through.</summary>
    private async ValueTask TransferAsync(Fate fate, int bytes, CancellationToken cancellationToken)
    {
        if (fate.BytesPerSecond <= 0) return;
        TimeSpan wait;
        lock (_lock)
        {
            var now = time.GetElapsedTime(_start);
            _lineFreeAt = (_lineFreeAt > now ? _lineFreeAt : now) + TimeSpan.FromSeconds(bytes / fate.BytesPerSecond);
            wait = _lineFreeAt - now;
        }

        if (wait > TimeSpan.Zero) await Task.Delay(wait, time, cancellationToken);
    }

    private static BlobStoreException Injected(BlobErrorKind kind, string request, string what) => new(kind, $"Injected fault: {request}: {what}.");

    private readonly record struct Fate(string Request, double BytesPerSecond, bool Wrong, double Place, bool IsAnswerLost)
    {
        public void ThrowIfAnswerIsLost()
        {
            if (IsAnswerLost) throw Injected(BlobErrorKind.Unavailable, Request, "it took effect, and its answer was lost");
        }
    }
}
