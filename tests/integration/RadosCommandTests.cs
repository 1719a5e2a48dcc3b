using Gateway.Tests.Shared.Stores;
using Xunit;

namespace Gateway.Integration.Tests;

/// <summary>The native executable with a store of type "rados": on a real cluster, and on a machine without librados.</summary>
public sealed class RadosCommandTests : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    private readonly string _folder = Directory.CreateTempSubdirectory("tcmu-gateway-rados-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [SkippableFact]
    public async Task StoreTest_OnACluster_FindsNothingWrongAndMeasures()
    {
        RequireGateway();
        Skip.If(RgwServer.SkipReason is not null, RgwServer.SkipReason);
        var server = await RgwServer.SharedAsync();
        var config = await WriteAsync($$"""{ "stores": { "ceph": { "type": "rados", "configurationFile": "{{server.ConfigurationFile}}", "pool": "rbd", "namespace": "{{server.NextBucketName()}}" } } }""");

        var result = await Command.RunAsync(Repository.Gateway, ["store", "test", "ceph", "-c", config], Limit);
        var created = await Command.RunAsync(Repository.Gateway, ["volume", "create", "ceph/d1", "--size", "64MiB", "-c", config], Limit);

        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Contains("The store can hold volumes.", result.Output, StringComparison.Ordinal);
        Assert.Contains("put 8 MiB", result.Output, StringComparison.Ordinal);
        Assert.True(created.ExitCode == 0, created.ToString());
        Assert.Contains("ceph/d1", (await Command.RunAsync(Repository.Gateway, ["volume", "list", "-c", config], Limit)).Output, StringComparison.Ordinal);
    }

    /// <summary>The loader finds a file that is no library before the real one, if there is one: to the executable both are the same.</summary>
    [SkippableFact]
    public async Task StoreTest_WithoutLibrados_SaysWhatToInstallAndOtherStoresWork()
    {
        RequireGateway();
        await File.WriteAllBytesAsync(Path.Combine(_folder, "librados.so.2"), []);
        var config = await WriteAsync($$"""{ "stores": { "ceph": { "type": "rados", "monitors": "127.0.0.1", "pool": "rbd" }, "local": { "type": "file", "path": "{{_folder}}" } } }""");

        var without = await Command.RunAsync(Repository.Gateway, ["store", "test", "ceph", "-c", config], Limit, ("LD_LIBRARY_PATH", _folder));
        var other = await Command.RunAsync(Repository.Gateway, ["store", "test", "local", "-c", config], Limit, ("LD_LIBRARY_PATH", _folder));

        Assert.Equal(1, without.ExitCode);
        Assert.Contains("librados.so.2 cannot be loaded on this machine", without.ToString(), StringComparison.Ordinal);
        Assert.Contains("apt-get install librados2", without.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", without.ToString(), StringComparison.Ordinal);
        Assert.True(other.ExitCode == 0, other.ToString());
    }

    private static void RequireGateway() =>
        Skip.If(Repository.Gateway.Length == 0 && Environment.GetEnvironmentVariable("REQUIRE_LAB") != "1", "there is no native executable: make publish");

    private async Task<string> WriteAsync(string text)
    {
        var path = Path.Combine(_folder, "gateway.json");
        await File.WriteAllTextAsync(path, text);
        return path;
    }
}
