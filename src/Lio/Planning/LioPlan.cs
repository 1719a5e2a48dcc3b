using System.Text;

namespace Gateway.Lio;

/// <summary>The steps from what LIO has to what was declared.</summary>
public sealed class LioPlan
{
    internal LioPlan(IReadOnlyList<PlanPart> parts, IReadOnlyList<LioFailure> failures, IReadOnlyList<LioFailure> warnings)
    {
        Parts = [.. parts.Where(part => part.Steps.Count > 0)];
        Failures = failures;
        Warnings = warnings;
    }

    /// <summary>All steps in their order.</summary>
    public IReadOnlyList<LioStep> Steps => [.. Parts.SelectMany(part => part.Steps)];

    /// <summary>Items that are left as they are, and why.</summary>
    public IReadOnlyList<LioFailure> Failures { get; }

    /// <summary>Differences that cannot be mended in place and do no harm.</summary>
    public IReadOnlyList<LioFailure> Warnings { get; }

    internal IReadOnlyList<PlanPart> Parts { get; }

    /// <summary>For people: each item with its steps as shell commands, then failures and warnings. No secrets.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        string? item = null;
        foreach (var part in Parts)
        {
            if (part.Item != item) text.AppendLine(item = part.Item);
            foreach (var step in part.Steps) text.Append("  ").AppendLine(step.ToString());
        }

        foreach (var failure in Failures) text.Append("failure: ").AppendLine(failure.ToString());
        foreach (var warning in Warnings) text.Append("warning: ").AppendLine(warning.ToString());
        if (text.Length == 0) text.AppendLine("Nothing to do.");
        return text.ToString();
    }
}
