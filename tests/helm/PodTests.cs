using k8s.Models;
using Xunit;

namespace Gateway.Helm.Tests;

/// <summary>What the pod may do, where it runs, and how it is replaced.</summary>
[Trait("Category", "Helm")]
public class PodTests
{
    /// <summary>The table of privileges in docs/kubernetes.md: nothing of the node but these, nothing of the cluster at all.</summary>
    [SkippableFact]
    public async Task Pod_ByDefault_HasOnlyTheRightsThatAreDocumented()
    {
        Chart.Require();

        var pod = Chart.Gateway(await Chart.RenderAsync("minimal")).Spec.Template.Spec;

        Assert.True(pod.HostNetwork);
        Assert.Null(pod.HostPID);
        Assert.Null(pod.HostIPC);
        Assert.False(pod.AutomountServiceAccountToken);
        Assert.Equal("RuntimeDefault", pod.SecurityContext.SeccompProfile.Type);
        Assert.Equal(
            ["/", "/dev", "/etc/target/alua", "/etc/target/pr", "/sys/kernel/config", "/var/lib/tcmu-gateway"],
            pod.Volumes.Where(v => v.HostPath is not null).Select(v => v.HostPath.Path).Order(StringComparer.Ordinal));
        var gateway = pod.Containers.Single();
        Assert.True(gateway.SecurityContext.ReadOnlyRootFilesystem);
        Assert.DoesNotContain(gateway.VolumeMounts, m => m.MountPath == "/node");
        var modules = pod.InitContainers.Single();
        Assert.Null(modules.SecurityContext.Privileged);
        Assert.False(modules.SecurityContext.AllowPrivilegeEscalation);
        Assert.Equal(["ALL"], modules.SecurityContext.Capabilities.Drop);
        Assert.Equal(["SYS_CHROOT", "SYS_MODULE"], modules.SecurityContext.Capabilities.Add);
        Assert.All(modules.VolumeMounts, m => Assert.True(m.ReadOnlyProperty, m.MountPath));
    }

    [SkippableFact]
    public async Task Pod_NotPrivileged_DropsEveryCapabilityButThoseThatAreNamed()
    {
        Chart.Require();

        var context = Chart.Container(Chart.Gateway(await Chart.RenderAsync("restricted"))).SecurityContext;

        Assert.False(context.Privileged);
        Assert.False(context.AllowPrivilegeEscalation);
        Assert.Equal(["ALL"], context.Capabilities.Drop);
        Assert.Equal(["NET_ADMIN"], context.Capabilities.Add);
    }

    [SkippableFact]
    public async Task Update_Rolling_StopsOneGatewayAtATimeAndWaitsForItsEnd()
    {
        Chart.Require();

        var spec = Chart.Gateway(await Chart.RenderAsync("minimal")).Spec;

        Assert.Equal("1", spec.UpdateStrategy.RollingUpdate.MaxUnavailable.ToString());
        Assert.Equal("0", spec.UpdateStrategy.RollingUpdate.MaxSurge.ToString());
        Assert.InRange(spec.Template.Spec.TerminationGracePeriodSeconds ?? 0, 61, 600); // The daemon's own limit is 60 s.
        var gateway = spec.Template.Spec.Containers.Single();
        Assert.Equal("/readyz", gateway.ReadinessProbe.HttpGet.Path);
        Assert.Equal("/livez", gateway.LivenessProbe.HttpGet.Path);
        Assert.Equal("/livez", gateway.StartupProbe.HttpGet.Path);
    }

    /// <summary>A restart stalls disks: what does not change the pod must not restart it.</summary>
    [SkippableFact]
    public async Task Configuration_Changed_RestartsThePodsOnlyIfAskedTo()
    {
        Chart.Require();
        const string Change = "config.volumes.sealAfterSeconds=9";

        var left = await Annotations("--set", Change);
        var right = await Annotations();
        var leftAsked = await Annotations("--set", "restartOnConfigChange=true", "--set", Change);
        var rightAsked = await Annotations("--set", "restartOnConfigChange=true");

        Assert.Equal(left, right);
        Assert.NotEqual(leftAsked, rightAsked);

        static async Task<IDictionary<string, string>> Annotations(params string[] more) => Chart.Gateway(await Chart.RenderAsync("minimal", more)).Spec.Template.Metadata.Annotations;
    }

    /// <summary>Each pod reads the file of its node, and there is no pod without one.</summary>
    [SkippableFact]
    public async Task Nodes_Named_HaveAFileEachAndNoOtherNodeHasAPod()
    {
        Chart.Require();

        var objects = Chart.Objects(await Chart.RenderAsync("nodes"));

        var gateway = objects.OfType<V1DaemonSet>().Single(d => d.Metadata.Name == "gateway-tcmu-gateway");
        var files = objects.OfType<V1ConfigMap>().Single(m => m.Metadata.Name == "gateway-tcmu-gateway").Data;
        var terms = gateway.Spec.Template.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms;
        var nodes = terms.Select(t => Assert.Single(Assert.Single(t.MatchFields).Values)).ToArray();
        Assert.Equal(["storage-1.example.org", "storage-2.example.org"], nodes);
        Assert.Equal(nodes.Select(n => n + ".json"), files.Keys.Order(StringComparer.Ordinal));
        Assert.Contains("minio/vm1", files["storage-1.example.org.json"], StringComparison.Ordinal);
        Assert.DoesNotContain("minio/vm1", files["storage-2.example.org.json"], StringComparison.Ordinal);
        Assert.Equal("/etc/tcmu-gateway/$(NODE_NAME).json", Chart.Container(gateway).Env.Single(e => e.Name == "TCMU_GATEWAY_CONFIG").Value);
        Assert.Single(gateway.Spec.Template.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution);
    }

    /// <summary>A journal holds writes that are nowhere else: it must never be in a volume that ends with the pod.</summary>
    [SkippableTheory, MemberData(nameof(ValueFiles))]
    public async Task State_WithAnyValues_OutlivesThePod(string values)
    {
        Chart.Require();

        var gateway = Chart.Gateway(await Chart.RenderAsync(values));

        var mount = Assert.Single(Chart.Container(gateway).VolumeMounts, m => m.MountPath == "/var/lib/tcmu-gateway");
        var volume = gateway.Spec.Template.Spec.Volumes.Single(v => v.Name == mount.Name);
        Assert.True(volume.HostPath is not null || volume.PersistentVolumeClaim is not null);
    }

    /// <summary>Secrets are files, for root alone.</summary>
    [SkippableFact]
    public async Task Secrets_OfTheChart_AreInSecretsAndNowhereElse()
    {
        Chart.Require();

        var rendered = await Chart.RenderAsync("nodes");

        var objects = Chart.Objects(rendered);
        Assert.Equal("not-a-real-one", objects.OfType<V1Secret>().Single().StringData["secret-access-key"]);
        Assert.Single(rendered.Split("not-a-real-one").Skip(1));
        var volume = Chart.Gateway(rendered).Spec.Template.Spec.Volumes.Single(v => v.Name == "secret-minio");
        Assert.Equal(256, volume.Secret.DefaultMode); // 0400.
    }

    public static TheoryData<string> ValueFiles => Chart.ValueFiles;
}
