using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;

namespace Gateway.Telemetry;

/// <summary>
/// Makes what collects: traces at once, since commands are sampled when they come; metrics later. Each of some sixty instruments gets room for 2,000 series
/// (OpenTelemetry's cardinality limit) when metrics are made: more than ten megabytes, and a fifth of a start's processor time, while initiators wait for their volumes. Nothing is lost, since the
/// engine counts from the start.
/// </summary>
/// <param name="services">The host's.</param>
/// <param name="after">What metrics wait for.</param>
internal sealed class TelemetryStart(IServiceProvider services, Task after) : BackgroundService
{
    public override Task StartAsync(CancellationToken cancellationToken)
    {
        _ = services.GetService<TracerProvider>();
        return base.StartAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await after.WaitAsync(stoppingToken);
            _ = services.GetRequiredService<MeterProvider>();
            await services.GetRequiredService<GatewayMetrics>().RunAsync(stoppingToken);
        }
        catch (OperationCanceledException)
        {
            // Asked to stop.
        }
    }
}
