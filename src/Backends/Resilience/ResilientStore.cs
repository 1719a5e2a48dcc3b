using System.ComponentModel.DataAnnotations;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using Gateway.Backends.Core;
using Gateway.Diagnostics;
using Microsoft.Extensions.Logging;
using Polly;
using Polly.Hedging;
using Polly.Retry;
using Polly.Timeout;

namespace Gateway.Backends.Resilience;

/// <summary>
/// Stands before one store and gives it two faces. <see cref="Foreground"/>: reads, looks and listings are repeated within the caller's token,
/// which carries the deadline. <see cref="Background"/>: each request is tried once, since that work repeats itself without end. Puts and deletes
/// are tried once in both. The faces have places of their own, so that neither keeps the other waiting, and share one circuit. Thread safe.
/// </summary>
/// <remarks>
/// One attempt: a place among the requests at a time, then the circuit, then, for what is small, a time limit. An attempt is over, and its buffer
/// the caller's again, before it is repeated. A hedged read has a buffer of its own for each of its two requests, as the one that loses ends later.
/// </remarks>
public sealed class ResilientStore : IAsyncDisposable
{
    /// <summary>A longer read, of a whole segment say, has the store's own limit alone: how long it takes depends on the line.</summary>
    private const int TimedReadBytesMax = 1 << 20;

    private readonly IBlobStore _inner;
    private readonly TimeProvider _time;
    private readonly Random _random;
    private readonly Lock _randomLock = new();
    private readonly StoreCircuit _circuit;
    private readonly RequestGate _foregroundGate;
    private readonly RequestGate _backgroundGate;
    private volatile Rules _rules;
    private long _hedged;
    private long _hedgesWon;
    private long _attempts;
    private long _retries;
    private long _rejected;
    private long _timeouts;

    /// <param name="inner">The store; disposed of with this.</param>
    /// <param name="options">Copied here; <see cref="Change"/> sets others.</param>
    /// <param name="time">Measures every wait.</param>
    /// <param name="random">Spreads repetitions.</param>
    /// <param name="logger">Told when the circuit opens and closes.</param>
    /// <exception cref="ArgumentException">The options are not valid.</exception>
    public ResilientStore(IBlobStore inner, ResilienceOptions options, TimeProvider time, Random random, ILogger logger)
    {
        options = Checked(options);
        _inner = inner;
        _time = time;
        _random = random;
        Standing = new StoreStanding(time);
        _circuit = new StoreCircuit(options, time, logger, inner.Description);
        _foregroundGate = new RequestGate(options.ForegroundRequests, options.QueueMax);
        _backgroundGate = new RequestGate(options.BackgroundRequests, options.QueueMax);
        _rules = CreateRules(options);
        Foreground = new View(this, isForeground: true);
        Background = new View(this, isForeground: false);
    }

    /// <summary>For what commands and people wait for. Disposing of it does nothing.</summary>
    public IBlobStore Foreground { get; }

    /// <summary>For uploads, checkpoints, cleaning and leases. Disposing of it does nothing.</summary>
    /// <remarks>
    /// Its <see cref="IBlobStore.GetLengthAsync"/> has the foreground's places and passes an open circuit: it is how a lease is renewed, and must
    /// neither queue behind uploads nor wait for somebody else's probe. These looks are few and small.
    /// </remarks>
    public IBlobStore Background { get; }

    /// <summary>Since when the store has done nothing: cheap enough to be asked before each command.</summary>
    public StoreStanding Standing { get; }

    /// <summary>How long a store may refuse credentials, or have no bucket, before a person must be called.</summary>
    public TimeSpan RefusedGrace => _rules.Options.RefusedGrace;

    /// <summary>How the store does.</summary>
    public StoreHealth Health
    {
        get
        {
            var (state, since, lastError, lastErrorAt) = _circuit.Read();
            return new StoreHealth(state, since, lastError, lastErrorAt,
                Volatile.Read(ref _attempts), Volatile.Read(ref _retries), Volatile.Read(ref _rejected), Volatile.Read(ref _timeouts), Volatile.Read(ref _hedged), Volatile.Read(ref _hedgesWon), Standing.AwayFor, Standing.RefusedFor);
        }
    }

    /// <summary>Goes on by other options. Requests on their way keep their rules and places; an open circuit stays open until the store is back.</summary>
    /// <exception cref="ArgumentException">The options are not valid; nothing changes.</exception>
    public void Change(ResilienceOptions options)
    {
        options = Checked(options);
        _circuit.Change(options);
        _foregroundGate.Resize(options.ForegroundRequests, options.QueueMax);
        _backgroundGate.Resize(options.BackgroundRequests, options.QueueMax);
        _rules = CreateRules(options);
    }

    public ValueTask DisposeAsync() => _inner.DisposeAsync();

    private static ResilienceOptions Checked(ResilienceOptions options)
    {
        if (options.Validate(new ValidationContext(options, "options", null, null)).FirstOrDefault() is { } fault)
            throw new ArgumentException($"{string.Join(", ", fault.MemberNames)} {fault.ErrorMessage}.", nameof(options));
        return options with { };
    }

    private Rules CreateRules(ResilienceOptions options) => new(
        options,
        CreateRetry(options, _time),
        new ResiliencePipelineBuilder { TimeProvider = _time }.AddTimeout(options.AttemptTimeout).Build(),
        CreateHedging(options));

    private ResiliencePipeline CreateRetry(ResilienceOptions options, TimeProvider time) => options.Retries == 0 ? ResiliencePipeline.Empty : new ResiliencePipelineBuilder { TimeProvider = time }
        .AddRetry(new RetryStrategyOptions
        {
            MaxRetryAttempts = options.Retries,
            ShouldHandle = args => ValueTask.FromResult(args.Outcome.Exception is BlobStoreException { IsTransient: true, InnerException: not RefusedException }),
            DelayGenerator = args => ValueTask.FromResult<TimeSpan?>(DelayBefore(options, args.AttemptNumber, args.Outcome.Exception as BlobStoreException)),
            OnRetry = args =>
            {
                Interlocked.Increment(ref _retries);
                StoreSpan.Note("retry", args.Outcome.Exception);
                return default;
            },
        }).Build();

    private Hedging? CreateHedging(ResilienceOptions options)
    {
        if (options.HedgePercentile is null && options.HedgeDelay is null) return null;
        var pacer = options.HedgePercentile is { } percentile ? new HedgePacer(percentile, options.HedgeDelay ?? TimeSpan.Zero) : null;
        return new Hedging([.. Enumerable.Range(0, HedgePacer.SizeClasses).Select(size => CreateHedge(pacer is null ? () => options.HedgeDelay!.Value : () => pacer.Delay(size), pacer))], pacer);
    }

    private ResiliencePipeline<OwnRead> CreateHedge(Func<TimeSpan> delay, HedgePacer? pacer) => new ResiliencePipelineBuilder<OwnRead> { TimeProvider = _time }
        .AddHedging(new HedgingStrategyOptions<OwnRead>
        {
            MaxHedgedAttempts = 1,
            DelayGenerator = _ => ValueTask.FromResult(delay()),
            // One that fails does not end the other.
            ShouldHandle = args => ValueTask.FromResult(args.Outcome.Exception is BlobStoreException { IsTransient: true }),
            ActionGenerator = args => _foregroundGate.HasRoom && pacer?.TrySpend() != false ? () => args.Callback(args.ActionContext) : null,
        }).Build();

    /// <summary>The larger of our own delay and the store's wish, within bounds.</summary>
    private TimeSpan DelayBefore(ResilienceOptions options, int retry, BlobStoreException? failure)
    {
        double spread;
        lock (_randomLock) spread = 0.5 + (_random.NextDouble() / 2);
        var seconds = Math.Min(options.RetryDelayMin.TotalSeconds * Math.Pow(2, retry), options.RetryDelayMax.TotalSeconds);
        var own = TimeSpan.FromSeconds(seconds * spread);
        var wished = failure?.RetryAfter is { } after ? after < options.RetryAfterMax ? after : options.RetryAfterMax : TimeSpan.Zero;
        return wished > own ? wished : own;
    }

    private static Kind ReadKind(int lengthBytes) => lengthBytes <= TimedReadBytesMax ? Kind.Timed : Kind.None;

    /// <summary>One attempt, told to the circuit.</summary>
    private async ValueTask<T> AttemptAsync<T>(Kind kind, Func<CancellationToken, ValueTask<T>> request, CancellationToken cancellationToken)
    {
        var gate = kind.HasFlag(Kind.Background) ? _backgroundGate : _foregroundGate;
        var always = kind.HasFlag(Kind.Always);
        try
        {
            if (!always) _circuit.Check();
            await gate.EnterAsync(_inner.Description, cancellationToken);
        }
        catch (BlobStoreException)
        {
            Interlocked.Increment(ref _rejected);
            throw;
        }

        try
        {
            return await _circuit.ExecuteAsync(always, token => SendAsync(kind, request, token), cancellationToken);
        }
        catch (BlobStoreException e) when (e.InnerException is RefusedException)
        {
            Interlocked.Increment(ref _rejected);
            throw;
        }
        finally
        {
            gate.Leave();
        }
    }

    private async ValueTask<T> SendAsync<T>(Kind kind, Func<CancellationToken, ValueTask<T>> request, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _attempts);
        StoreSpan.Note("attempt", null);
        var rules = _rules;
        try
        {
            var answer = kind.HasFlag(Kind.Timed) ? await rules.Timeout.ExecuteAsync(request, cancellationToken) : await request(cancellationToken);
            Standing.Done();
            return answer;
        }
        catch (BlobStoreException e)
        {
            Standing.Failed(e.Kind, e.Message);
            throw;
        }
        catch (TimeoutRejectedException)
        {
            Interlocked.Increment(ref _timeouts);
            var failure = new BlobStoreException(BlobErrorKind.Unavailable, $"{_inner.Description}: no answer within {rules.Options.AttemptTimeout.TotalSeconds:0.#} s. Check the network and the store.");
            Standing.Failed(failure.Kind, failure.Message);
            throw failure;
        }
    }

    private ValueTask<T> RetryAsync<T>(Kind kind, Func<CancellationToken, ValueTask<T>> request, CancellationToken cancellationToken) =>
        _rules.Retry.ExecuteAsync(token => AttemptAsync(kind, request, token), cancellationToken);

    /// <summary>A read that is sent twice if it takes long. Neither request has the caller's buffer: the slower one may fill its own after we have returned.</summary>
    private async ValueTask<int> HedgeAsync(Hedging hedging, BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        var both = new HedgedPair();
        var length = destination.Length;
        var sizeClass = HedgePacer.SizeClassOf(length);
        var read = await hedging.Pipelines[sizeClass].ExecuteAsync(async (pair, token) =>
        {
            // The pipeline starts its second request as soon as the first has failed. That one would be a repetition without a delay: not here.
            if (pair.Failure is { } failure) ExceptionDispatchInfo.Throw(failure);
            var isSecond = !pair.IsFirst();
            if (isSecond)
            {
                Interlocked.Increment(ref _hedged);
                StoreSpan.Note("hedge", null);
            }

            var buffer = new byte[length];
            var sentAt = _time.GetTimestamp();
            try
            {
                // The pipeline waits for the one that loses, which it has cancelled. A store deaf to that is left behind, with the buffer and its place.
                var count = await AttemptAsync(ReadKind(length), t => _inner.ReadAsync(key, offsetBytes, buffer, t), token).AsTask().WaitAsync(token);
                hedging.Pacer?.Took(sizeClass, _time.GetElapsedTime(sentAt));
                return new OwnRead(buffer, count, isSecond);
            }
            catch (BlobStoreException e)
            {
                pair.Failure = e;
                throw;
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                hedging.Pacer?.Took(sizeClass, _time.GetElapsedTime(sentAt)); // It lost, and would have taken longer still: left out, only fast ones would be remembered.
                throw;
            }
        }, both, cancellationToken);
        if (read.IsSecond) Interlocked.Increment(ref _hedgesWon);
        read.Buffer.AsMemory(0, read.Count).CopyTo(destination);
        return read.Count;
    }

    /// <summary>Starts a listing, up to its first item, and so that a limit on the time for that one leaves the rest alone.</summary>
    private static async ValueTask<OpenListing<T>> OpenListingAsync<T>(Func<CancellationToken, IAsyncEnumerable<T>> list, CancellationToken caller, CancellationToken attempt)
    {
        var stop = CancellationTokenSource.CreateLinkedTokenSource(caller);
        IAsyncEnumerator<T>? items = null;
        try
        {
            items = list(stop.Token).GetAsyncEnumerator(stop.Token);
            bool any;
            await using (attempt.UnsafeRegister(static state => ((CancellationTokenSource)state!).Cancel(), stop)) any = await items.MoveNextAsync();
            // The time may have run out between the answer and here: such a listing could not go on.
            stop.Token.ThrowIfCancellationRequested();
            return new OpenListing<T>(items, stop, any);
        }
        catch
        {
            if (items is not null) await items.DisposeAsync();
            stop.Dispose();
            throw;
        }
    }

    /// <summary>Further pages are neither limited here nor repeated: only the caller knows what it has done with the ones before.</summary>
    private async IAsyncEnumerable<T> ListAsync<T>(bool isForeground, Func<CancellationToken, IAsyncEnumerable<T>> list, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        ValueTask<OpenListing<T>> Open(CancellationToken attempt) => OpenListingAsync(list, cancellationToken, attempt);
        var listing = isForeground ? await RetryAsync(Kind.Timed, Open, cancellationToken) : await AttemptAsync(Kind.Timed | Kind.Background, Open, cancellationToken);
        using var stop = listing.Stop;
        await using var items = listing.Items;
        for (var any = listing.Any; any; any = await items.MoveNextAsync()) yield return items.Current;
    }

    [Flags]
    private enum Kind
    {
        None = 0,

        /// <summary>Ends after the time for an attempt.</summary>
        Timed = 1,

        /// <summary>Has the background's places.</summary>
        Background = 2,

        /// <summary>Passes an open circuit.</summary>
        Always = 4,
    }

    /// <summary>What follows from one set of options, replaced as a whole.</summary>
    private sealed record Rules(ResilienceOptions Options, ResiliencePipeline Retry, ResiliencePipeline Timeout, Hedging? Hedging);

    /// <summary>How reads are sent a second time.</summary>
    /// <param name="Pipelines">For each size of reads.</param>
    /// <param name="Pacer">When that is worth it; null: after a fixed time.</param>
    private sealed record Hedging(ResiliencePipeline<OwnRead>[] Pipelines, HedgePacer? Pacer);

    private readonly record struct OwnRead(byte[] Buffer, int Count, bool IsSecond);

    private readonly record struct OpenListing<T>(IAsyncEnumerator<T> Items, CancellationTokenSource Stop, bool Any);

    /// <summary>The two requests of a hedged read.</summary>
    private sealed class HedgedPair
    {
        private volatile BlobStoreException? _failure;
        private int _started;

        /// <summary>What the one that failed ended with.</summary>
        public BlobStoreException? Failure
        {
            get => _failure;
            set => _failure = value;
        }

        /// <summary>True when called for the first of them.</summary>
        public bool IsFirst() => Interlocked.Exchange(ref _started, 1) == 0;
    }

    private sealed class View(ResilientStore owner, bool isForeground) : IBlobStore
    {
        private readonly IBlobStore _inner = owner._inner;

        public string Description => _inner.Description;

        private Kind Place => isForeground ? Kind.None : Kind.Background;

        public ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken) =>
            StoreSpan.Start("get", Description) is { } span ? span.EndAsync(SendReadAsync(key, offsetBytes, destination, cancellationToken)) : SendReadAsync(key, offsetBytes, destination, cancellationToken);

        private ValueTask<int> SendReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
        {
            if (!isForeground) return owner.AttemptAsync(ReadKind(destination.Length) | Kind.Background, token => _inner.ReadAsync(key, offsetBytes, destination, token), cancellationToken);
            var rules = owner._rules;
            return rules.Hedging is { } hedging
                ? rules.Retry.ExecuteAsync(token => owner.HedgeAsync(hedging, key, offsetBytes, destination, token), cancellationToken)
                : owner.RetryAsync(ReadKind(destination.Length), token => _inner.ReadAsync(key, offsetBytes, destination, token), cancellationToken);
        }

        public async ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken) =>
            await owner.AttemptAsync(Place, async token =>
            {
                await _inner.PutAsync(key, content, precondition, token);
                return 0;
            }, cancellationToken);

        public ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken)
        {
            ValueTask<long?> Look(CancellationToken token) => _inner.GetLengthAsync(key, token);
            return isForeground ? owner.RetryAsync(Kind.Timed, Look, cancellationToken) : owner.AttemptAsync(Kind.Timed | Kind.Always, Look, cancellationToken);
        }

        public IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, CancellationToken cancellationToken) =>
            owner.ListAsync(isForeground, token => _inner.ListAsync(prefix, startAfter, token), cancellationToken);

        public IAsyncEnumerable<string> ListFoldersAsync(string prefix, CancellationToken cancellationToken) =>
            owner.ListAsync(isForeground, token => _inner.ListFoldersAsync(prefix, token), cancellationToken);

        public async ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken) =>
            await owner.AttemptAsync(Place, async token =>
            {
                await _inner.DeleteAsync(key, token);
                return 0;
            }, cancellationToken);

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
