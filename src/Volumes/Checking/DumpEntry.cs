namespace Gateway.Volumes.Checking;

/// <summary>One thing that a dump shows.</summary>
/// <param name="Part">What it is: "volume", "epoch", "segment", "entry", "block", "damage", and so on.</param>
/// <param name="Fields">Names and values, in the order in which a person reads them.</param>
public sealed record DumpEntry(string Part, IReadOnlyList<KeyValuePair<string, string>> Fields);
