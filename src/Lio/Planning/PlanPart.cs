namespace Gateway.Lio;

/// <summary>Steps that make sense only one after the other: the first that fails ends the part, and the parts that build on it.</summary>
internal sealed class PlanPart(string item, string remedy)
{
    private readonly List<LioStep> _steps = [];
    private readonly HashSet<PlanPart> _requires = [];

    /// <summary>The item that a failure is told of.</summary>
    public string Item { get; } = item;

    /// <summary>What a person can do if a step fails.</summary>
    public string Remedy { get; } = remedy;

    public IReadOnlyList<LioStep> Steps => _steps;

    /// <summary>Parts without which this one makes no sense.</summary>
    public IEnumerable<PlanPart> Requires => _requires;

    public void Add(LioStep step) => _steps.Add(step);

    public void Require(PlanPart? part)
    {
        if (part is not null && part != this) _requires.Add(part);
    }
}
