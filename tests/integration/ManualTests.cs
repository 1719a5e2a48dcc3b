using Xunit;

namespace Gateway.Integration.Tests;

/// <summary>The manual pages, as the programs that show them have them.</summary>
public sealed class ManualTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(1);

    [SkippableTheory]
    [InlineData("tcmu-gateway.8")]
    [InlineData("tcmu-gateway.json.5")]
    public async Task Page_Linted_HasNothingToComplainOf(string page)
    {
        Require("mandoc");

        var result = await Command.RunAsync("mandoc", ["-Tlint", "-Wwarning", Repository.PathOf("docs", "man", page)], Limit);

        Assert.True(result.ExitCode == 0 && result.Output.Length == 0, result.ToString());
    }

    [SkippableFact]
    public async Task Page_Shown_NamesEveryCommand()
    {
        Require("mandoc");

        var shown = Plain((await Command.RunAsync("mandoc", ["-Tutf8", Repository.PathOf("docs", "man", "tcmu-gateway.8")], Limit)).Output);

        foreach (var command in (string[])["serve", "volume create", "volume rm", "target export", "doctor", "completion", "config schema", "events"])
            Assert.Contains($"tcmu-gateway {command}", shown, StringComparison.Ordinal);
    }

    /// <summary>Without the overstriking that makes bold.</summary>
    private static string Plain(string shown) => System.Text.RegularExpressions.Regex.Replace(shown, ".\b", "");

    private static void Require(string program) => Skip.If(
        !Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(p => File.Exists(Path.Combine(p, program))) && Environment.GetEnvironmentVariable("REQUIRE_CLI") != "1", $"there is no {program}: make packages-cli");
}
