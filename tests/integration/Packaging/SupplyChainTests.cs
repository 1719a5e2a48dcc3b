using System.Text.Json;
using Xunit;

namespace Gateway.Integration.Tests.Packaging;

/// <summary>What is shipped is known: the bill of materials lists what is linked, licences are allowed and listed, every project has a lock file.</summary>
[Trait("Category", "Package")]
public sealed class SupplyChainTests
{
    private static string References => Repository.PathOf("artifacts", "obj", "Gateway", "release_linux-x64", "native", "tcmu-gateway.ilc.rsp");

    private static string Bill => Repository.PathOf("artifacts", "sbom", "tcmu-gateway.cdx.json");

    /// <summary>The native compiler's list of references is what is linked; a package's assembly has the package's name and version in its path.</summary>
    [SkippableFact]
    public async Task BillOfMaterials_OfTheExecutable_ListsEveryPackageThatIsLinkedAndNoOther()
    {
        Require();
        using var assets = JsonDocument.Parse(await File.ReadAllTextAsync(Repository.PathOf("artifacts", "obj", "Gateway", "project.assets.json")));
        var packages = "-r:" + assets.RootElement.GetProperty("packageFolders").EnumerateObject().First().Name;
        var linked = (await File.ReadAllLinesAsync(References)).Where(l => l.StartsWith(packages, StringComparison.Ordinal))
            .Select(l => l[packages.Length..].Split('/')).Select(p => $"{p[0]} {p[1]}").Distinct().Order(StringComparer.Ordinal).ToArray();

        using var bill = JsonDocument.Parse(await File.ReadAllTextAsync(Bill));
        var listed = bill.RootElement.GetProperty("components").EnumerateArray().Where(c => c.GetProperty("scope").GetString() == "required")
            .Select(c => $"{c.GetProperty("name").GetString()} {c.GetProperty("version").GetString()}".ToLowerInvariant()).Order(StringComparer.Ordinal).ToArray();

        Assert.Equal("CycloneDX", bill.RootElement.GetProperty("bomFormat").GetString());
        Assert.True(linked.Length > 10, "The native compiler's references are not where they were.");
        // The compiler itself brings code, and is in no reference.
        Assert.Equal(linked, listed.Where(l => !l.StartsWith("runtime.linux-x64.microsoft.dotnet.ilcompiler ", StringComparison.Ordinal)));
    }

    [SkippableFact]
    public async Task Licences_OfWhatIsLinked_AreAllowedAndDocumented()
    {
        Require();

        var result = await Command.RunAsync(Repository.PathOf("scripts", "licences.sh"), [], TimeSpan.FromMinutes(1));

        Assert.True(result.ExitCode == 0, result.ToString());
        var document = await File.ReadAllTextAsync(Repository.PathOf("docs", "licences.md"));
        Assert.True(document == result.Output, "docs/licences.md is not what the bill of materials says. Run 'make licences', and look at what changed.");
    }

    [Fact]
    public void Projects_All_HaveALockFile()
    {
        var without = new[] { "src", "tests", "bench" }.SelectMany(f => Directory.EnumerateFiles(Repository.PathOf(f), "*.csproj", SearchOption.AllDirectories))
            .Where(p => !File.Exists(Path.Combine(Path.GetDirectoryName(p)!, "packages.lock.json")));

        Assert.Empty(without);
    }

    private static void Require()
    {
        if (Environment.GetEnvironmentVariable(DebianPackageTests.RequireVariable) == "1") return;
        Skip.If(!File.Exists(References) || !File.Exists(Bill), "there is no native executable with its bill of materials: make sbom");
    }
}
