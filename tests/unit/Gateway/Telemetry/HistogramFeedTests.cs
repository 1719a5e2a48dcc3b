using System.Diagnostics.Metrics;
using Gateway.Telemetry;
using Xunit;

namespace Gateway.Tests.Telemetry;

/// <summary>What histograms get of what the engine counts.</summary>
public sealed class HistogramFeedTests : IDisposable
{
    private readonly Meter _meter = new("test");
    private readonly MeterListener _listener = new();
    private readonly DurationCounts _counts = new();
    private readonly List<double> _records = [];
    private readonly HistogramFeed _feed = new();

    public HistogramFeedTests()
    {
        var histogram = _meter.CreateHistogram<double>("durations");
        _listener.SetMeasurementEventCallback<double>((_, value, _, _) => _records.Add(value));
        _listener.EnableMeasurementEvents(histogram);
        _feed.Add(histogram, () => [new BucketSeries(_counts, 0, [], _counts.ToArray)]);
    }

    public void Dispose()
    {
        _listener.Dispose();
        _meter.Dispose();
    }

    [Fact]
    public void Feed_OfWhatIsNew_RecordsItOnceAndAboutAsLongAsItWas()
    {
        _counts.Add(TimeSpan.FromMilliseconds(3));
        _counts.Add(TimeSpan.FromSeconds(2));

        _feed.Feed();
        _feed.Feed();

        Assert.Equal(2, _records.Count);
        Assert.InRange(_records[0], 0.003 * 0.85, 0.003 * 1.15);
        Assert.InRange(_records[1], 2 * 0.85, 2 * 1.15);
    }

    [Fact]
    public void Feed_OfMoreThanItRecords_KeepsTheShape()
    {
        for (var i = 0; i < 4 * HistogramFeed.RecordsMax; i++) _counts.Add(i % 10 == 0 ? 50_000_000 : 100_000);

        _feed.Feed();

        Assert.InRange(_records.Count, HistogramFeed.RecordsMax - 2, HistogramFeed.RecordsMax);
        Assert.InRange(_records.Count(r => r > 0.01) / (double)_records.Count, 0.099, 0.101);
    }

    [Fact]
    public void Feed_OfRareOnesAmongMany_ForgetsNone()
    {
        for (var round = 0; round < 9; round++)
        {
            for (var i = 0; i < 4 * HistogramFeed.RecordsMax; i++) _counts.Add(100_000);
            _counts.Add(TimeSpan.FromSeconds(1));
            _feed.Feed();
        }

        Assert.Equal(2, _records.Count(r => r > 0.5)); // Nine, of which each fourth is recorded like all others.
    }
}
