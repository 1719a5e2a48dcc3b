using Gateway.Volumes.Journal;
using Xunit;

namespace Gateway.Volumes.Tests.Journal;

public class BackPressureTests
{
    private const long Capacity = 1000;

    private readonly ManualTime _time = new();

    [Fact]
    public void Delay_SteadyOverload_SettlesWhereWritesComeAsFastAsSpaceDoes()
    {
        var pressure = new BackPressure(Capacity, 60, _time);
        for (var i = 0; i < 50; i++)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            pressure.Released(100); // Bytes a second.
        }

        // Half of the way from the mark to the end: 20 bytes that wait take as long as the store needs for 20.
        Assert.Equal(0.2, pressure.Delay(800, 20).TotalSeconds, 3);
        Assert.Equal(0.1, pressure.Delay(700, 20).TotalSeconds, 3);
        Assert.Equal(TimeSpan.Zero, pressure.Delay(600, 20));
    }

    [Fact]
    public void Delay_StoreSilent_GrowsWithTheExcessAlone()
    {
        var pressure = new BackPressure(Capacity, 60, _time);
        _time.Advance(TimeSpan.FromSeconds(1));
        pressure.Released(1_000_000);
        Assert.InRange(pressure.Delay(1000, 20).TotalSeconds, 0, 0.001);

        _time.Advance(TimeSpan.FromSeconds(11));

        Assert.Equal(0.5, pressure.Delay(800, 20).TotalSeconds, 3);
        Assert.Equal(BackPressure.DelayMax, pressure.Delay(1000, 20));
    }

    [Fact]
    public void Delay_AfterIdleness_IsNotTakenForASlowStore()
    {
        var pressure = new BackPressure(Capacity, 60, _time);
        _time.Advance(TimeSpan.FromHours(1));

        pressure.Begin();
        _time.Advance(TimeSpan.FromSeconds(1));
        pressure.Released(1000);

        Assert.Equal(0.02, pressure.Delay(800, 20).TotalSeconds, 3);
    }
}
