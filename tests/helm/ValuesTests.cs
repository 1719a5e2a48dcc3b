using Gateway.Integration.Tests;
using Xunit;

namespace Gateway.Helm.Tests;

/// <summary>Values that make no sense are refused before anything is installed, with a message that names the value.</summary>
[Trait("Category", "Helm")]
public class ValuesTests
{
    [SkippableTheory]
    [InlineData("telemtry.port=9000", "additional properties 'telemtry' not allowed")]
    [InlineData("telemetry.port=0", "/telemetry/port")]
    [InlineData("telemetry.address=localhost", "/telemetry/address")]
    [InlineData("image.digest=sha256:123", "/image/digest")]
    [InlineData("image.pullPolicy=Sometimes", "value must be one of 'IfNotPresent', 'Always', 'Never'")]
    [InlineData("privileges.capabilities={CAP_NET_ADMIN}", "/privileges/capabilities/0")]
    [InlineData("privileges.privileged=maybe", "/privileges/privileged")]
    [InlineData("storage.state.type=ephemeral", "/storage/state/type")]
    [InlineData("storage.state.hostPath=journal", "/storage/state/hostPath")]
    [InlineData("storage.cache.size=plenty", "/storage/cache/size")]
    [InlineData("config.stores.Cloud.type=s3", "invalid propertyName 'Cloud'")]
    [InlineData("config.stores.cloud.bucket=b", "missing property 'type'")]
    [InlineData("config.target.iscsi=1", "additional properties 'target' not allowed")]
    [InlineData("config.stateDirectory=/elsewhere", "/config/stateDirectory")]
    [InlineData("nodes.a.journal.directory=/x", "additional properties 'journal' not allowed")]
    [InlineData("secrets.chap.data.key=", "/secrets/chap/data/key")]
    [InlineData("updateStrategy.maxUnavailable=0", "/updateStrategy/maxUnavailable")]
    [InlineData("updateStrategy.type=Recreate", "value must be one of 'RollingUpdate', 'OnDelete'")]
    [InlineData("terminationGracePeriodSeconds=1", "/terminationGracePeriodSeconds")]
    [InlineData("podDisruptionBudget.minAvailable=50%", "/podDisruptionBudget/minAvailable")]
    [InlineData("otlp.protocol=udp", "value must be one of 'grpc', 'http/protobuf'")]
    [InlineData("otlp.headersSecret.name=x", "missing property 'key'")]
    [InlineData("monitoring.serviceMonitor.interval=fast", "/monitoring/serviceMonitor/interval")]
    [InlineData("webIdentity.roleArn=my-role", "/webIdentity/roleArn")]
    [InlineData("kernelModules.names={a;rm}", "/kernelModules/names/0")]
    [InlineData("extraEnv[0].value=x", "missing property 'name'")]
    [InlineData("control.enabled=true", "control.tlsSecret: the control API is served with TLS only")]
    [InlineData("storage.state.type=existingClaim", "storage.state.existingClaim: name the claim")]
    [InlineData("storage.cache.type=hostPath", "storage.cache.hostPath: name the directory")]
    public async Task Template_WrongValue_IsRefusedByName(string setting, string message)
    {
        Chart.Require();

        var result = await Chart.HelmAsync("template", "gateway", Chart.Folder, "--set", setting);

        Assert.NotEqual(0, result.ExitCode);
        Assert.Contains(message, result.Error, StringComparison.Ordinal);
    }

    /// <summary>A claim would be shared by the journals of several nodes.</summary>
    [SkippableFact]
    public async Task Template_OneClaimForSeveralNodes_IsRefused()
    {
        Chart.Require();

        var result = await Chart.HelmAsync("template", "gateway", Chart.Folder, "--set", "storage.state.type=existingClaim,storage.state.existingClaim=c", "--set-json", """nodes={"a": {}, "b": {}}""");

        Assert.NotEqual(0, result.ExitCode);
        Assert.Contains("a claim holds the journals of one node", result.Error, StringComparison.Ordinal);
    }

    /// <summary>Every value has its row, from its comment in values.yaml. 'make helm-golden' writes the table.</summary>
    [Fact]
    public async Task Readme_Table_IsThatOfTheValues()
    {
        var file = Path.Combine(Chart.Folder, "README.md");
        var text = await File.ReadAllTextAsync(file);
        var table = ValuesTable.Of(await File.ReadAllTextAsync(Path.Combine(Chart.Folder, "values.yaml")));

        if (Chart.Writes)
        {
            text = ValuesTable.Put(text, table);
            await File.WriteAllTextAsync(file, text);
        }

        Assert.Equal(ValuesTable.Put(text, table), text);
    }
}
