using Gateway.Cli;
using Xunit;

namespace Gateway.Tests;

public sealed class CommandLineTreeTests
{
    /// <summary>Two commands of one name make every command line fail, whatever it says.</summary>
    [Theory]
    [InlineData("serve", "--verbose")]
    [InlineData("volume", "create", "local/d1", "--size", "1GiB")]
    [InlineData("volume", "list", "--output", "json")]
    [InlineData("volume", "list", "--trash")]
    [InlineData("volume", "resize", "local/d1", "20GiB")]
    [InlineData("volume", "rename", "local/d1", "d2")]
    [InlineData("volume", "rm", "local/d1", "--keep", "0.5", "--force", "--yes")]
    [InlineData("volume", "restore", "local/d1")]
    [InlineData("volume", "purge", "--expired", "--output", "json")]
    [InlineData("bench", "--rw", "randwrite", "--bs", "4k", "--iodepth", "32", "--fsync", "1", "--target", "temporary")]
    [InlineData("bench", "--target", "temporary", "--fault", "unavailable=0.15,reset=0.15,slow=0.05:10s,latency=20ms,jitter=5ms,bandwidth=100")]
    [InlineData("blob-server", "local", "--listen", "https://0.0.0.0:7070", "--tls-certificate", "c", "--tls-key", "k", "--client-ca", "ca", "--tokens", "t")]
    [InlineData("blob-server", "check", "https://storage:7070", "--ca", "ca", "--token-file", "t")]
    [InlineData("bench", "s3", "--bucket", "b")]
    [InlineData("bench", "suite", "--only", "ring_null")]
    public void Parse_CommandOfTheManual_IsUnderstood(params string[] arguments) => Assert.Empty(CommandLine.Build().Parse(arguments).Errors);

    [Theory]
    [InlineData("unavailable", "'unavailable' is no fault")]
    [InlineData("broken=1", "There is no fault 'broken'")]
    [InlineData("unavailable=2", "unavailable: a share is from 0 to 1")]
    [InlineData("slow=0.1", "write how slow")]
    public void Parse_BenchWithABadFault_SaysWhatIsWrong(string fault, string message) =>
        Assert.Contains(message, Assert.Single(CommandLine.Build().Parse(["bench", "--target", "temporary", "--fault", fault]).Errors).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("4x")]
    [InlineData("1.5")]
    public void Parse_BenchWithABadSize_SaysHowToWriteOne(string size) =>
        Assert.Contains("with a unit", Assert.Single(CommandLine.Build().Parse(["bench", "--bs", size]).Errors).Message, StringComparison.Ordinal);
}
