namespace Gateway.Lio;

/// <summary>What is not as it was declared, and what to do about it.</summary>
/// <param name="Item">The item: "backstore NAME", "iscsi target IQN" and the like.</param>
/// <param name="Message">One or two sentences, without secrets.</param>
public readonly record struct LioFailure(string Item, string Message)
{
    public override string ToString() => $"{Item}: {Message}";
}

/// <summary>What a reconciliation did.</summary>
/// <param name="Steps">The steps done, in their order, without secrets.</param>
/// <param name="Failures">One for each item that is not as declared. All other items are.</param>
/// <param name="Warnings">What is well enough to be served, but not all as declared.</param>
public sealed record ReconcileResult(IReadOnlyList<LioStep> Steps, IReadOnlyList<LioFailure> Failures, IReadOnlyList<LioFailure> Warnings)
{
    /// <summary>True if everything is as declared, warnings aside.</summary>
    public bool Succeeded => Failures.Count == 0;
}
