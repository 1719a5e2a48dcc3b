using System.Text.Json.Serialization;

namespace Gateway.Doctor;

/// <summary>How bad a finding is.</summary>
internal enum Severity
{
    /// <summary>As it should be.</summary>
    Ok,

    /// <summary>Worth knowing; nothing suffers from it as it is.</summary>
    Note,

    /// <summary>Makes something slow, or will make it fail.</summary>
    Warning,

    /// <summary>Something does not work, or may lose data.</summary>
    Fault,
}

/// <summary>What one look has come to.</summary>
/// <param name="Family">The kind of check: kernel, devices, disk, ...</param>
/// <param name="Check">What was looked at.</param>
/// <param name="Severity">How bad it is.</param>
/// <param name="Measured">What was seen, with figures where there are any.</param>
/// <param name="Remedy">What to do about it; null if nothing.</param>
/// <param name="Looked">False if it could not be looked at: <paramref name="Measured"/> says why.</param>
internal sealed record Finding(string Family, string Check, [property: JsonConverter(typeof(SeverityConverter))] Severity Severity, string Measured, string? Remedy, bool Looked = true);

/// <summary>"ok", "note", "warning" and "fault".</summary>
internal sealed class SeverityConverter() : JsonStringEnumConverter<Severity>(System.Text.Json.JsonNamingPolicy.CamelCase, allowIntegerValues: false);

/// <summary>Gathers the findings of one family of checks.</summary>
internal sealed class Findings(string family)
{
    private readonly List<Finding> _all = [];

    public IReadOnlyList<Finding> All => _all;

    public void Ok(string check, string measured) => _all.Add(new Finding(family, check, Severity.Ok, measured, null));

    public void Note(string check, string measured, string? remedy) => _all.Add(new Finding(family, check, Severity.Note, measured, remedy));

    public void Warning(string check, string measured, string remedy) => _all.Add(new Finding(family, check, Severity.Warning, measured, remedy));

    public void Fault(string check, string measured, string remedy) => _all.Add(new Finding(family, check, Severity.Fault, measured, remedy));

    public void Add(Finding finding) => _all.Add(finding);

    /// <summary>A note that nothing can be said.</summary>
    public void NotLooked(string check, string why, string? remedy) => _all.Add(new Finding(family, check, Severity.Note, $"could not be looked at: {why}", remedy, Looked: false));
}

/// <summary>One family of checks. It changes nothing, and never hangs: what it waits for has a limit.</summary>
internal interface ICheckFamily
{
    /// <summary>One word, by which it is chosen with --only.</summary>
    string Name { get; }

    /// <summary>Looks. What cannot be looked at is a finding, too.</summary>
    Task<IReadOnlyList<Finding>> RunAsync(CancellationToken cancellationToken);
}
