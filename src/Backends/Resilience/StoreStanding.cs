using Gateway.Backends.Core;

namespace Gateway.Backends.Resilience;

/// <summary>How long a store has done nothing of what it was asked, as told by the end of every request that was sent. Thread safe; takes no lock.</summary>
/// <remarks>
/// One request that is done, or answered with what is true of its blob, ends both times: a store that does some of its work is not away. Requests
/// that the circuit refused were not sent, and callers that gave up say nothing. Time goes by the clock's timestamps, not by the time of day.
/// </remarks>
public sealed class StoreStanding
{
    private const long Never = long.MinValue;

    private readonly TimeProvider _time;
    private long _awaySince = Never;
    private long _refusedSince = Never;
    private volatile bool _refuses;
    private volatile string? _lastFailure;

    internal StoreStanding(TimeProvider time) => _time = time;

    /// <summary>Time since the first failure after the last request that was done; zero if none has failed since.</summary>
    public TimeSpan AwayFor => Since(Volatile.Read(ref _awaySince));

    /// <summary>The same, counted from the first refusal (credentials, or no such bucket), if the last answer was one; else zero.</summary>
    public TimeSpan RefusedFor => _refuses ? Since(Volatile.Read(ref _refusedSince)) : TimeSpan.Zero;

    /// <summary>The last failure or refusal, for people; null if there was none.</summary>
    public string? LastFailure => _lastFailure;

    internal void Done()
    {
        if (Volatile.Read(ref _awaySince) == Never) return;
        _refuses = false;
        Volatile.Write(ref _refusedSince, Never);
        Volatile.Write(ref _awaySince, Never);
    }

    internal void Failed(BlobErrorKind kind, string message)
    {
        if (kind is not (BlobErrorKind.AccessDenied or BlobErrorKind.ContainerMissing or BlobErrorKind.Unavailable or BlobErrorKind.Throttled))
        {
            Done();
            return;
        }

        _lastFailure = message;
        var now = _time.GetTimestamp();
        var refuses = kind is BlobErrorKind.AccessDenied or BlobErrorKind.ContainerMissing;
        if (refuses) Interlocked.CompareExchange(ref _refusedSince, now, Never);
        Interlocked.CompareExchange(ref _awaySince, now, Never);
        _refuses = refuses;
    }

    private TimeSpan Since(long timestamp) => timestamp == Never ? TimeSpan.Zero : _time.GetElapsedTime(timestamp);
}
