using Xunit;
using Xunit.Abstractions;

namespace Gateway.Integration.Tests;

/// <summary>The native executable on a stock kernel with the real LIO, initiator and tools, in the lab. One guest at a time.</summary>
[Trait("Category", "Lab")]
public class LabTests(ITestOutputHelper output)
{
    /// <summary>Set to 1 where the lab must work: its absence is then a failure instead of a reason to skip.</summary>
    private const string RequireVariable = "REQUIRE_LAB";

    private static readonly string[] Tools = ["qemu-system-x86_64", "busybox", "cpio", "fio", "iscsiadm", "iscsi-test-cu", "mkfs.ext4"];

    [SkippableTheory]
    [InlineData("local")]
    [InlineData("s3")]
    public async Task Demo_GatewayKilledWhileWriting_EveryCheckHolds(string store)
    {
        RequireLab();

        await AssertPassesAsync(Repository.PathOf("scripts", "demo.sh"), [], TimeSpan.FromMinutes(6), ("STORE", store));
    }

    [SkippableFact]
    public async Task Fio_FiveKillsAtRandomMoments_NoErrorAndEveryBlockWhole()
    {
        RequireLab();

        await AssertPassesAsync(Lab, ["-t", "500", "-e", "GATEWAY", "--", Scenario("fio-kills.sh"), "60", "5"], TimeSpan.FromMinutes(9), ("GATEWAY", Repository.Gateway));
    }

    [SkippableFact]
    public async Task PowerCut_WithAndWithoutTheJournal_WhatWasPromisedIsThere()
    {
        RequireLab();

        await AssertPassesAsync(Repository.PathOf("tests", "lab", "powercut"), ["-s", "15"], TimeSpan.FromMinutes(10), ("GATEWAY", Repository.Gateway));
    }

    [SkippableFact]
    public async Task BadInput_AtTheDevice_IsRefusedClearlyAndLosesNothing()
    {
        RequireLab();

        await AssertPassesAsync(Lab, ["-t", "300", "-e", "GATEWAY", "--", Scenario("bad-input.sh")], TimeSpan.FromMinutes(6), ("GATEWAY", Repository.Gateway));
    }

    /// <summary>The short form of some rows of <c>make chaos</c>; the alerts that a Prometheus raises meanwhile are part of it.</summary>
    [SkippableFact]
    public async Task Chaos_StoreAwayOrWrong_IsSenseDataAndNothingIsLost()
    {
        RequireLab();

        await AssertPassesAsync(
            Repository.PathOf("tests", "lab", "chaos"), ["outage-writes", "bucket-gone", "damaged", "policies"], TimeSpan.FromMinutes(11), ("GATEWAY", Repository.Gateway), ("CHAOS_SHORT", "1"));
    }

    [SkippableFact]
    public async Task ByHand_AsItStandsInTheDocument_Works()
    {
        RequireLab();

        await AssertPassesAsync(Lab, ["-t", "300", "-e", "GATEWAY", "--", Scenario("by-hand.sh")], TimeSpan.FromMinutes(6), ("GATEWAY", Repository.Gateway));
    }

    [SkippableFact]
    public async Task Conformance_LibiscsiSuite_FailsOnlyWhereTcmuMust()
    {
        RequireLab();

        await AssertPassesAsync(Lab, ["-t", "500", "-e", "GATEWAY", "--", Scenario("conformance.sh")], TimeSpan.FromMinutes(9), ("GATEWAY", Repository.Gateway));
    }

    /// <summary>Half-made states, foreign objects, targetcli: <c>target apply</c>, which the daemon's keeper uses, too.</summary>
    [SkippableFact]
    public async Task Targets_DeclaredKilledDamagedAndTakenAway_NothingOfOthersIsTouched()
    {
        RequireLab();

        await AssertPassesAsync(Lab, ["-t", "500", "-e", "GATEWAY", "--", Scenario("targets.sh")], TimeSpan.FromMinutes(9), ("GATEWAY", Repository.Gateway));
    }

    /// <summary>One configuration file with a volume in each kind of store, over two boots.</summary>
    [SkippableFact]
    public async Task Operate_OneFileWithEveryStore_ComesUpSurvivesAndGoes()
    {
        RequireLab();

        await AssertPassesAsync(Repository.PathOf("tests", "lab", "operate"), [], TimeSpan.FromMinutes(12), ("GATEWAY", Repository.Gateway));
    }

    /// <summary>docs/getting-started.md prints what stands there.</summary>
    [SkippableFact]
    public async Task FirstHour_EveryCommandOfTheDocument_PrintsWhatStandsThere()
    {
        RequireLab();

        await AssertPassesAsync(Repository.PathOf("tests", "lab", "first-hour"), [], TimeSpan.FromMinutes(10), ("GATEWAY", Repository.Gateway));
    }

    /// <summary>An image of 1 GiB, a quarter of it data; 'make import-proof' takes 4 GiB.</summary>
    [SkippableFact]
    public async Task Import_KilledAndInterrupted_IsTheImage()
    {
        RequireLab();

        await AssertPassesAsync(Repository.PathOf("tests", "import", "interrupted"), ["1"], TimeSpan.FromMinutes(6), ("GATEWAY", Repository.Gateway));
    }

    /// <summary>The chart deploy/helm, rendered, its modules loaded by its init container, and replaced as a rolling update does it.</summary>
    [SkippableFact]
    public async Task Pod_OfTheChartReplacedUnderFio_NoErrorAndEveryBlockWhole()
    {
        RequireLab();

        await AssertPassesAsync(Repository.PathOf("tests", "lab", "pod"), [], TimeSpan.FromMinutes(17), ("GATEWAY", Repository.Gateway));
    }

    private static string Lab => Repository.PathOf("tests", "lab", "lab");

    private static string Scenario(string name) => Repository.PathOf("tests", "lab", "scenarios", name);

    private static void RequireLab()
    {
        if (Environment.GetEnvironmentVariable(RequireVariable) == "1") return;
        Skip.If(Repository.Gateway.Length == 0, "there is no native executable: make publish");
        var path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':');
        var missing = Tools.Where(t => !path.Append("/usr/sbin").Any(d => File.Exists(Path.Combine(d, t)))).ToArray();
        Skip.If(missing.Length > 0, $"no {string.Join(", ", missing)} here: scripts/packages.sh lab");
    }

    private async Task AssertPassesAsync(string program, string[] arguments, TimeSpan limit, params (string Name, string Value)[] environment)
    {
        var result = await Command.RunAsync(program, arguments, limit, environment);
        output.WriteLine(result.ToString());
        Assert.True(result.ExitCode == 0, $"{Path.GetFileName(program)} {string.Join(' ', arguments)}: {result}");
    }
}
