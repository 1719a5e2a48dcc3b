using Xunit;

namespace Gateway.Backends.S3.Tests;

public sealed class RetryAfterHeaderTests
{
    private const string Now = "Mon, 06 Jan 2025 10:00:00 GMT";

    [Theory]
    [InlineData("7", Now, 7.0)]
    [InlineData("0", null, 0.0)]
    [InlineData("Mon, 06 Jan 2025 10:00:30 GMT", Now, 30.0)]
    [InlineData("Mon, 06 Jan 2025 09:00:00 GMT", Now, 0.0)]
    [InlineData("Mon, 06 Jan 2025 10:00:30 GMT", "", null)]
    [InlineData("-1", Now, null)]
    [InlineData("soon", Now, null)]
    [InlineData("", Now, null)]
    [InlineData(null, null, null)]
    public void Parse_HeaderOfAnyForm_IsATimeToWaitOrNothing(string? value, string? date, double? seconds) =>
        Assert.Equal(seconds, RetryAfterHeader.Parse(value, date)?.TotalSeconds);
}
