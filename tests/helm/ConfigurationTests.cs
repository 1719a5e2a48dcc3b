using System.Text.RegularExpressions;
using Gateway.Integration.Tests;
using k8s.Models;
using Xunit;

namespace Gateway.Helm.Tests;

/// <summary>What the gateway itself says of the configuration that the chart hands it.</summary>
[Trait("Category", "Helm")]
public partial class ConfigurationTests
{
    public static TheoryData<string> ValueFiles => Chart.ValueFiles;

    /// <summary>Every file of the ConfigMap, with the pod's environment, as the native executable reads it.</summary>
    [SkippableTheory, MemberData(nameof(ValueFiles))]
    public async Task ConfigMap_OfValueFile_PassesConfigCheck(string values)
    {
        Chart.Require();
        Skip.If(Repository.Gateway.Length == 0, "there is no native executable: make publish");
        var objects = Chart.Objects(await Chart.RenderAsync(values));
        var gateway = objects.OfType<V1DaemonSet>().First(d => !d.Metadata.Name.EndsWith("-prepull", StringComparison.Ordinal));
        var environment = Chart.Container(gateway).Env.Where(e => e.Name.StartsWith("TCMU_GATEWAY__", StringComparison.Ordinal)).Select(e => (e.Name, Value: OnANode(e.Value))).ToArray();
        var folder = Directory.CreateTempSubdirectory("chart-");
        try
        {
            foreach (var (name, content) in objects.OfType<V1ConfigMap>().Single(m => m.Metadata.Name == gateway.Metadata.Name).Data)
            {
                var file = Path.Combine(folder.FullName, name);
                await File.WriteAllTextAsync(file, content);

                var result = await Command.RunAsync(Repository.Gateway, ["config", "check", "--config", file], TimeSpan.FromMinutes(1), environment);

                Assert.True(result.ExitCode == 0, $"{name}: {result}\n{content}");
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    /// <summary>What the kubelet puts in: these have the pod's address.</summary>
    private static string OnANode(string value) => Address().Replace(value, "192.0.2.7");

    [GeneratedRegex(@"\$\(POD_IP\)")]
    private static partial Regex Address();
}
