using Gateway.Backends.Grpc;
using Gateway.Configuration;
using Xunit;

namespace Gateway.Tests;

/// <summary>The settings of a store of type "grpc" reach its options, and those that cannot hold are refused by the name that stands in the file.</summary>
public sealed class GrpcConfigurationTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void Load_AllSettings_ReachTheOptions()
    {
        var section = Load("""
            "address": "https://storage.example:7070", "caFile": "/etc/ca.pem", "clientCertificateFile": "/etc/c.pem", "clientKeyFile": "/etc/k.pem", "tokenFile": "/etc/token", "requestTimeoutSeconds": 7
            """).Stores["s"];

        var expected = new GrpcStoreOptions
        {
            Address = "https://storage.example:7070",
            CaFile = "/etc/ca.pem",
            ClientCertificateFile = "/etc/c.pem",
            ClientKeyFile = "/etc/k.pem",
            TokenFile = "/etc/token",
            RequestTimeout = TimeSpan.FromSeconds(7),
        };
        Assert.Equal(expected, section.ToGrpcOptions());
    }

    [Theory]
    [InlineData("""
        "path": "/srv"
        """, "stores.s.address: must be http://HOST:PORT")]
    [InlineData("""
        "address": "storage:7070"
        """, "stores.s.address: must be http://HOST:PORT")]
    [InlineData("""
        "address": "https://user:secret@storage:7070"
        """, "stores.s.address: must be http://HOST:PORT")]
    [InlineData("""
        "address": "https://storage:7070", "clientCertificateFile": "/c.pem"
        """, "stores.s.clientCertificateFile, clientKeyFile: need each other")]
    [InlineData("""
        "address": "http://storage:7070", "caFile": "/ca.pem"
        """, "stores.s.caFile, clientCertificateFile: belong to an https:// address")]
    [InlineData("""
        "address": "unix:///run/blobs.sock", "tokenFile": "token"
        """, "stores.s.tokenFile: must be an absolute path")]
    [InlineData("""
        "address": "unix:///run/blobs.sock", "requestTimeoutSeconds": 1e300
        """, "stores.s.requestTimeoutSeconds: must be more than 0 and at most 3600")]
    [InlineData("""
        "address": "unix:///run/blobs.sock", "bucket": "b"
        """, "stores.s.path, bucket, endpoint: these belong to stores of other types")]
    public void Load_SettingThatCannotHold_IsRefusedByName(string settings, string fault)
    {
        var message = Assert.Throws<ConfigurationException>(() => Load(settings)).Message;

        Assert.Contains(fault, message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", message, StringComparison.Ordinal);
    }

    private GatewayConfiguration Load(string settings)
    {
        File.WriteAllText(_path, $$"""{ "stores": { "s": { "type": "grpc", {{settings}} } } }""");
        return GatewayConfiguration.Load(_path);
    }
}
