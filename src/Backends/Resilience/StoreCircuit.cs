using Gateway.Backends.Core;
using Microsoft.Extensions.Logging;

namespace Gateway.Backends.Resilience;

/// <summary>
/// Stops requests to a store that fails them. Closed: all go. It opens when enough of the last while's attempts failed. Open: none go but one
/// probe each <see cref="ResilienceOptions.BreakDuration"/>; the first success of a request sent since it opened closes it. Thread safe.
/// </summary>
/// <remarks>
/// A probe that hangs, or whose caller gives up, holds up nobody: the next one goes when its time comes. Time is measured by the clock's
/// timestamps, so setting the wall clock changes nothing. Invariant: <see cref="_era"/> counts the openings; a success of an earlier era
/// says nothing of the store as it is now.
/// </remarks>
internal sealed class StoreCircuit
{
    private readonly ResilienceOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly string _description;
    private readonly long _start;
    private readonly Lock _lock = new();
    private readonly FailureWindow _window;
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
        _window = new FailureWindow(options.SamplingWindow);
    }

    private TimeSpan Now => _time.GetElapsedTime(_start);

    /// <summary>State, and the last failure, as one.</summary>
    public (CircuitState State, DateTimeOffset Since, string? LastError, DateTimeOffset? LastErrorAt) Read()
    {
        lock (_lock) return (!_isOpen ? CircuitState.Closed : _probes > 0 ? CircuitState.HalfOpen : CircuitState.Open, _since, _lastError, _lastErrorAt);
    }

    /// <summary>Refuses what need not wait for its turn to be refused. Takes no probe.</summary>
    /// <exception cref="BlobStoreException">The circuit is open, and no probe is due.</exception>
    public void Check()
    {
        lock (_lock)
            if (_isOpen && Now < _probeDueAt) throw Refusal();
    }

    /// <summary>Asks for a request to go. One of the three ends must follow: <see cref="Succeeded"/>, <see cref="Failed"/>, <see cref="Abandoned"/>.</summary>
    /// <param name="always">Goes even if the circuit is open, and then is a probe.</param>
    /// <exception cref="BlobStoreException">The circuit is open, and no probe is due.</exception>
    public CircuitPass Enter(bool always)
    {
        lock (_lock)
        {
            if (!_isOpen) return new CircuitPass(_era, false);
            var now = Now;
            if (now < _probeDueAt && !always) throw Refusal();
            if (now >= _probeDueAt) _probeDueAt = now + _options.BreakDuration;
            _probes++;
            return new CircuitPass(_era, true);
        }
    }

    /// <summary>The store answered, if only with a refusal of its own.</summary>
    public void Succeeded(CircuitPass pass)
    {
        TimeSpan away;
        lock (_lock)
        {
            EndProbe(pass);
            if (!_isOpen)
            {
                _window.Add(Now, failed: false);
                return;
            }

            if (pass.Era != _era) return;
            away = Now - _openedAt;
            _isOpen = false;
            _probes = 0;
            _since = _time.GetUtcNow();
            _window.Clear();
        }

        ResilienceLog.Closed(_logger, _description, away);
    }

    /// <summary>The store did not answer, or could not do its work.</summary>
    public void Failed(CircuitPass pass, string error)
    {
        lock (_lock)
        {
            EndProbe(pass);
            _lastError = error;
            _lastErrorAt = _time.GetUtcNow();
            // What was sent before it last opened says nothing new.
            if (_isOpen || pass.Era != _era) return;
            var now = Now;
            _window.Add(now, failed: true);
            var (attempts, failures) = _window.Sum(now);
            if (attempts < _options.MinimumThroughput || failures < attempts * _options.FailureRatio) return;
            _isOpen = true;
            _era++;
            _openedAt = now;
            _probeDueAt = now + _options.BreakDuration;
            _since = _lastErrorAt.Value;
        }

        ResilienceLog.Opened(_logger, _description, _options.BreakDuration, error);
    }

    /// <summary>The caller gave up: nothing is known.</summary>
    public void Abandoned(CircuitPass pass)
    {
        lock (_lock) EndProbe(pass);
    }

    private void EndProbe(CircuitPass pass)
    {
        if (pass.IsProbe && _isOpen && pass.Era == _era) _probes--;
    }

    private BlobStoreException Refusal()
    {
        var why = $"not asked, since it is away since {_since:yyyy-MM-dd HH:mm:ss}Z; it is tried every {_options.BreakDuration.TotalSeconds:0.#} s. Last failure: {_lastError}";
        return new BlobStoreException(BlobErrorKind.Unavailable, $"{_description}: {why}", new RefusedException(why));
    }
}

/// <summary>A request that the circuit let go.</summary>
/// <param name="Era">How often the circuit had opened before.</param>
/// <param name="IsProbe">It was open.</param>
internal readonly record struct CircuitPass(long Era, bool IsProbe);
