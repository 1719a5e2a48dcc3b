namespace Gateway.Volumes.Leases;

/// <summary>The times that follow from a lease's length L, the same for the writer that holds it and for whoever takes over.</summary>
/// <param name="Length">L; zero: the operator vouches that there is one gateway only, and no clock is looked at.</param>
internal readonly record struct LeaseTerms(TimeSpan Length)
{
    private const int MarginShare = 10;
    private const int LookShare = 12;
    private const int BeatShare = 3;
    private const int AttemptShare = 12;
    private const int RetryShare = 60;

    private static readonly TimeSpan AttemptMin = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan AttemptMax = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan RetryMax = TimeSpan.FromSeconds(1);

    /// <summary>False: no clock-bound authority.</summary>
    public bool HasLease => Length > TimeSpan.Zero;

    /// <summary>Taken off by the writer and put on by its successor: for clocks that do not run alike, and for what lies between a look at the clock and its use.</summary>
    public TimeSpan Margin => Length / MarginShare;

    /// <summary>How long a look gives authority, from before it was sent.</summary>
    public TimeSpan AuthorityLength => Length - Margin;

    /// <summary>How long a successor waits after its claim, and how long a heartbeat must be silent before it claims.</summary>
    public TimeSpan SuccessorWait => Length + Margin;

    /// <summary>Looks are this far apart at most: what is left of the authority when the store goes away carries through the outage.</summary>
    public TimeSpan LookEvery => Length / LookShare;

    /// <summary>Heartbeats are this far apart at most.</summary>
    public TimeSpan BeatEvery => Length / BeatShare;

    /// <summary>How long a request of the lease may take before it is given up and made again.</summary>
    public TimeSpan AttemptTimeout => TimeSpan.FromTicks(Math.Clamp((Length / AttemptShare).Ticks, AttemptMin.Ticks, AttemptMax.Ticks));

    /// <summary>The pause after a look that failed.</summary>
    public TimeSpan RetryAfter => Length / RetryShare < RetryMax ? Length / RetryShare : RetryMax;
}
