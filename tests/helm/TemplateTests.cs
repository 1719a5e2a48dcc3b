using Gateway.Integration.Tests;
using k8s.Models;
using Xunit;

namespace Gateway.Helm.Tests;

/// <summary>What helm makes of each value file: fit for the API, and as it was looked at last.</summary>
[Trait("Category", "Helm")]
public class TemplateTests
{
    public static TheoryData<string> ValueFiles => Chart.ValueFiles;

    [SkippableFact]
    public async Task Lint_ChartWithoutValues_FindsNothing()
    {
        Chart.Require();

        var result = await Chart.HelmAsync("lint", "--strict", Chart.Folder);

        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.DoesNotContain("[WARNING]", result.Output, StringComparison.Ordinal);
    }

    [SkippableTheory, MemberData(nameof(ValueFiles))]
    public async Task Lint_ValueFile_FindsNothing(string values)
    {
        Chart.Require();

        var result = await Chart.HelmAsync("lint", "--strict", Chart.Folder, "--values", Chart.PathOfValues(values));

        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.DoesNotContain("[WARNING]", result.Output, StringComparison.Ordinal);
    }

    /// <summary>A change of what is installed is seen in review. 'make helm-golden' writes the files.</summary>
    [SkippableTheory, MemberData(nameof(ValueFiles))]
    public async Task Template_ValueFile_IsTheGoldenFile(string values)
    {
        Chart.Require();
        var golden = Repository.PathOf("tests", "helm", "golden", values + ".yaml");

        var rendered = await Chart.RenderAsync(values);

        if (Chart.Writes) await File.WriteAllTextAsync(golden, rendered);
        Assert.True(File.Exists(golden), $"there is no {golden}: make helm-golden");
        Assert.Equal(await File.ReadAllTextAsync(golden), rendered);
    }

    /// <summary>Types, required fields, values, formats and unknown fields, by the schemas of Kubernetes' API and the Prometheus operator's.</summary>
    [SkippableTheory, MemberData(nameof(ValueFiles))]
    public async Task Template_ValueFile_IsValidBySchema(string values)
    {
        Chart.Require();

        var faults = await Chart.ValidateAsync(await Chart.RenderAsync(values));

        Assert.Equal("", faults);
    }

    [SkippableTheory, MemberData(nameof(ValueFiles))]
    public async Task Template_ValueFile_IsReadStrictlyByTheClientLibrary(string values)
    {
        Chart.Require();

        var objects = Chart.Objects(await Chart.RenderAsync(values));

        Assert.Contains(objects, o => o is V1DaemonSet);
        Assert.Contains(objects, o => o is V1ConfigMap);
    }

    /// <summary>The check itself: each of these is a mistake that a template may make.</summary>
    [SkippableTheory]
    [InlineData("hostNetwork: true", "hostNetwrk: true", "DaemonSet gateway-tcmu-gateway: /spec/template/spec/hostNetwrk: unknown field")]
    [InlineData("maxSurge: 0", "maxSurge: [0]", "/spec/updateStrategy/rollingUpdate/maxSurge: type")]
    [InlineData("type: DirectoryOrCreate", "type: DirectoryOrMake", "/hostPath/type: enum")]
    [InlineData("fieldPath: status.podIP", "fieldpath: status.podIP", "/valueFrom/fieldRef: required {\"missingProperty\":\"fieldPath\"}")]
    [InlineData("targetLabel: node", "targetLable: node", "ServiceMonitor gateway-tcmu-gateway: /spec/endpoints/0/relabelings/0/targetLable: unknown field")]
    [InlineData("scrapeTimeout: 10s", "scrapeTimeout: ten", "/spec/endpoints/0/scrapeTimeout: pattern")]
    [InlineData("drop: [ALL]", "drp: [ALL]", "/securityContext/capabilities/drp: unknown field")]
    public async Task Schema_MistakeInATemplate_IsFound(string right, string wrong, string message)
    {
        Chart.Require();
        var rendered = await Chart.RenderAsync("eks");
        Assert.Contains(right, rendered, StringComparison.Ordinal);

        var faults = await Chart.ValidateAsync(rendered.Replace(right, wrong, StringComparison.Ordinal));

        Assert.Contains(message, faults, StringComparison.Ordinal);
    }
}
