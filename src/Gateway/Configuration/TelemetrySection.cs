using System.Net;

namespace Gateway.Configuration;

/// <summary>How the daemon is seen.</summary>
internal sealed record TelemetrySection
{
    public const string DefaultListen = "127.0.0.1:9464";

    /// <summary>ADDRESS:PORT where health, the page and metrics are served over HTTP, for reading, to whoever can connect; null: nowhere. Default 127.0.0.1:9464.</summary>
    public string? Listen { get; set; } = DefaultListen;

    public IEnumerable<string> Faults()
    {
        if (Listen is { } listen && !(IPEndPoint.TryParse(listen, out var end) && end.Port != 0)) yield return "listen: must be ADDRESS:PORT, for example 0.0.0.0:9464 or [::]:9464, or null for none";
    }
}
