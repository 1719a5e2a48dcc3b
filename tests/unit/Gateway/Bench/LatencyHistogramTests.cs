using Gateway.Bench;
using Xunit;

namespace Gateway.Tests.Bench;

public sealed class LatencyHistogramTests
{
    [Fact]
    public void Percentile_OfNothing_IsZero() => Assert.Equal(0, new LatencyHistogram().Percentile(0.99));

    [Theory]
    [InlineData(0)]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(65)]
    [InlineData(1_000)]
    [InlineData(123_456_789)]
    [InlineData(LatencyHistogram.NanosecondsMax)]
    public void Percentile_OfOneDuration_IsThatDuration(long nanoseconds)
    {
        var histogram = new LatencyHistogram();

        histogram.Record(nanoseconds);

        Assert.Equal(nanoseconds, histogram.Percentile(0.5));
        Assert.Equal(nanoseconds, histogram.MaxNanoseconds);
    }

    [Fact]
    public void Record_OutOfRange_CountsAsTheNearest()
    {
        var histogram = new LatencyHistogram();

        histogram.Record(-5);
        histogram.Record(long.MaxValue);

        Assert.Equal(0, histogram.Percentile(0.5));
        Assert.Equal(LatencyHistogram.NanosecondsMax, histogram.Percentile(1));
    }

    [Fact]
    public void Percentile_OfAnyDurations_IsWithinThreePercentOfTheExactOne()
    {
        var random = new Random(4);
        var histogram = new LatencyHistogram();
        var exact = new List<long>();
        for (var i = 0; i < 100_000; i++)
        {
            var nanoseconds = (long)Math.Exp(random.NextDouble() * 25);
            exact.Add(nanoseconds);
            histogram.Record(nanoseconds);
        }

        exact.Sort();
        foreach (var fraction in (double[])[0.01, 0.5, 0.9, 0.99, 0.999, 1])
        {
            var expected = exact[(int)Math.Ceiling(fraction * exact.Count) - 1];
            Assert.InRange(histogram.Percentile(fraction), expected, expected * 1.04 + 1);
        }
    }

    [Fact]
    public void Reset_ForgetsEverything()
    {
        var histogram = new LatencyHistogram();
        histogram.Record(100);

        histogram.Reset();

        Assert.Equal((0L, 0L, 0.0), (histogram.Count, histogram.MaxNanoseconds, histogram.MeanNanoseconds));
    }
}
