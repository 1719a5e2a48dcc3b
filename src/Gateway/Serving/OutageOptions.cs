namespace Gateway.Serving;

/// <summary>What initiators are told once a volume's store has been away for long.</summary>
internal enum LongOutagePolicy
{
    /// <summary>What they are told from the start: commands that cannot be served end in errors that are tried again.</summary>
    Retry,

    /// <summary>Writes end in DATA PROTECT at once; reads and flushes go on as they can.</summary>
    ReadOnly,

    /// <summary>Every medium command ends in NOT READY, target port unavailable: multipath takes another path.</summary>
    Fail,
}

/// <summary>The end-state of a long outage.</summary>
/// <param name="OnLongOutage">What is done.</param>
/// <param name="After">From which length on an outage is long.</param>
internal sealed record OutageOptions(LongOutagePolicy OnLongOutage, TimeSpan After);
