namespace Gateway.Backends.Resilience;

/// <summary>Whether requests are sent to a store.</summary>
public enum CircuitState
{
    /// <summary>All are.</summary>
    Closed,

    /// <summary>None are: too many have failed.</summary>
    Open,

    /// <summary>One is on its way, to see whether the store is back; all others are refused.</summary>
    HalfOpen,
}

/// <summary>How a store does, for people and metrics. Counts are since the start, each read on its own.</summary>
/// <param name="State">Whether requests are sent.</param>
/// <param name="Since">When the circuit last opened or closed; the start, if it never did.</param>
/// <param name="LastError">The last failure that spoke against the store; null if there was none.</param>
/// <param name="LastErrorAt">When that was.</param>
/// <param name="Attempts">Requests sent, repetitions and hedges among them.</param>
/// <param name="Retries">Repetitions after a failure.</param>
/// <param name="Rejected">Requests refused without being sent: the circuit was open, or the queue full.</param>
/// <param name="Timeouts">Attempts that took longer than <see cref="ResilienceOptions.AttemptTimeout"/>.</param>
/// <param name="Hedges">Reads that were sent a second time, since the first took long: what hedging costs.</param>
/// <param name="HedgesWon">Those of them that were faster: what it gains.</param>
/// <param name="AwayFor">As <see cref="StoreStanding.AwayFor"/>.</param>
/// <param name="RefusedFor">As <see cref="StoreStanding.RefusedFor"/>.</param>
public readonly record struct StoreHealth(
    CircuitState State, DateTimeOffset Since, string? LastError, DateTimeOffset? LastErrorAt, long Attempts, long Retries, long Rejected, long Timeouts, long Hedges, long HedgesWon, TimeSpan AwayFor, TimeSpan RefusedFor);
