namespace Gateway.Volumes.Leases;

/// <summary>
/// Until when this writer may acknowledge. A look that finds no newer epoch proves that none existed when the look was sent, at t; a
/// successor serves no earlier than L + margin after its claim, which comes after t. So up to t + L - margin nobody else serves.
/// </summary>
/// <remarks>Thread safe. <see cref="IsValid"/> is for hot paths: it reads one field and the clock.</remarks>
internal sealed class WriterAuthority
{
    private const long Unbounded = long.MaxValue;
    private const long Revoked = long.MinValue;

    private static readonly TimeSpan RecentLook = TimeSpan.FromMinutes(1);

    private readonly TimeProvider _time;
    private readonly long _lengthTimestamps;
    private long _validUntil;
    private long _lookedAt; // Timestamp of the last look; 0: none yet.

    /// <param name="terms">The lease; without one the authority has no end.</param>
    /// <param name="time">A clock that counts suspension.</param>
    public WriterAuthority(LeaseTerms terms, TimeProvider time)
    {
        _time = time;
        Terms = terms;
        _lengthTimestamps = (long)(terms.AuthorityLength.TotalSeconds * time.TimestampFrequency);
        _validUntil = terms.HasLease ? Revoked + 1 : Unbounded;
    }

    public LeaseTerms Terms { get; }

    /// <summary>True if nobody else can have served yet, at the moment of the call.</summary>
    public bool IsValid
    {
        get
        {
            var until = Volatile.Read(ref _validUntil);
            return until == Unbounded || _time.GetTimestamp() < until;
        }
    }

    /// <summary>How long it lasts without another look: zero once it has run out or ended; null without a lease.</summary>
    public TimeSpan? Left
    {
        get
        {
            var until = Volatile.Read(ref _validUntil);
            if (until == Unbounded) return null;
            var now = _time.GetTimestamp();
            return now < until ? _time.GetElapsedTime(now, until) : TimeSpan.Zero;
        }
    }

    /// <summary>
    /// True if nobody can have removed the record of a newer epoch yet (<see cref="EpochLook"/>): nobody else has served; or, without a lease, there
    /// was none a moment ago, in which <see cref="EpochSweeper.KeptEpochs"/> openings have no room.
    /// </summary>
    public bool NothingIsSweptYet => Terms.HasLease ? IsValid : Volatile.Read(ref _lookedAt) is var at && at != 0 && _time.GetElapsedTime(at) < RecentLook;

    /// <summary>What it is now.</summary>
    public LeaseState State => IsRevoked ? LeaseState.Revoked : !Terms.HasLease ? LeaseState.None : IsValid ? LeaseState.Valid : LeaseState.Expired;

    /// <summary>True once it has ended for good.</summary>
    public bool IsRevoked => Volatile.Read(ref _validUntil) == Revoked;

    /// <summary>Takes note of a look that found no newer epoch.</summary>
    /// <param name="lookSentAt">A timestamp taken before it was sent.</param>
    public void Extend(long lookSentAt)
    {
        Volatile.Write(ref _lookedAt, lookSentAt);
        if (!Terms.HasLease) return;
        var until = lookSentAt + _lengthTimestamps;
        var present = Volatile.Read(ref _validUntil);
        while (present != Revoked && present < until)
        {
            var seen = Interlocked.CompareExchange(ref _validUntil, until, present);
            if (seen == present) return;
            present = seen;
        }
    }

    /// <summary>Ends it for good: a newer epoch was seen, or the volume is closed.</summary>
    public void Revoke() => Volatile.Write(ref _validUntil, Revoked);
}
