using Gateway.Integration.Tests;
using k8s;
using k8s.Models;
using Xunit;

namespace Gateway.Helm.Tests;

/// <summary>The chart deploy/helm, and helm, which scripts/helm-tools.sh brings.</summary>
internal static class Chart
{
    /// <summary>Set to 1 where the chart must be tested: a missing helm is then a failure instead of a reason to skip.</summary>
    private const string RequireVariable = "REQUIRE_HELM";

    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    public static string Folder => Repository.PathOf("deploy", "helm");

    /// <summary>The golden files and the README's table are written instead of compared: 'make helm-golden'.</summary>
    public static bool Writes => Environment.GetEnvironmentVariable("HELM_GOLDEN") == "write";

    /// <summary>The names of the value files in tests/helm/values.</summary>
    public static TheoryData<string> ValueFiles => [.. Directory.GetFiles(Repository.PathOf("tests", "helm", "values"), "*.yaml").Select(f => Path.GetFileNameWithoutExtension(f)).Order(StringComparer.Ordinal)];

    private static string Helm => Repository.PathOf("artifacts", "tools", "helm", "helm");

    public static string PathOfValues(string name) => Repository.PathOf("tests", "helm", "values", name + ".yaml");

    public static void Require() =>
        Skip.If(!File.Exists(Helm) && Environment.GetEnvironmentVariable(RequireVariable) != "1", "helm is not here: scripts/helm-tools.sh");

    public static Task<CommandResult> HelmAsync(params string[] arguments) => Command.RunAsync(Helm, arguments, Limit);

    /// <summary>All that an installation makes with a value file of tests/helm/values, as YAML.</summary>
    public static Task<string> RenderAsync(string values, params string[] more) => RenderAsync(Folder, values, more);

    public static async Task<string> RenderAsync(string folder, string values, string[] more)
    {
        var result = await HelmAsync(["template", "gateway", folder, "--namespace", "storage", "--kube-version", "1.34", "--values", PathOfValues(values), .. more]);
        Assert.True(result.ExitCode == 0, result.ToString());
        return result.Output;
    }

    /// <summary>The objects of Kubernetes' own API, read strictly: a field that there is not, or a value of the wrong type, throws.</summary>
    public static IReadOnlyList<object> Objects(string manifests) =>
        [.. Documents(manifests).Where(d => !d.Contains("\napiVersion: monitoring.coreos.com/", StringComparison.Ordinal)).SelectMany(d => KubernetesYaml.LoadAllFromString(d, null, true))];

    public static V1DaemonSet Gateway(string manifests) => Objects(manifests).OfType<V1DaemonSet>().Single(d => !d.Metadata.Name.EndsWith("-prepull", StringComparison.Ordinal));

    public static V1Container Container(V1DaemonSet gateway) => gateway.Spec.Template.Spec.Containers.Single();

    /// <summary>Has validate.mjs check every object against the schemas; what is wrong, a line each, or nothing.</summary>
    public static async Task<string> ValidateAsync(string manifests)
    {
        var file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, manifests);
            var result = await Command.RunAsync("node", [Repository.PathOf("tests", "helm", "tools", "validate.mjs"), file], Limit);
            Assert.True(result.ExitCode is 0 or 1, result.ToString());
            return result.Output;
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static string[] Documents(string manifests) => manifests.Split("---\n", StringSplitOptions.RemoveEmptyEntries);
}
