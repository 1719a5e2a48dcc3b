using System.Diagnostics;
using System.Text.RegularExpressions;
using Gateway.Tests.Shared.Monitoring;
using Xunit;

namespace Gateway.Tests.Monitoring;

/// <summary>The alert rules by themselves: valid, each proved to fire and not to fire, each with a page that says what to do.</summary>
public sealed partial class RulesTests
{
    [SkippableFact, Trait("Category", "Server")]
    public async Task Rules_AsPromtoolReadsThem_AreValid() => Assert.Contains("SUCCESS", await PromtoolAsync("check", "rules", Deployed.Rules), StringComparison.Ordinal);

    [SkippableFact, Trait("Category", "Server")]
    public async Task Alerts_UnderTheConditionsOfTheirTests_FireWhenTheyShouldAndOnlyThen() => Assert.Contains("SUCCESS", await PromtoolAsync("test", "rules", Deployed.RulesTest), StringComparison.Ordinal);

    [Fact]
    public void Alerts_All_HaveTestsOfFiringAndOfNotFiring()
    {
        var tests = File.ReadAllText(Deployed.RulesTest);

        foreach (var alert in Alerts())
        {
            Assert.Matches($@"- alertname: {alert}\n +eval_time: \S+\n +exp_alerts:\n", tests);
            Assert.Matches($@"alertname: {alert}, eval_time: \S+, exp_alerts: \[\]", tests);
        }
    }

    [Fact]
    public void Alerts_All_HaveARunbookThatSaysWhatToDo()
    {
        var rules = File.ReadAllText(Deployed.Rules);

        foreach (var alert in Alerts())
        {
            Assert.Contains($"runbook_url: docs/runbooks/{alert}.md", rules, StringComparison.Ordinal);
            var page = File.ReadAllText(Deployed.PathOf("docs", "runbooks", alert + ".md"));
            Assert.All(["## What it means", "## What initiators see", "## How to look", "## What to do", "## What not to do"], heading => Assert.Contains(heading, page, StringComparison.Ordinal));
        }

        Assert.Equal(Alerts().Order(StringComparer.Ordinal), Directory.EnumerateFiles(Deployed.PathOf("docs", "runbooks"), "TcmuGateway*.md").Select(f => Path.GetFileNameWithoutExtension(f)!).Order(StringComparer.Ordinal));
    }

    /// <summary>The chart cannot reach files outside itself, so it has copies: 'make chart-files' makes them.</summary>
    [Fact]
    public void Chart_ItsCopies_AreTheOriginals()
    {
        Assert.Equal(File.ReadAllText(Deployed.Rules), File.ReadAllText(Deployed.PathOf("deploy", "helm", "files", "rules.yaml")));
        Assert.All(Deployed.Dashboards, d => Assert.Equal(File.ReadAllText(d), File.ReadAllText(Deployed.PathOf("deploy", "helm", "files", "dashboards", Path.GetFileName(d)))));
    }

    private static string[] Alerts() => [.. Alert().Matches(File.ReadAllText(Deployed.Rules)).Select(m => m.Groups[1].Value)];

    /// <summary>What promtool printed; it must have been content.</summary>
    private static async Task<string> PromtoolAsync(params string[] arguments)
    {
        Skip.If(PrometheusServer.SkipReason is not null, PrometheusServer.SkipReason);
        var start = new ProcessStartInfo("promtool", arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var promtool = Process.Start(start)!;
        var (output, error) = (promtool.StandardOutput.ReadToEndAsync(), promtool.StandardError.ReadToEndAsync());
        await promtool.WaitForExitAsync();
        Assert.True(promtool.ExitCode == 0, $"promtool {string.Join(' ', arguments)}: {await output}{await error}");
        return await output;
    }

    [GeneratedRegex(@"- alert: (\w+)")]
    private static partial Regex Alert();
}
