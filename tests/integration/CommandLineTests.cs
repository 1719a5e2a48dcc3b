using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Gateway.Tests.Shared.Stores;
using Xunit;

namespace Gateway.Integration.Tests;

/// <summary>The native executable's commands as a user types them, on a directory and on a real RGW: bad input ends in a clear error and loses nothing.</summary>
public sealed class CommandLineTests : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(1);

    private readonly string _folder = Directory.CreateTempSubdirectory("tcmu-gateway-cli-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [SkippableFact]
    public async Task Volume_CreatedAndDescribed_IsWhatWasAskedFor()
    {
        var config = await FileConfigurationAsync();

        Assert.Equal(0, (await RunAsync("volume", "create", "local/d1", "--size", "64MiB", "-c", config)).ExitCode);

        var info = await RunAsync("volume", "info", "local/d1", "--output", "json", "-c", config);
        using var json = JsonDocument.Parse(info.Output);
        Assert.Equal(64 << 20, json.RootElement.GetProperty("sizeBytes").GetInt64());
        Assert.Contains("local/d1", (await RunAsync("volume", "list", "-c", config)).Output, StringComparison.Ordinal);
    }

    [SkippableTheory]
    [InlineData("2000001", "not a multiple of the block size, 512 bytes. Use 1999872 or 2000384")]
    [InlineData("12", "Use 1 MiB to 64 TiB")]
    [InlineData("lots", "is no size")]
    [InlineData("-5", "is no size")]
    [InlineData("99999999TiB", "is no size")]
    public async Task Create_SizeThatCannotBe_SaysWhatCan(string size, string says)
    {
        var config = await FileConfigurationAsync();

        var result = await RunAsync("volume", "create", "local/d1", $"--size={size}", "-c", config);

        Assert.Equal(1, result.ExitCode);
        Assert.Contains(says, result.Error, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(_folder, "bucket"), "*", SearchOption.AllDirectories));
    }

    [SkippableFact]
    public async Task Create_NameThatExists_LeavesItAlone()
    {
        var config = await FileConfigurationAsync();
        await RunAsync("volume", "create", "local/d1", "--size", "64MiB", "-c", config);
        var before = await RunAsync("volume", "info", "local/d1", "-o", "json", "-c", config);

        var result = await RunAsync("volume", "create", "local/d1", "--size", "1GiB", "-c", config);

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("exists already; it was left as it is", result.Error, StringComparison.Ordinal);
        Assert.Equal(before.Output, (await RunAsync("volume", "info", "local/d1", "-o", "json", "-c", config)).Output);
    }

    [SkippableFact]
    public async Task Create_BesideForeignObjects_NamesThem()
    {
        var config = await FileConfigurationAsync();
        Directory.CreateDirectory(Path.Combine(_folder, "bucket", "d1"));
        await File.WriteAllTextAsync(Path.Combine(_folder, "bucket", "d1", "holiday.jpg"), "x");

        var result = await RunAsync("volume", "create", "local/d1", "--size", "64MiB", "-c", config);

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("d1/holiday.jpg", result.Error, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task Info_NoSuchVolumeOrStore_SaysWhatThereIs()
    {
        var config = await FileConfigurationAsync();

        Assert.Contains("There is no volume 'nowhere'", (await RunAsync("volume", "info", "local/nowhere", "-c", config)).Error, StringComparison.Ordinal);
        Assert.Contains("It knows: local.", (await RunAsync("volume", "info", "cloud/nowhere", "-c", config)).Error, StringComparison.Ordinal);
    }

    [SkippableTheory]
    [InlineData("{ \"stores\": { \"s\": { \"type\": \"tape\" } }, \"journal\": { \"directory\": \"relative\", \"capacityBytes\": 5 } }", "'tape' is no type of store", "absolute path", "64 MiB")]
    [InlineData("{ \"stores\": { \"s\": { \"type\": \"file\", \"path\": \"/x\", \"bukcet\": \"typo\" } } }", "bukcet", "", "")]
    [InlineData("{ not json", "is no valid JSON", "", "")]
    public async Task Configuration_WithFaults_NamesAllOfThem(string text, params string[] says)
    {
        var config = Path.Combine(_folder, "gateway.json");
        await File.WriteAllTextAsync(config, text);

        var result = await RunAsync("volume", "list", "-c", config);

        Assert.Equal(1, result.ExitCode);
        Assert.All(says, s => Assert.Contains(s, result.Error, StringComparison.Ordinal));
    }

    [SkippableFact]
    public async Task Configuration_Missing_SaysWhereToLook() =>
        Assert.Contains("There is no configuration file '/nowhere/gateway.json'", (await RunAsync("volume", "list", "-c", "/nowhere/gateway.json")).Error, StringComparison.Ordinal);

    [SkippableFact]
    public async Task Store_DirectoryMissing_SaysHowToMakeIt()
    {
        var config = await WriteAsync("{ \"stores\": { \"local\": { \"type\": \"file\", \"path\": \"/nowhere/bucket\" } } }");

        var result = await RunAsync("volume", "create", "local/d1", "--size", "64MiB", "-c", config);

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("mkdir -p /nowhere/bucket", result.Error, StringComparison.Ordinal);
    }

    /// <summary>What could not be tried is not said to be wrong with the store.</summary>
    [SkippableFact]
    public async Task StoreTest_EndpointUnreachable_BlamesTheStoreForNothing()
    {
        var port = FreePort();
        var config = await WriteAsync($"{{ \"stores\": {{ \"s3\": {{ \"type\": \"s3\", \"endpoint\": \"http://127.0.0.1:{port}\", \"bucket\": \"b\" }} }} }}");

        var text = await RunAsync("store", "test", "s3", "-c", config);
        var json = await RunAsync("store", "test", "s3", "-c", config, "-o", "json");

        Assert.Equal(1, text.ExitCode);
        Assert.Matches("create-only puts, one winner of a race +not known", text.Output);
        Assert.DoesNotContain("cannot be used", text.Output, StringComparison.Ordinal);
        Assert.Contains($"127.0.0.1:{port}", text.Output, StringComparison.Ordinal);
        Assert.Contains("\"createOnlyWorks\": null", json.Output, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task Store_EndpointUnreachable_SaysSoWithinSeconds()
    {
        var port = FreePort();
        var config = await WriteAsync($"{{ \"stores\": {{ \"s3\": {{ \"type\": \"s3\", \"endpoint\": \"http://127.0.0.1:{port}\", \"bucket\": \"b\" }} }} }}");

        var result = await RunAsync("volume", "create", "s3/d1", "--size", "64MiB", "-c", config);

        Assert.Equal(1, result.ExitCode);
        Assert.Contains($"127.0.0.1:{port}", result.Error, StringComparison.Ordinal);
    }

    [SkippableFact, Trait("Category", "Server")]
    public async Task Store_WrongCredentials_SaysSoAndShowsNone()
    {
        var rgw = await RgwAsync();
        var config = await S3ConfigurationAsync(rgw, "any");

        var result = await RunWithKeysAsync(rgw.AccessKeyId, "wrong-secret-3141592653", "volume", "create", "s3/d1", "--size", "64MiB", "-c", config);

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("The secret access key is wrong", result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("wrong-secret", result.Error, StringComparison.Ordinal);
    }

    [SkippableFact, Trait("Category", "Server")]
    public async Task Store_BucketMissing_SaysSo()
    {
        var rgw = await RgwAsync();
        var config = await S3ConfigurationAsync(rgw, "no-such-bucket");

        var result = await RunWithKeysAsync(rgw.AccessKeyId, rgw.SecretAccessKey, "volume", "create", "s3/d1", "--size", "64MiB", "-c", config);

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("no-such-bucket", result.Error, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task Serve_WithoutTcmuInTheKernel_SaysWhatToLoad()
    {
        Skip.If(Directory.Exists("/sys/module/target_core_user"), "this kernel has TCMU");
        var config = await FileConfigurationAsync();

        var result = await RunAsync("serve", "-c", config);

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("modprobe target_core_user", result.Error, StringComparison.Ordinal);
    }

    private static async Task<RgwServer> RgwAsync()
    {
        Skip.If(RgwServer.SkipReason is not null, RgwServer.SkipReason);
        return await RgwServer.SharedAsync();
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static Task<CommandResult> RunAsync(params string[] arguments) => RunWithKeysAsync("made-up", "made-up-too", arguments);

    private static Task<CommandResult> RunWithKeysAsync(string keyId, string secret, params string[] arguments)
    {
        Skip.If(Repository.Gateway.Length == 0 && Environment.GetEnvironmentVariable("REQUIRE_LAB") != "1", "there is no native executable: make publish");
        return Command.RunAsync(Repository.Gateway, arguments, Limit, ("AWS_ACCESS_KEY_ID", keyId), ("AWS_SECRET_ACCESS_KEY", secret));
    }

    private Task<string> FileConfigurationAsync()
    {
        var bucket = Directory.CreateDirectory(Path.Combine(_folder, "bucket")).FullName;
        return WriteAsync($"{{ /* A comment. */ \"stores\": {{ \"local\": {{ \"type\": \"file\", \"path\": \"{bucket}\" }} }}, }}");
    }

    private Task<string> S3ConfigurationAsync(RgwServer rgw, string bucket) =>
        WriteAsync($"{{ \"stores\": {{ \"s3\": {{ \"type\": \"s3\", \"endpoint\": \"{rgw.Endpoint.GetLeftPart(UriPartial.Authority)}\", \"bucket\": \"{bucket}\" }} }} }}");

    private async Task<string> WriteAsync(string text)
    {
        var path = Path.Combine(_folder, "gateway.json");
        await File.WriteAllTextAsync(path, text);
        return path;
    }
}
