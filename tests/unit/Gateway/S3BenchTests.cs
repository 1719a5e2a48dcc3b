using System.CommandLine;
using Gateway.Bench;
using Gateway.Cli;
using Xunit;

namespace Gateway.Tests;

/// <summary>What <c>bench s3</c> makes of its options and of its measurements.</summary>
public sealed class S3BenchTests
{
    [Theory]
    [InlineData("bench s3", "--store")]
    [InlineData("bench s3 --bucket b --endpoint nonsense", "--endpoint")]
    [InlineData("bench s3 --bucket b --endpoint http://host/path", "Endpoint must be")]
    [InlineData("bench s3 --bucket b --access-key-id a", "SecretAccessKeyFile")]
    [InlineData("bench s3 --bucket b --size 8Mib7", "--size")]
    [InlineData("bench s3 --bucket b --size 0", "--size")]
    [InlineData("bench s3 --bucket b --concurrency 0", "--concurrency")]
    [InlineData("bench s3 --bucket b --seconds 0", "--seconds")]
    public async Task Options_Faulty_AreNamed(string line, string expected)
    {
        using var error = new StringWriter();

        var code = await CommandLine.Build().Parse(line).InvokeAsync(new InvocationConfiguration { Error = error });

        Assert.Equal(CommandLine.ExitFailed, code);
        Assert.Contains(expected, error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Pair_OfRounds_HasTheMedianOfTheirRatiosAndTheSumsOfTheirFigures()
    {
        var pair = S3CeilingPair.From([(Rate(100), Rate(80)), (Rate(50), Rate(50)), (Rate(100), Rate(10)), (Rate(100), Rate(90))]);

        Assert.Equal([0.8, 1, 0.1, 0.9], pair.RoundRatios);
        Assert.Equal(0.85, pair.Ratio);
        Assert.Equal(87.5, pair.Ceiling.MegabytesPerSecond);
        Assert.Equal(57.5, pair.Ours.MegabytesPerSecond);
        Assert.Equal(Math.Round(4 / 0.23, 3), pair.Ours.CpuSecondsPerGigabyte);
        Assert.Equal(500, pair.Ours.AllocatedBytesPerRequest);

        static TransferRate Rate(int megabytesPerSecond) => new(2, megabytesPerSecond * 1_000_000L, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1), 1000);
    }
}
