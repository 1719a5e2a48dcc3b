using System.Diagnostics.Metrics;

namespace Gateway.Telemetry;

/// <summary>What a metric is.</summary>
internal enum MetricKind
{
    Counter,
    Gauge,
    Histogram,
}

/// <summary>A metric as docs/metrics.md has it.</summary>
internal sealed record MetricRow(string Section, string Name, MetricKind Kind, string Unit, string Description, IReadOnlyList<string> Attributes);

/// <summary>Makes the gateway's instruments, and remembers what it made: so that what is documented is what there is.</summary>
/// <param name="meters">Where meters come from.</param>
/// <param name="feed">Brings what the engine counts in buckets into histograms.</param>
internal sealed class InstrumentBook(IMeterFactory meters, HistogramFeed feed)
{
    /// <summary>What all meters of the gateway are called, with a section's name behind it.</summary>
    public const string MeterPrefix = "Gateway.";

    private readonly List<MetricRow> _rows = [];
    private bool _isFeeding;

    /// <summary>All that was made, in order.</summary>
    public IReadOnlyList<MetricRow> Rows => _rows;

    /// <summary>A part of the instruments, with a meter of its own.</summary>
    /// <param name="name">The part, such as Journal.</param>
    public Section Begin(string name) => new(this, name, meters.Create(MeterPrefix + name));

    /// <summary>One component's instruments.</summary>
    public sealed class Section(InstrumentBook book, string name, Meter meter)
    {
        public void Counter<T>(string metric, string unit, string description, string[] attributes, Func<IEnumerable<Measurement<T>>> read)
            where T : struct
        {
            Note(metric, MetricKind.Counter, unit, description, attributes);
            meter.CreateObservableCounter(metric, book.Feeding(read), unit, description);
        }

        public void Gauge<T>(string metric, string unit, string description, string[] attributes, Func<IEnumerable<Measurement<T>>> read)
            where T : struct
        {
            Note(metric, MetricKind.Gauge, unit, description, attributes);
            meter.CreateObservableGauge(metric, read, unit, description);
        }

        /// <summary>A histogram of durations that the engine counts in buckets by itself.</summary>
        /// <param name="metric">Its name.</param>
        /// <param name="description">What it measures.</param>
        /// <param name="attributes">The attributes' names.</param>
        /// <param name="bounds">Upper bounds of the buckets, in seconds.</param>
        /// <param name="read">What there is to be brought in.</param>
        public void Histogram(string metric, string description, string[] attributes, double[] bounds, Func<IEnumerable<BucketSeries>> read)
        {
            Note(metric, MetricKind.Histogram, "s", description, attributes);
            var histogram = meter.CreateHistogram(metric, "s", description, tags: null, new InstrumentAdvice<double> { HistogramBucketBoundaries = bounds });
            book.Add(histogram, read);
        }

        private void Note(string metric, MetricKind kind, string unit, string description, string[] attributes) =>
            book._rows.Add(new MetricRow(name, metric, kind, unit, description, attributes));
    }

    private void Add(Histogram<double> histogram, Func<IEnumerable<BucketSeries>> read) => feed.Add(histogram, read);

    /// <summary>Counters are read in every collection, before histograms are: what was counted up to now is in them then.</summary>
    private Func<IEnumerable<Measurement<T>>> Feeding<T>(Func<IEnumerable<Measurement<T>>> read)
        where T : struct
    {
        if (_isFeeding) return read;
        _isFeeding = true;
        return () =>
        {
            feed.Feed();
            return read();
        };
    }
}
