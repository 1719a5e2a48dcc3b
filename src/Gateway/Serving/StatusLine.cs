using System.Globalization;
using System.Text;
using Gateway.Backends.Resilience;

namespace Gateway.Serving;

/// <summary>How one volume is served, for people.</summary>
/// <param name="Volume">STORE/VOLUME.</param>
/// <param name="Reason">Why it is not; null if it is.</param>
/// <param name="IsStandby">True if it is not because of another gateway, for which this one waits.</param>
internal readonly record struct ServedVolume(string Volume, string? Reason, bool IsStandby);

/// <summary>The state of the daemon in one line.</summary>
internal static class StatusLine
{
    /// <summary>Volumes of one kind that are named; of more only the number is told.</summary>
    public const int NamedMax = 3;

    /// <summary>Those served as a number, the others with their reasons, then the stores that no requests are sent to.</summary>
    public static string Of(IEnumerable<ServedVolume> volumes, IEnumerable<(string Name, StoreHealth Health)> stores)
    {
        var all = volumes.OrderBy(v => v.Volume, StringComparer.Ordinal).ToArray();
        var served = all.Count(v => v.Reason is null);
        var line = new StringBuilder().Append(CultureInfo.InvariantCulture, $"{served} volume{(served == 1 ? "" : "s")} served");
        Append(line, "standing by", [.. all.Where(v => v.Reason is not null && v.IsStandby)]);
        Append(line, "not open", [.. all.Where(v => v.Reason is not null && !v.IsStandby)]);
        foreach (var (name, health) in stores.Where(s => s.Health.State != CircuitState.Closed))
            line.Append(CultureInfo.InvariantCulture, $"; breaker open for store {name} since {health.Since:u}{(health.LastError is { } error ? $" ({error})" : "")}");
        return line.ToString();
    }

    private static void Append(StringBuilder line, string kind, ServedVolume[] volumes)
    {
        if (volumes.Length == 0) return;
        line.Append(CultureInfo.InvariantCulture, $", {volumes.Length} {kind}: ").AppendJoin(", ", volumes.Take(NamedMax).Select(v => $"{v.Volume} ({v.Reason})"));
        if (volumes.Length > NamedMax) line.Append(CultureInfo.InvariantCulture, $" and {volumes.Length - NamedMax} more");
    }
}
