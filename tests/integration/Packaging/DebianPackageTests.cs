using Xunit;
using Xunit.Abstractions;

namespace Gateway.Integration.Tests.Packaging;

/// <summary>The Debian package, installed in a clean Debian, and its unit under a real systemd.</summary>
[Trait("Category", "Package")]
public sealed class DebianPackageTests(ITestOutputHelper output)
{
    /// <summary>Set to 1 where packages must be made: what is missing is then a failure instead of a reason to skip.</summary>
    public const string RequireVariable = "REQUIRE_PACKAGING";

    private static readonly string[] Tools = ["dh", "dpkg-buildpackage", "debootstrap", "unshare"];

    [SkippableFact]
    public async Task Package_InstalledUpgradedRemovedPurged_KeepsWhatIsThePeoples()
    {
        Require();
        await MakeAsync("0.0.1");
        await MakeAsync("0.0.2");

        var result = await Command.RunAsync(
            Repository.PathOf("tests", "packaging", "root"),
            [Repository.PathOf("artifacts", "deb"), "--", "/shared/install", "tcmu-gateway_0.0.1_amd64.deb", "tcmu-gateway_0.0.2_amd64.deb"],
            TimeSpan.FromMinutes(10));

        output.WriteLine(result.ToString());
        Assert.True(result.ExitCode == 0, result.ToString());
        foreach (var line in result.Output.Split('\n').Where(l => l.Contains("exposure", StringComparison.Ordinal))) Notes.Say($"Debian package:{line.Replace("  ok  ", "", StringComparison.Ordinal)}");
    }

    private static async Task MakeAsync(string version)
    {
        var made = await Command.RunAsync(Repository.PathOf("scripts", "deb.sh"), [], TimeSpan.FromMinutes(5), ("VERSION", version), ("DEB_COMPRESSION", "gzip"));
        Assert.True(made.ExitCode == 0, made.ToString());
        File.Copy(Repository.PathOf("tests", "packaging", "install"), Repository.PathOf("artifacts", "deb", "install"), overwrite: true);
    }

    private static void Require()
    {
        if (Environment.GetEnvironmentVariable(RequireVariable) == "1") return;
        Skip.If(Repository.Gateway.Length == 0, "there is no native executable: make publish sbom");
        Skip.If(!Environment.IsPrivilegedProcess, "only root can make a Debian to install in");
        var path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':');
        var missing = Tools.Where(t => !path.Append("/usr/sbin").Any(d => File.Exists(Path.Combine(d, t)))).ToArray();
        Skip.If(missing.Length > 0, $"no {string.Join(", ", missing)} here: scripts/packages.sh packaging");
    }
}
