using Gateway.Tests.Shared.Monitoring;
using Xunit;

namespace Gateway.Tests.Monitoring;

/// <summary>The verdict on a run's alerts.</summary>
public sealed class AlertTimelineTests
{
    private static readonly string[] Marks =
    [
        "1000000 row outage", "1010000 begin the store is paused least=40 must=StoreAway may=Slow", "1070000 end", "1100000 row quiet", "1200000 done",
    ];

    [Fact]
    public void Timeline_AlertInTime_IsContent() => Assert.Empty(Judge(new AlertFiring("StoreAway", "s3", 1035, 1080)).Problems);

    [Fact]
    public void Timeline_NoAlert_SaysThatItIsMissing() => Assert.Equal("outage: StoreAway does not fire, though 'the store is paused'.", Assert.Single(Judge().Problems));

    [Fact]
    public void Timeline_AlertAfterMoreThanAMinute_SaysThatItIsLate() => Assert.Contains("65.0 s after", Assert.Single(Judge(new AlertFiring("StoreAway", "s3", 1075, 1080)).Problems), StringComparison.Ordinal);

    [Theory]
    [InlineData("StoreAway", 1150)]
    [InlineData("Down", 1035)]
    [InlineData("Slow", 1005)]
    public void Timeline_AlertWithoutACause_IsNamed(string alert, double from) =>
        Assert.Contains($"{alert} (s3) fires", Assert.Single(Judge(new("StoreAway", "s3", 1035, 1080), new(alert, "s3", from, from + 10)).Problems), StringComparison.Ordinal);

    [Fact]
    public void Timeline_AlertThatMayFollow_IsContent() => Assert.Empty(Judge(new("StoreAway", "s3", 1035, 1080), new("Slow", "s3", 1190, 1200)).Problems);

    [Fact]
    public void Timeline_AlertThatIsNotJudged_IsShownAndNoProblem()
    {
        var (rows, conditions) = TimelineMarks.Parse(Marks);
        var timeline = new AlertTimeline(rows, conditions, [new("StoreAway", "s3", 1035, 1080), new("Latency", "s3/v", 1005, 1010)]) { NotJudged = ["Latency"] };

        Assert.Empty(timeline.Problems);
        Assert.Contains("Latency", timeline.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Timeline_ConditionThatIsOverSoon_NeedsNoAlert()
    {
        var (rows, conditions) = TimelineMarks.Parse(["1000000 row outage", "1010000 begin the store is paused least=40 must=StoreAway may=", "1030000 end", "1100000 done"]);

        Assert.Empty(new AlertTimeline(rows, conditions, []).Problems);
    }

    [Fact]
    public void Timeline_InWords_ShowsEachRowAndEachAlert()
    {
        var text = Judge(new AlertFiring("StoreAway", "s3", 1035, 1080)).ToString();

        Assert.Contains("10 to   70 s  the store is paused: StoreAway after 25 s", text, StringComparison.Ordinal);
        Assert.Contains("nothing to tell, and no alert", text, StringComparison.Ordinal);
        Assert.Contains("✔ every alert", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Marks_ThatMakeNoSense_AreRefused() => Assert.Throws<FormatException>(() => TimelineMarks.Parse(["1000 begin something least=0 must= may="]));

    private static AlertTimeline Judge(params AlertFiring[] firings)
    {
        var (rows, conditions) = TimelineMarks.Parse(Marks);
        return new AlertTimeline(rows, conditions, firings);
    }
}
