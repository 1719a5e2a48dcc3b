using System.ComponentModel.DataAnnotations;

namespace Gateway.Backends.Resilience;

/// <summary>How requests to one store are limited in time and number, repeated, and stopped while it is away.</summary>
public sealed record ResilienceOptions : IValidatableObject
{
    /// <summary>Time for one attempt of a read of up to 1 MiB, a look or the first page of a listing; longer reads, puts and deletes have the store's own limit. From 0.1 s to 5 min, default 8 s.</summary>
    public TimeSpan AttemptTimeout { get; set; } = TimeSpan.FromSeconds(8);

    /// <summary>How often a request that a command waits for is sent again if that can help. From 0 to 20, default 4.</summary>
    public int Retries { get; set; } = 4;

    /// <summary>Wait before the first repetition; each further one doubles it, and up to half is taken off at random. From 1 ms to 1 min, default 100 ms.</summary>
    public TimeSpan RetryDelayMin { get; set; } = TimeSpan.FromMilliseconds(100);

    /// <summary>What the doubling ends at. From <see cref="RetryDelayMin"/> to 1 min, default 3 s.</summary>
    public TimeSpan RetryDelayMax { get; set; } = TimeSpan.FromSeconds(3);

    /// <summary>The most that is waited because the store says so (Retry-After); a caller's own deadline may end it sooner. From 0 to 10 min, default 30 s.</summary>
    public TimeSpan RetryAfterMax { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Share of failed attempts within <see cref="SamplingWindow"/> that opens the circuit. From 0.1 to 1, default 0.8.</summary>
    public double FailureRatio { get; set; } = 0.8;

    /// <summary>The time that is looked back on. From 0.5 s to 1 min, default 5 s.</summary>
    public TimeSpan SamplingWindow { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Attempts within the window below which the circuit stays closed. From 2 to 10,000, default 20.</summary>
    public int MinimumThroughput { get; set; } = 20;

    /// <summary>Time from one probe of a store that is away to the next. From 0.1 to 2 s, default 1 s: no longer, since work waits for it when the store is back.</summary>
    public TimeSpan BreakDuration { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>Requests at a time that commands wait for. From 1 to 10,000, default 40.</summary>
    public int ForegroundRequests { get; set; } = 40;

    /// <summary>Requests at a time of uploads, checkpoints and cleaning. From 1 to 10,000, default 24.</summary>
    public int BackgroundRequests { get; set; } = 24;

    /// <summary>Requests of either kind that wait for their turn; more are refused as Throttled at once. From 0 to 100,000, default 1,024.</summary>
    public int QueueMax { get; set; } = 1024;

    /// <summary>
    /// A read that commands wait for is sent a second time if there is no answer after this time; the first answer counts. Costs up to twice the requests and a
    /// buffer for each. From 1 ms up, less than <see cref="AttemptTimeout"/>. Default null: never. With <see cref="HedgePercentile"/>, the least delay.
    /// </summary>
    public TimeSpan? HedgeDelay { get; set; }

    /// <summary>
    /// The same after a measured time: that in which this share of the last reads of about its size were answered, in percent. Costs that many more requests, 10 % at
    /// most. From 50 to 99.9. Default null: never.
    /// </summary>
    public double? HedgePercentile { get; set; }

    /// <summary>How long the store may refuse credentials, or have no bucket, before reads that need it say that a person must help. From 0 to 1 h, default 1 min.</summary>
    public TimeSpan RefusedGrace { get; set; } = TimeSpan.FromMinutes(1);

    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (IsOutside(AttemptTimeout, 0.1, 300)) yield return Fault("must be between 0.1 s and 5 minutes", nameof(AttemptTimeout));
        if (Retries is < 0 or > 20) yield return Fault("must be between 0 and 20", nameof(Retries));
        if (IsOutside(RetryDelayMin, 0.001, 60)) yield return Fault("must be between 1 ms and 1 minute", nameof(RetryDelayMin));
        if (RetryDelayMax < RetryDelayMin || IsOutside(RetryDelayMax, 0.001, 60)) yield return Fault("must be between the shortest delay and 1 minute", nameof(RetryDelayMax));
        if (IsOutside(RetryAfterMax, 0, 600)) yield return Fault("must be between 0 and 10 minutes", nameof(RetryAfterMax));
        if (FailureRatio is not (>= 0.1 and <= 1)) yield return Fault("must be between 0.1 and 1", nameof(FailureRatio));
        if (IsOutside(SamplingWindow, 0.5, 60)) yield return Fault("must be between 0.5 s and 1 minute", nameof(SamplingWindow));
        if (MinimumThroughput is < 2 or > 10_000) yield return Fault("must be between 2 and 10000", nameof(MinimumThroughput));
        if (IsOutside(BreakDuration, 0.1, 2)) yield return Fault("must be between 0.1 s and 2 s", nameof(BreakDuration));
        if (ForegroundRequests is < 1 or > 10_000) yield return Fault("must be between 1 and 10000", nameof(ForegroundRequests));
        if (BackgroundRequests is < 1 or > 10_000) yield return Fault("must be between 1 and 10000", nameof(BackgroundRequests));
        if (QueueMax is < 0 or > 100_000) yield return Fault("must be between 0 and 100000", nameof(QueueMax));
        if (IsOutside(RefusedGrace, 0, 3600)) yield return Fault("must be between 0 and 1 hour", nameof(RefusedGrace));
        if (HedgeDelay is { } hedge && (hedge < TimeSpan.FromMilliseconds(1) || hedge >= AttemptTimeout)) yield return Fault("must be at least 1 ms and less than the time for an attempt; or null for none", nameof(HedgeDelay));
        if (HedgePercentile is not (null or (>= 50 and <= 99.9))) yield return Fault("must be between 50 and 99.9; or null for none", nameof(HedgePercentile));
    }

    private static bool IsOutside(TimeSpan value, double minSeconds, double maxSeconds) => value < TimeSpan.FromSeconds(minSeconds) || value > TimeSpan.FromSeconds(maxSeconds);

    private static ValidationResult Fault(string what, string member) => new(what, [member]);
}
