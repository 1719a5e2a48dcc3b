using System.Globalization;
using Gateway.Lio;

namespace Gateway.Targets;

/// <summary>The session parameters of the configuration, which has them under the names of RFC 7143 as texts.</summary>
internal static class SessionSettings
{
    private static readonly Dictionary<string, Func<SessionParameters, string, SessionParameters?>> Known = new(StringComparer.OrdinalIgnoreCase)
    {
        ["MaxRecvDataSegmentLength"] = (s, v) => Number(v) is { } n ? s with { MaxRecvDataSegmentLength = n } : null,
        ["MaxXmitDataSegmentLength"] = (s, v) => Number(v) is { } n ? s with { MaxXmitDataSegmentLength = n } : null,
        ["MaxBurstLength"] = (s, v) => Number(v) is { } n ? s with { MaxBurstLength = n } : null,
        ["FirstBurstLength"] = (s, v) => Number(v) is { } n ? s with { FirstBurstLength = n } : null,
        ["InitialR2T"] = (s, v) => YesNo(v) is { } b ? s with { InitialR2T = b } : null,
        ["ImmediateData"] = (s, v) => YesNo(v) is { } b ? s with { ImmediateData = b } : null,
        ["MaxOutstandingR2T"] = (s, v) => Number(v) is { } n ? s with { MaxOutstandingR2T = n } : null,
        ["DefaultTime2Wait"] = (s, v) => Number(v) is { } n ? s with { DefaultTime2WaitSeconds = n } : null,
        ["DefaultTime2Retain"] = (s, v) => Number(v) is { } n ? s with { DefaultTime2RetainSeconds = n } : null,
        ["CommandDepth"] = (s, v) => Number(v) is { } n ? s with { CommandDepth = n } : null,
    };

    /// <summary>Ours, but for what the settings say otherwise.</summary>
    /// <param name="settings">By name.</param>
    /// <param name="faults">What is wrong with them.</param>
    public static SessionParameters Parse(IReadOnlyDictionary<string, string> settings, out List<string> faults)
    {
        var parameters = new SessionParameters();
        faults = [];
        foreach (var (name, value) in settings)
        {
            if (!Known.TryGetValue(name, out var set)) faults.Add($"parameters.{name}: there is no such parameter; there are {string.Join(", ", Known.Keys)}");
            else if (set(parameters, value) is { } next) parameters = next;
            else faults.Add($"parameters.{name}: '{value}' must be a whole number, or Yes or No for InitialR2T and ImmediateData");
        }

        return parameters;
    }

    private static int? Number(string value) => int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;

    private static bool? YesNo(string value) => value.ToUpperInvariant() switch { "YES" => true, "NO" => false, _ => null };
}
