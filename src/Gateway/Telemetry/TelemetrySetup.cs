using System.Globalization;
using Gateway.Configuration;
using Gateway.Serving;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Logs;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Gateway.Telemetry;

/// <summary>Joins the gateway's metrics, traces and logs to OpenTelemetry: for Prometheus to fetch, and sent by OTLP where a collector is named.</summary>
internal static class TelemetrySetup
{
    public const string ServiceName = "tcmu-gateway";

    private const string EndpointVariable = "OTEL_EXPORTER_OTLP_ENDPOINT";

    /// <summary>Adds everything to a host that has an <see cref="IMetricSource"/>, a <see cref="TimeProvider"/> and the configuration.</summary>
    /// <param name="builder">The host.</param>
    /// <param name="telemetry">The settings.</param>
    /// <param name="environment">Variables by name: those of OpenTelemetry's own (OTEL_...) hold where the settings say nothing.</param>
    /// <param name="after">What metrics wait for when the host starts; null: nothing.</param>
    /// <exception cref="ConfigurationException">The headers' file cannot be read.</exception>
    public static void AddTelemetry(this IHostApplicationBuilder builder, TelemetrySection telemetry, IReadOnlyDictionary<string, string> environment, Func<IServiceProvider, Task>? after = null)
    {
        builder.Configuration.AddInMemoryCollection(environment.Where(v => v.Key.StartsWith("OTEL_", StringComparison.Ordinal)).Select(v => KeyValuePair.Create(v.Key, (string?)v.Value)));
        var headers = telemetry.Otlp.HeadersFile is { } file ? ReadHeaders(file) : null;
        var traced = IsSent("TRACES");
        builder.Services.AddMetrics();
        builder.Services.AddSingleton(s => new GatewayMetrics(s.GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>(), s.GetRequiredService<IMetricSource>(), telemetry, s.GetService<CommandTracing>(), s.GetRequiredService<TimeProvider>()));
        builder.Services.AddHostedService(s => new TelemetryStart(s, after?.Invoke(s) ?? Task.CompletedTask));
        if (traced)
        {
            builder.Services.AddSingleton(s => new CommandTracing(telemetry.Traces.Ratio, TimeSpan.FromMilliseconds(telemetry.Traces.SlowMilliseconds), s.GetRequiredService<TimeProvider>()));
            builder.Services.AddHostedService(s => new CommandSpans(s.GetRequiredService<CommandTracing>(), s.GetRequiredService<TimeProvider>()));
        }

        var open = builder.Services.AddOpenTelemetry()
            .ConfigureResource(r => r.AddService(ServiceName, serviceVersion: ThisProgram.Version, autoGenerateServiceInstanceId: false, serviceInstanceId: Environment.MachineName).AddEnvironmentVariableDetector())
            .WithMetrics(metrics =>
            {
                metrics.AddMeter(InstrumentBook.MeterPrefix + "*").AddRuntimeInstrumentation();
                if (telemetry.Listen is not null) metrics.AddPrometheusExporter(p => p.ScopeInfoEnabled = false);
                if (IsSent("METRICS"))
                {
                    metrics.AddOtlpExporter((otlp, reader) =>
                    {
                        Direct(otlp, "v1/metrics");
                        reader.PeriodicExportingMetricReaderOptions.ExportIntervalMilliseconds = (int)(telemetry.Otlp.MetricsEverySeconds * 1000);
                    });
                }
            });
        if (traced) open.WithTracing(traces => traces.AddSource(CommandTracing.SourceName).SetSampler(new AlwaysOnSampler()).AddOtlpExporter(o => Direct(o, "v1/traces"))); // What is sampled is decided before a span begins.
        if (IsSent("LOGS"))
        {
            builder.Logging.AddOpenTelemetry(logs =>
            {
                logs.IncludeFormattedMessage = true;
                logs.AddOtlpExporter(o => Direct(o, "v1/logs"));
            });
        }

        // Both would have metrics made before anything else starts, and they cost as much as the rest of a start. Settings are checked where they are read.
        builder.Services.Remove(builder.Services.Single(d => d.ServiceType == typeof(IHostedService) && d.ImplementationType?.Assembly == typeof(OpenTelemetryBuilder).Assembly));
        builder.Services.RemoveAll<IStartupValidator>();

        bool IsSent(string signal) => telemetry.Otlp.Endpoint is not null || environment.ContainsKey(EndpointVariable) || environment.ContainsKey($"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");

        void Direct(OtlpExporterOptions otlp, string path)
        {
            if (headers is not null) otlp.Headers = headers;
            if (telemetry.Otlp.Endpoint is not { } endpoint) return; // As the variables say.
            otlp.Protocol = telemetry.Otlp.Protocol == OtlpProtocol.Grpc ? OtlpExportProtocol.Grpc : OtlpExportProtocol.HttpProtobuf;
            otlp.Endpoint = telemetry.Otlp.Protocol == OtlpProtocol.Grpc ? new Uri(endpoint) : new Uri(endpoint.TrimEnd('/') + "/" + path);
        }
    }

    /// <summary>The file's headers as the exporter wants them: NAME=VALUE, separated by commas.</summary>
    private static string ReadHeaders(string path)
    {
        try
        {
            var lines = File.ReadAllText(path).Split(['\n', ','], StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
            if (Array.FindIndex(lines, l => l.IndexOf('=', StringComparison.Ordinal) <= 0) is var wrong and >= 0)
                throw new ConfigurationException(string.Create(CultureInfo.InvariantCulture, $"telemetry.otlp.headersFile: entry {wrong + 1} of '{path}' is not NAME=VALUE."));
            return string.Join(',', lines);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException($"telemetry.otlp.headersFile: '{path}' cannot be read: {e.Message}");
        }
    }
}
