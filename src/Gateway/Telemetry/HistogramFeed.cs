using System.Diagnostics.Metrics;

namespace Gateway.Telemetry;

/// <summary>Durations of one kind, counted by the engine.</summary>
/// <param name="Owner">What counts them: another object's counts begin at zero.</param>
/// <param name="Part">Which of the owner's counts.</param>
/// <param name="Tags">The attributes.</param>
/// <param name="Read">A count for each bucket of <see cref="LatencyBuckets"/>.</param>
internal readonly record struct BucketSeries(object Owner, int Part, KeyValuePair<string, object?>[] Tags, Func<long[]> Read);

/// <summary>
/// Brings what the engine counts in buckets into histograms: what is new since the last time is recorded, each duration as the middle of its bucket. Thread safe.
/// </summary>
/// <remarks>
/// The engine counts a duration in a few nanoseconds; a histogram takes fifty and more for each record, too much for a command's way. Recording in arrears, it is still work for
/// each command. So of more than <see cref="RecordsMax"/> new ones of a series each n-th is recorded, in every bucket alike, and what is left over carried on: the shape
/// stays, the count does not. Counters have all of them.
/// </remarks>
internal sealed class HistogramFeed
{
    /// <summary>Records of a series in one go; it goes about once a second.</summary>
    public const int RecordsMax = 25_000;

    private readonly Lock _gate = new();
    private readonly List<(Histogram<double> Histogram, Func<IEnumerable<BucketSeries>> Read)> _sources = [];
    private Dictionary<(Histogram<double>, object, int), State> _states = [];

    public void Add(Histogram<double> histogram, Func<IEnumerable<BucketSeries>> read)
    {
        lock (_gate) _sources.Add((histogram, read));
    }

    /// <summary>Records what is new.</summary>
    public void Feed()
    {
        lock (_gate)
        {
            var states = new Dictionary<(Histogram<double>, object, int), State>(_states.Count);
            foreach (var (histogram, read) in _sources)
            {
                if (!histogram.Enabled) continue; // Nobody listens: nothing is forgotten either.
                foreach (var series in read())
                {
                    var key = (histogram, series.Owner, series.Part);
                    var state = _states.GetValueOrDefault(key) ?? new State();
                    state.Feed(histogram, series.Read(), series.Tags);
                    states[key] = state;
                }
            }

            _states = states; // Without those whose owner is gone.
        }
    }

    private sealed class State
    {
        private readonly long[] _fed = new long[LatencyBuckets.Count];
        private readonly double[] _left = new double[LatencyBuckets.Count];

        public void Feed(Histogram<double> histogram, long[] counts, KeyValuePair<string, object?>[] tags)
        {
            long total = 0;
            for (var i = 0; i < counts.Length; i++) total += counts[i] - _fed[i];
            if (total <= 0) return;
            var share = total <= RecordsMax ? 1 : (double)RecordsMax / total;
            for (var i = 0; i < counts.Length; i++)
            {
                var records = ((counts[i] - _fed[i]) * share) + _left[i];
                _fed[i] = counts[i];
                _left[i] = records - Math.Floor(records);
                var seconds = LatencyBuckets.MiddleNanoseconds(i) / 1e9;
                for (var left = (long)records; left > 0; left--) histogram.Record(seconds, tags);
            }
        }
    }
}
