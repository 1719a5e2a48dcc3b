using System.Text.Json.Serialization;

namespace Gateway.Doctor;

/// <summary>What all checks have come to.</summary>
/// <param name="Host">This machine's name.</param>
/// <param name="Version">This program's.</param>
/// <param name="Kernel">The kernel's release; null if it is not known.</param>
/// <param name="At">When.</param>
/// <param name="Worst">The worst severity.</param>
/// <param name="Findings">In order of the families.</param>
internal sealed record DoctorReport(string Host, string Version, string? Kernel, DateTimeOffset At, [property: JsonConverter(typeof(SeverityConverter))] Severity Worst, IReadOnlyList<Finding> Findings)
{
    public int Count(Severity severity) => Findings.Count(f => f.Severity == severity);
}

/// <summary>Runs families of checks, one after the other, so that none disturbs what another measures.</summary>
internal static class DoctorRun
{
    public static async Task<IReadOnlyList<Finding>> RunAsync(IEnumerable<ICheckFamily> families, CancellationToken cancellationToken)
    {
        var all = new List<Finding>();
        foreach (var family in families) all.AddRange(await family.RunAsync(cancellationToken));
        return all;
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, Converters = [typeof(SeverityConverter)])]
[JsonSerializable(typeof(DoctorReport))]
internal sealed partial class DoctorJson : JsonSerializerContext;
