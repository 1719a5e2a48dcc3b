using Gateway.Serving;
using Xunit;

namespace Gateway.Tests;

/// <summary>A command's time limit stays below the kernel's.</summary>
public class DeviceDeadlineTests
{
    [Theory]
    [InlineData(20, 0, 20)]
    [InlineData(20, null, 20)]
    [InlineData(20, -1, 20)]
    [InlineData(20, 30, 18)]
    [InlineData(20, 100, 20)]
    [InlineData(20, 5, 3)]
    [InlineData(20, 1, 1)]
    public void Of_KernelsTimeout_IsSafelyBelowItAndNeverAboveTheConfigured(int configured, int? kernel, int expected) =>
        Assert.Equal(TimeSpan.FromSeconds(expected), DeviceDeadline.Of(TimeSpan.FromSeconds(configured), kernel is { } seconds ? TimeSpan.FromSeconds(seconds) : null));
}
