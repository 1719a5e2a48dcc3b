using System.Diagnostics.Metrics;
using Gateway.Configuration;

namespace Gateway.Telemetry;

/// <summary>All metrics of the gateway. Once a second it brings what the engine has counted into the histograms.</summary>
internal sealed class GatewayMetrics
{
    private static readonly TimeSpan FeedEvery = TimeSpan.FromSeconds(1);

    private readonly HistogramFeed _feed = new();
    private readonly TimeProvider _time;

    /// <param name="meters">Where meters come from.</param>
    /// <param name="source">What is measured.</param>
    /// <param name="telemetry">Prices.</param>
    /// <param name="tracing">Null: nothing is traced.</param>
    /// <param name="time">The clock.</param>
    public GatewayMetrics(IMeterFactory meters, IMetricSource source, TelemetrySection telemetry, CommandTracing? tracing, TimeProvider time)
    {
        _time = time;
        var book = new InstrumentBook(meters, _feed);
        DeviceMetrics.AddTo(book, source);
        VolumeMetrics.AddTo(book, source);
        SpaceMetrics.AddTo(book, source);
        StoreMetrics.AddTo(book, source, telemetry.Prices);
        book.Begin("Traces").Counter<long>("gateway.traces.dropped", "{trace}", "Commands whose trace was not kept, since there were too many at once.", [], () => (Measurement<long>[])[new(tracing?.Dropped ?? 0)]);
        Rows = book.Rows;
    }

    /// <summary>What there is, for docs/metrics.md.</summary>
    public IReadOnlyList<MetricRow> Rows { get; }

    /// <summary>Feeds the histograms until it is cancelled. What was counted before comes with the first feed: whoever collects must be there by then.</summary>
    public async Task RunAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(FeedEvery, _time);
        while (await timer.WaitForNextTickAsync(stoppingToken)) _feed.Feed();
    }
}
