using Gateway.Backends.Rados;
using Gateway.Configuration;
using Xunit;

namespace Gateway.Tests;

/// <summary>The settings of a store of type "rados" reach its options, and those that cannot hold are refused by the name that stands in the file.</summary>
public sealed class RadosConfigurationTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void Load_AllSettings_ReachTheOptions()
    {
        var section = Load("""
            "pool": "disks", "namespace": "node1", "indexPool": "index", "user": "gateway", "configurationFile": "/etc/ceph/a.conf", "monitors": "10.0.0.1,10.0.0.2",
            "keyringFile": "/etc/ceph/gateway.keyring", "requestTimeoutSeconds": 7
            """).Stores["s"];

        var expected = new RadosStoreOptions
        {
            Pool = "disks",
            Namespace = "node1",
            IndexPool = "index",
            User = "gateway",
            ConfigurationFile = "/etc/ceph/a.conf",
            Monitors = "10.0.0.1,10.0.0.2",
            KeyringFile = "/etc/ceph/gateway.keyring",
            RequestTimeout = TimeSpan.FromSeconds(7),
        };
        Assert.Equal(expected, section.ToRadosOptions());
    }

    [Theory]
    [InlineData("rados", """
        "namespace": "n"
        """, "stores.s.pool: a rados store needs a pool")]
    [InlineData("rados", """
        "pool": "p", "user": "client.admin"
        """, "stores.s.user: is the user's name without \"client.\"")]
    [InlineData("rados", """
        "pool": "p", "keyringFile": "keyring"
        """, "stores.s.keyringFile: must be an absolute path")]
    [InlineData("rados", """
        "pool": "p", "requestTimeoutSeconds": 0
        """, "stores.s.requestTimeoutSeconds: must be more than 0 and at most 3600")]
    [InlineData("rados", """
        "pool": "p", "bucket": "b"
        """, "stores.s.path, bucket, endpoint, address: these belong to stores of other types")]
    [InlineData("file", """
        "path": "/srv", "pool": "p"
        """, "stores.s.pool: this belongs to a store of type \"rados\"")]
    public void Load_SettingThatCannotHold_IsRefusedByName(string type, string settings, string fault) =>
        Assert.Contains(fault, Assert.Throws<ConfigurationException>(() => Load(settings, type)).Message, StringComparison.Ordinal);

    private GatewayConfiguration Load(string settings, string type = "rados")
    {
        File.WriteAllText(_path, $$"""{ "stores": { "s": { "type": "{{type}}", {{settings}} } } }""");
        return GatewayConfiguration.Load(_path);
    }
}
