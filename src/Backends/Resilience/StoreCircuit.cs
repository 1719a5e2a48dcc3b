using Gateway.Backends.Core;
using Microsoft.Extensions.Logging;
using Polly;
using Polly.CircuitBreaker;

namespace Gateway.Backends.Resilience;

/// <summary>
/// Stops requests to a store that fails them. Polly's circuit breaker counts, and opens when enough of the last while's attempts failed. Once it
/// is open it is left so, and one probe goes each <see cref="ResilienceOptions.BreakDuration"/>, beside it; the first success of a request sent since closes it.
/// Thread safe.
/// </summary>
/// <remarks>
/// The breaker's own half-open state would wait for its one probe, however long that hangs, and take one whose caller gave up for a success. Here a
/// probe that hangs, or whose caller gives up, holds up nobody and says nothing. Time is measured by the clock's timestamps, so setting the wall clock
/// changes nothing. Invariant: <see cref="_era"/> counts the openings; a success of an earlier era says nothing of the store as it is now.
/// </remarks>
internal sealed class StoreCircuit
{
    /// <summary>The longest that Polly takes: it never comes to that, since it is closed from here.</summary>
    private static readonly TimeSpan BreakMax = TimeSpan.FromDays(1);

    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly string _description;
    private readonly long _start;
    private readonly Lock _lock = new();
    private volatile ResilienceOptions _options;
    private volatile Breaker _breaker;
    private bool _isOpen;
    private long _era;
    private TimeSpan _openedAt;
    private TimeSpan _probeDueAt;
    private int _probes;
    private DateTimeOffset _since;
    private string? _lastError;
    private DateTimeOffset? _lastErrorAt;

    public StoreCircuit(ResilienceOptions options, TimeProvider time, ILogger logger, string description)
    {
        _options = options;
        _time = time;
        _logger = logger;
        _description = description;
        _start = time.GetTimestamp();
        _since = time.GetUtcNow();
        _breaker = new Breaker(options, time);
    }

    private TimeSpan Now => _time.GetElapsedTime(_start);

    /// <summary>State, and the last failure, as one.</summary>
    public (CircuitState State, DateTimeOffset Since, string? LastError, DateTimeOffset? LastErrorAt) Read()
    {
        lock (_lock) return (!_isOpen ? CircuitState.Closed : _probes > 0 ? CircuitState.HalfOpen : CircuitState.Open, _since, _lastError, _lastErrorAt);
    }

    /// <summary>Counts anew, by other options. An open circuit stays open, and closes as it would have.</summary>
    public void Change(ResilienceOptions options)
    {
        lock (_lock) (_options, _breaker) = (options, new Breaker(options, _time));
    }

    /// <summary>Refuses what need not wait for its turn to be refused. Takes no probe.</summary>
    /// <exception cref="BlobStoreException">The circuit is open, and no probe is due.</exception>
    public void Check()
    {
        lock (_lock)
            if (_isOpen && Now < _probeDueAt) throw Refusal();
    }

    /// <summary>Sends a request, if it may go, and learns from how it ends.</summary>
    /// <param name="always">Goes even if the circuit is open, and then is a probe.</param>
    /// <param name="request">The request. That it got no answer in time is a <see cref="BlobStoreException"/>, too.</param>
    /// <param name="cancellationToken">The caller's.</param>
    /// <exception cref="BlobStoreException">The circuit is open, and no probe is due; or the request's own.</exception>
    public ValueTask<T> ExecuteAsync<T>(bool always, Func<CancellationToken, ValueTask<T>> request, CancellationToken cancellationToken)
    {
        long era;
        lock (_lock)
        {
            if (!_isOpen) return PassAsync(request, cancellationToken);
            var now = Now;
            if (now < _probeDueAt && !always) throw Refusal();
            if (now >= _probeDueAt) _probeDueAt = now + _options.BreakDuration;
            _probes++;
            era = _era;
        }

        return ProbeAsync(era, request, cancellationToken);
    }

    /// <summary>True if the store did not answer, or could not do its work. A refusal is an answer, and a caller that gives up says nothing.</summary>
    private static bool SpeaksAgainst(Exception? exception) => exception is BlobStoreException { IsTransient: true };

    private async ValueTask<T> PassAsync<T>(Func<CancellationToken, ValueTask<T>> request, CancellationToken cancellationToken)
    {
        try
        {
            return await _breaker.Pipeline.ExecuteAsync(request, cancellationToken);
        }
        catch (BrokenCircuitException)
        {
            // It opened since we looked.
            lock (_lock)
            {
                NoteOpening();
                throw Refusal();
            }
        }
        catch (BlobStoreException e) when (SpeaksAgainst(e))
        {
            lock (_lock)
            {
                NoteError(e);
                NoteOpening();
            }

            throw;
        }
    }

    private async ValueTask<T> ProbeAsync<T>(long era, Func<CancellationToken, ValueTask<T>> request, CancellationToken cancellationToken)
    {
        T result;
        try
        {
            result = await request(cancellationToken);
        }
        catch (BlobStoreException e) when (!SpeaksAgainst(e))
        {
            await CloseAsync(era); // It answers.
            throw;
        }
        catch (Exception e)
        {
            lock (_lock)
            {
                if (SpeaksAgainst(e)) NoteError(e);
                if (_isOpen && era == _era) _probes--;
            }

            throw;
        }

        await CloseAsync(era);
        return result;
    }

    /// <summary>Closes the circuit on a success of a request that was sent while it was open as it is now.</summary>
    private async ValueTask CloseAsync(long era)
    {
        TimeSpan away;
        lock (_lock)
        {
            if (!_isOpen || era != _era) return;
            _era++; // Of several successes the first closes it.
            away = Now - _openedAt;
        }

        await _breaker.Control.CloseAsync(CancellationToken.None);
        lock (_lock)
        {
            _isOpen = false;
            _probes = 0;
            _since = _time.GetUtcNow();
        }

        ResilienceLog.Closed(_logger, _description, away);
    }

    /// <summary>Takes note, under the lock, if the breaker has opened.</summary>
    private void NoteOpening()
    {
        if (_isOpen || _breaker.State.CircuitState == Polly.CircuitBreaker.CircuitState.Closed) return;
        _isOpen = true;
        _era++;
        _openedAt = Now;
        _probes = 0;
        _probeDueAt = _openedAt + _options.BreakDuration;
        _since = _time.GetUtcNow();
        ResilienceLog.Opened(_logger, _description, _options.BreakDuration, _lastError ?? "");
    }

    private void NoteError(Exception error)
    {
        _lastError = error.Message;
        _lastErrorAt = _time.GetUtcNow();
    }

    private BlobStoreException Refusal()
    {
        var why = $"not asked, since it is away since {_since:yyyy-MM-dd HH:mm:ss}Z; it is tried every {_options.BreakDuration.TotalSeconds:0.#} s. Last failure: {_lastError}";
        return new BlobStoreException(BlobErrorKind.Unavailable, $"{_description}: {why}", new RefusedException(why));
    }

    /// <summary>Polly's breaker with what reads and closes it.</summary>
    private sealed class Breaker
    {
        public Breaker(ResilienceOptions options, TimeProvider time) => Pipeline = new ResiliencePipelineBuilder { TimeProvider = new MonotonicTime(time) }
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions
            {
                FailureRatio = options.FailureRatio,
                SamplingDuration = options.SamplingWindow,
                MinimumThroughput = options.MinimumThroughput,
                BreakDuration = BreakMax,
                ShouldHandle = static args => ValueTask.FromResult(SpeaksAgainst(args.Outcome.Exception)),
                ManualControl = Control,
                StateProvider = State,
            }).Build();

        public ResiliencePipeline Pipeline { get; }

        public CircuitBreakerManualControl Control { get; } = new();

        public CircuitBreakerStateProvider State { get; } = new();
    }
}
