namespace Gateway.Simulation.Store;

/// <summary>How the simulated store behaves in one seed. Rates are probabilities per request.</summary>
internal sealed record StorePlan
{
    /// <summary>Shortest and longest usual time of a request; half before its effect, half after.</summary>
    public TimeSpan LatencyMin { get; init; } = TimeSpan.FromMilliseconds(2);

    public TimeSpan LatencyMax { get; init; } = TimeSpan.FromMilliseconds(40);

    /// <summary>A request takes up to <see cref="GiveUpAfter"/> instead.</summary>
    public double SlowRate { get; init; }

    /// <summary>When a client of the store gives up on an answer: no request takes longer for its caller.</summary>
    public TimeSpan GiveUpAfter { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Fails without an effect.</summary>
    public double ErrorBeforeRate { get; init; }

    /// <summary>Takes effect, and fails.</summary>
    public double ErrorAfterRate { get; init; }

    /// <summary>Fails, and takes effect later: a timeout whose request is still on its way.</summary>
    public double LateEffectRate { get; init; }

    /// <summary>How late that can be.</summary>
    public TimeSpan LateEffectMax { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>A create-only put is carried out twice below the client, which sees the second answer: that its own blob exists.</summary>
    public double DoublePutRate { get; init; }

    /// <summary>Two create-only puts of one name at a time: one is answered "conflict" without an effect.</summary>
    public bool Conflicts { get; init; }

    /// <summary>Of the failures, how many are throttling.</summary>
    public double ThrottledShare { get; init; } = 0.3;

    /// <summary>A read returns a byte that is not the blob's.</summary>
    public double ReadCorruptionRate { get; init; }

    /// <summary>A listing shows the state from up to this long ago.</summary>
    public TimeSpan StaleListMax { get; init; }

    /// <summary>Names in one page of a listing; pages are fetched one after the other, and other requests come in between.</summary>
    public int ListPageLength { get; init; } = 1000;

    /// <summary>True if a request may fail or take longer than usual.</summary>
    public bool HasFaults => SlowRate > 0 || ErrorBeforeRate > 0 || ErrorAfterRate > 0 || LateEffectRate > 0 || DoublePutRate > 0 || Conflicts;
}
