using System.Text.Json;
using System.Text.Json.Serialization;

namespace Gateway.Configuration;

/// <summary>How OTLP is spoken (opentelemetry.io/docs/specs/otlp).</summary>
internal enum OtlpProtocol
{
    Grpc,
    Http,
}

/// <summary>"grpc" and "http", and no numbers.</summary>
internal sealed class OtlpProtocolConverter() : JsonStringEnumConverter<OtlpProtocol>(JsonNamingPolicy.CamelCase, allowIntegerValues: false);

/// <summary>Where metrics, traces and logs are sent. The variables OTEL_EXPORTER_OTLP_* of OpenTelemetry hold where nothing is set here.</summary>
internal sealed record OtlpSection
{
    /// <summary>The collector, http(s)://HOST[:PORT]. Default none: nothing is sent, unless a variable says where to.</summary>
    public string? Endpoint { get; set; }

    /// <summary>"grpc" or "http" (protobuf). Default grpc.</summary>
    public OtlpProtocol Protocol { get; set; } = OtlpProtocol.Grpc;

    /// <summary>A file of headers, such as an access token: NAME=VALUE, one a line or separated by commas. Absolute. Read at the start.</summary>
    public string? HeadersFile { get; set; }

    /// <summary>Seconds between two transmissions of metrics. Default 15.</summary>
    public double MetricsEverySeconds { get; set; } = 15;

    public IEnumerable<string> Faults()
    {
        if (Endpoint is { } endpoint && !(Uri.TryCreate(endpoint, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" && uri.UserInfo.Length == 0))
            yield return "endpoint: must be http(s)://HOST[:PORT], for example http://collector:4317; secrets go into headersFile";
        if (HeadersFile is { } file && !Path.IsPathRooted(file)) yield return "headersFile: must be an absolute path";
        if (MetricsEverySeconds is not (>= 0.1 and <= 3600)) yield return "metricsEverySeconds: must be between 0.1 and 3600";
    }
}

/// <summary>Which commands are traced.</summary>
internal sealed record TracesSection
{
    /// <summary>Share of the commands that are sampled, 0 to 1. Default 0.001.</summary>
    public double Ratio { get; set; } = 0.001;

    /// <summary>Milliseconds from which on a command's trace is kept in any case. Default 500.</summary>
    public double SlowMilliseconds { get; set; } = 500;

    public IEnumerable<string> Faults()
    {
        if (Ratio is not (>= 0 and <= 1)) yield return "ratio: must be between 0 and 1";
        if (SlowMilliseconds is not (>= 1 and <= 600_000)) yield return "slowMilliseconds: must be between 1 and 600000";
    }
}
