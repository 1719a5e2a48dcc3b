using System.Net;

namespace Gateway.Configuration;

/// <summary>How the daemon is seen.</summary>
internal sealed record TelemetrySection
{
    public const string DefaultListen = "127.0.0.1:9464";

    /// <summary>ADDRESS:PORT where health, the page and metrics are served over HTTP, for reading, to whoever can connect; null: nowhere. Default 127.0.0.1:9464.</summary>
    public string? Listen { get; set; } = DefaultListen;

    /// <summary>Where metrics, traces and logs are sent. Default: nowhere.</summary>
    public OtlpSection Otlp { get; set; } = new();

    /// <summary>Which commands are traced, if traces are sent.</summary>
    public TracesSection Traces { get; set; } = new();

    /// <summary>What requests to stores of type s3 cost.</summary>
    public PricesSection Prices { get; set; } = new();

    public IEnumerable<string> Faults()
    {
        if (Listen is { } listen && !(IPEndPoint.TryParse(listen, out var end) && end.Port != 0)) yield return "listen: must be ADDRESS:PORT, for example 0.0.0.0:9464 or [::]:9464, or null for none";
        foreach (var fault in Otlp.Faults()) yield return $"otlp.{fault}";
        foreach (var fault in Traces.Faults()) yield return $"traces.{fault}";
        foreach (var fault in Prices.Faults()) yield return $"prices.{fault}";
    }
}
