using System.ComponentModel.DataAnnotations;
using Xunit;

namespace Gateway.Backends.Resilience.Tests;

public sealed class OptionsTests
{
    [Fact]
    public void Options_Defaults_AreValid() => Assert.Empty(Faults(new ResilienceOptions()));

    [Fact]
    public void Options_EachOutOfItsRange_IsNamed()
    {
        var options = new ResilienceOptions
        {
            AttemptTimeout = TimeSpan.Zero,
            Retries = 21,
            RetryDelayMin = TimeSpan.Zero,
            RetryDelayMax = TimeSpan.FromHours(1),
            RetryAfterMax = TimeSpan.FromHours(1),
            FailureRatio = double.NaN,
            SamplingWindow = TimeSpan.Zero,
            MinimumThroughput = 1,
            BreakDuration = TimeSpan.FromSeconds(3),
            ForegroundRequests = 0,
            BackgroundRequests = 0,
            QueueMax = -1,
            HedgeDelay = TimeSpan.FromSeconds(9),
            HedgePercentile = 100,
            RefusedGrace = TimeSpan.FromHours(2),
        };

        var named = Faults(options);

        Assert.Equal(typeof(ResilienceOptions).GetProperties().Select(p => p.Name).Order(), named.Order());
        Assert.Throws<ArgumentException>(() => new ResilientWorld(options));
    }

    private static string[] Faults(ResilienceOptions options) => [.. options.Validate(new ValidationContext(options)).SelectMany(f => f.MemberNames)];
}
