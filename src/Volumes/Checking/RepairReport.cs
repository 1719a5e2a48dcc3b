namespace Gateway.Volumes.Checking;

/// <summary>How a repair ended.</summary>
public enum RepairOutcome
{
    /// <summary>Everything that a repair could mend is whole. Nothing was changed.</summary>
    NothingToRepair = 0,

    /// <summary>A new checkpoint is stored, and it is proven to be what the damaged one was.</summary>
    Repaired,

    /// <summary>It cannot be done, or not be proven. Apart from an epoch record, if the report says so, nothing was changed.</summary>
    Refused,
}

/// <summary>What a repair did.</summary>
/// <param name="Outcome">How it ended.</param>
/// <param name="Lines">What was found, done or refused, in order, for people.</param>
public sealed record RepairReport(RepairOutcome Outcome, IReadOnlyList<string> Lines);
