using Gateway.Backends.Resilience;
using Gateway.Configuration;
using Xunit;

namespace Gateway.Tests;

/// <summary>A store's resilience settings reach its decorator, and those that cannot hold are refused by the name that stands in the file.</summary>
public sealed class ResilienceConfigurationTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    [Fact]
    public void Load_NoSettings_HasTheDefaults() => Assert.Equal(new ResilienceOptions(), Load("{}").Stores["s"].Resilience.ToOptions());

    [Theory]
    [InlineData("""{ "attemptTimeoutSeconds": 0 }""", "stores.s.resilience.attemptTimeoutSeconds: must be between 0.1 s and 5 minutes")]
    [InlineData("""{ "attemptTimeoutSeconds": 1e300 }""", "stores.s.resilience.attemptTimeoutSeconds: ")]
    [InlineData("""{ "retries": 21 }""", "stores.s.resilience.retries: must be between 0 and 20")]
    [InlineData("""{ "breakDurationSeconds": 2.1 }""", "stores.s.resilience.breakDurationSeconds: must be between 0.1 s and 2 s")]
    [InlineData("""{ "hedgeDelaySeconds": 8 }""", "stores.s.resilience.hedgeDelaySeconds: ")]
    [InlineData("""{ "refusedGraceSeconds": 3601 }""", "stores.s.resilience.refusedGraceSeconds: must be between 0 and 1 hour")]
    [InlineData("""{ "failureRatio": 1.5 }""", "stores.s.resilience.failureRatio: must be between 0.1 and 1")]
    [InlineData("""{ "hedge": 1 }""", "hedge")]
    public void Load_SettingThatCannotHold_IsRefusedByName(string resilience, string fault) =>
        Assert.Contains(fault, Assert.Throws<ConfigurationException>(() => Load(resilience)).Message, StringComparison.Ordinal);

    [Fact]
    public void Load_AllSettings_ReachTheOptions()
    {
        var section = Load("""
            {
              "attemptTimeoutSeconds": 5, "retries": 7, "retryDelayMinSeconds": 0.2, "retryDelayMaxSeconds": 4, "retryAfterMaxSeconds": 9, "failureRatio": 0.5, "samplingWindowSeconds": 6,
              "minimumThroughput": 8, "breakDurationSeconds": 1.5, "foregroundRequests": 100, "backgroundRequests": 50, "queueMax": 10, "hedgeDelaySeconds": 0.25, "hedgePercentile": 95, "refusedGraceSeconds": 90
            }
            """).Stores["s"];

        var expected = new ResilienceOptions
        {
            AttemptTimeout = TimeSpan.FromSeconds(5),
            Retries = 7,
            RetryDelayMin = TimeSpan.FromSeconds(0.2),
            RetryDelayMax = TimeSpan.FromSeconds(4),
            RetryAfterMax = TimeSpan.FromSeconds(9),
            FailureRatio = 0.5,
            SamplingWindow = TimeSpan.FromSeconds(6),
            MinimumThroughput = 8,
            BreakDuration = TimeSpan.FromSeconds(1.5),
            ForegroundRequests = 100,
            BackgroundRequests = 50,
            QueueMax = 10,
            HedgeDelay = TimeSpan.FromSeconds(0.25),
            HedgePercentile = 95,
            RefusedGrace = TimeSpan.FromSeconds(90),
        };
        Assert.Equal(expected, section.Resilience.ToOptions());
        Assert.Equal(150, section.ToS3Options().MaxConnections);
    }

    [Fact]
    public async Task StoreSet_BothFaces_AreOfOneStore()
    {
        await using var stores = new StoreSet(Load("{}"), TimeProvider.System);

        Assert.Same(stores.GetResilient("s").Foreground, stores.Get("s"));
        Assert.Same(stores.GetResilient("s").Background, stores.GetBackground("s"));
    }

    public void Dispose() => File.Delete(_path);

    private GatewayConfiguration Load(string resilience)
    {
        File.WriteAllText(_path, $$"""{ "stores": { "s": { "type": "file", "path": "/srv/s", "resilience": {{resilience}} } } }""");
        return GatewayConfiguration.Load(_path);
    }
}
