using Gateway.Backends.Resilience;
using Gateway.Health;
using Gateway.Serving;
using Xunit;

namespace Gateway.Tests.Health;

/// <summary>What of a gateway's state makes it unready, and what does not.</summary>
public sealed class HealthReportTests
{
    private static readonly StoreHealth Well = new(CircuitState.Closed, default, null, null, 0, 0, 0, 0, 0, 0, default, default);

    [Theory]
    [InlineData(nameof(VolumeCondition.Serving), nameof(HealthStatus.Ok))]
    [InlineData(nameof(VolumeCondition.Standby), nameof(HealthStatus.Degraded))]
    [InlineData(nameof(VolumeCondition.LeaseRunOut), nameof(HealthStatus.Degraded))]
    [InlineData(nameof(VolumeCondition.StoreAway), nameof(HealthStatus.Degraded))]
    [InlineData(nameof(VolumeCondition.Opening), nameof(HealthStatus.Unready))]
    [InlineData(nameof(VolumeCondition.NotOpen), nameof(HealthStatus.Unready))]
    [InlineData(nameof(VolumeCondition.Offline), nameof(HealthStatus.Unready))]
    [InlineData(nameof(VolumeCondition.RingLost), nameof(HealthStatus.Unready))]
    [InlineData(nameof(VolumeCondition.Stuck), nameof(HealthStatus.Unready))]
    public void Status_OfOneVolumeAmongOthers_IsThatOfTheWorst(string condition, string status)
    {
        var report = new HealthReport([Volume(VolumeCondition.Serving), Volume(Enum.Parse<VolumeCondition>(condition))], [ConditionOfStore.Of("local", Well)], null);

        Assert.Equal(Enum.Parse<HealthStatus>(status), report.Status);
    }

    /// <summary>A restart would not bring a store back, nor would another node.</summary>
    [Fact]
    public void Store_AwayOrRefusing_IsDegradedAndSaysHowLong()
    {
        var away = ConditionOfStore.Of("cloud", Well with { State = CircuitState.Open, AwayFor = TimeSpan.FromSeconds(75), LastError = "no route to host" });
        var refusing = ConditionOfStore.Of("cloud", Well with { RefusedFor = TimeSpan.FromSeconds(3), LastError = "the key is wrong" });
        var quiet = ConditionOfStore.Of("cloud", Well with { AwayFor = TimeSpan.FromMinutes(1), LastError = "timeout" }); // Too few requests for the breaker.

        Assert.All((ConditionOfStore[])[away, refusing, quiet], s => Assert.Equal(HealthStatus.Degraded, s.Status));
        Assert.Equal("it has done nothing for 75 s: no route to host", away.Reason);
        Assert.Contains("the key is wrong", refusing.Reason, StringComparison.Ordinal);
        Assert.Equal(HealthStatus.Ok, ConditionOfStore.Of("cloud", Well with { AwayFor = TimeSpan.FromSeconds(1) }).Status); // One failure of a moment ago.
    }

    /// <summary>A gateway that has looked at nothing yet has nothing wrong, and is not ready all the same.</summary>
    [Fact]
    public void Status_BeforeTheDevicesAreAttached_IsUnready()
    {
        Assert.Equal(HealthStatus.Unready, HealthReport.BeforeFirst.Status);
        Assert.Equal(["devices are being attached"], HealthReport.BeforeFirst.Reasons);
    }

    [Fact]
    public void Reasons_OfSeveralFaults_NameTheWorstFirst()
    {
        var report = new HealthReport(
            [Volume(VolumeCondition.Standby) with { Volume = "a/1", Reason = "elsewhere" }, Volume(VolumeCondition.Offline) with { Volume = "a/2", Reason = "disk" }],
            [ConditionOfStore.Of("a", Well with { AwayFor = TimeSpan.FromMinutes(1), LastError = "x" })], null);

        Assert.Equal(["volume a/2: disk", "volume a/1: elsewhere", "store a: it has done nothing for 60 s: x"], report.Reasons);
    }

    private static VolumeHealth Volume(VolumeCondition condition) => new("local/v", "tcm-user/0/d/gateway/local/v", condition, null, default, null);
}
