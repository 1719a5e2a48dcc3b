using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using Gateway.Backends.Resilience;

namespace Gateway.Configuration;

/// <summary>How requests to one store are limited, repeated and stopped; see <see cref="ResilienceOptions"/>.</summary>
internal sealed record ResilienceSection
{
    private static readonly ResilienceOptions Default = new();

    /// <summary>Seconds for one attempt of a read of up to 1 MiB, a look or the first page of a listing. Default 8.</summary>
    [Range(0.1, 300.0)]
    public double AttemptTimeoutSeconds { get; set; } = Default.AttemptTimeout.TotalSeconds;

    /// <summary>Repetitions of a request that a command waits for. Default 4.</summary>
    [Range(0, 20)]
    public int Retries { get; set; } = Default.Retries;

    /// <summary>Seconds before the first repetition of a request. Up to half is taken off at random. Default 0.1.</summary>
    [Range(0.001, 60.0)]
    public double RetryDelayMinSeconds { get; set; } = Default.RetryDelayMin.TotalSeconds;

    /// <summary>Seconds that the doubling of the delay ends at. Default 3.</summary>
    [Range(0.001, 60.0)]
    public double RetryDelayMaxSeconds { get; set; } = Default.RetryDelayMax.TotalSeconds;

    /// <summary>Seconds that are waited at most because the store says so. Default 30.</summary>
    [Range(0.0, 600.0)]
    public double RetryAfterMaxSeconds { get; set; } = Default.RetryAfterMax.TotalSeconds;

    /// <summary>Share of the attempts within the sampling window that must have failed before requests stop (the circuit opens). Default 0.8.</summary>
    [Range(0.1, 1.0)]
    public double FailureRatio { get; set; } = Default.FailureRatio;

    /// <summary>Seconds that are looked back on for that share. Default 5.</summary>
    [Range(0.5, 60.0)]
    public double SamplingWindowSeconds { get; set; } = Default.SamplingWindow.TotalSeconds;

    /// <summary>Attempts within that time below which the circuit stays closed. Default 20.</summary>
    [Range(2, 10_000)]
    public int MinimumThroughput { get; set; } = Default.MinimumThroughput;

    /// <summary>Seconds from one probe of a store that is away to the next. Default 1.</summary>
    [Range(0.1, 2.0)]
    public double BreakDurationSeconds { get; set; } = Default.BreakDuration.TotalSeconds;

    /// <summary>Requests at a time that commands wait for. Default 40.</summary>
    [Range(1, 10_000)]
    public int ForegroundRequests { get; set; } = Default.ForegroundRequests;

    /// <summary>Requests at a time of uploads, checkpoints and cleaning. Default 24.</summary>
    [Range(1, 10_000)]
    public int BackgroundRequests { get; set; } = Default.BackgroundRequests;

    /// <summary>Requests of either kind that wait for their turn. Default 1024.</summary>
    [Range(0, 100_000)]
    public int QueueMax { get; set; } = Default.QueueMax;

    /// <summary>Seconds after which a read without an answer is sent a second time, from 0.001 and below attemptTimeoutSeconds. Default null: never.</summary>
    public double? HedgeDelaySeconds { get; set; }

    /// <summary>Percent of the reads that are answered before one is sent a second time. Default null: never.</summary>
    [Range(50.0, 99.9)]
    public double? HedgePercentile { get; set; }

    /// <summary>Seconds that the store may refuse credentials before reads say that a person must help. Default 60.</summary>
    [Range(0.0, 3600.0)]
    public double RefusedGraceSeconds { get; set; } = Default.RefusedGrace.TotalSeconds;

    public ResilienceOptions ToOptions() => new()
    {
        AttemptTimeout = Seconds(AttemptTimeoutSeconds),
        Retries = Retries,
        RetryDelayMin = Seconds(RetryDelayMinSeconds),
        RetryDelayMax = Seconds(RetryDelayMaxSeconds),
        RetryAfterMax = Seconds(RetryAfterMaxSeconds),
        FailureRatio = FailureRatio,
        SamplingWindow = Seconds(SamplingWindowSeconds),
        MinimumThroughput = MinimumThroughput,
        BreakDuration = Seconds(BreakDurationSeconds),
        ForegroundRequests = ForegroundRequests,
        BackgroundRequests = BackgroundRequests,
        QueueMax = QueueMax,
        RefusedGrace = Seconds(RefusedGraceSeconds),
        HedgeDelay = HedgeDelaySeconds is { } seconds ? Seconds(seconds) : null,
        HedgePercentile = HedgePercentile,
    };

    public IEnumerable<string> Faults() => ToOptions().Validate(new ValidationContext(this, "resilience", null, null)).Select(f => $"{NameOf(f.MemberNames.First())}: {f.ErrorMessage}");

    /// <summary>Kept within what a duration can hold; all of that is far out of every range.</summary>
    private static TimeSpan Seconds(double seconds) => TimeSpan.FromSeconds(Math.Clamp(seconds, -1, 1e6));

    /// <summary>The setting behind an option: durations are in seconds, and say so.</summary>
    private static string NameOf(string option) => JsonNamingPolicy.CamelCase.ConvertName(option) + option switch
    {
        nameof(ResilienceOptions.AttemptTimeout) or nameof(ResilienceOptions.RetryDelayMin) or nameof(ResilienceOptions.RetryDelayMax) or nameof(ResilienceOptions.RetryAfterMax)
            or nameof(ResilienceOptions.SamplingWindow) or nameof(ResilienceOptions.BreakDuration) or nameof(ResilienceOptions.HedgeDelay) or nameof(ResilienceOptions.RefusedGrace) => "Seconds",
        _ => "",
    };
}
