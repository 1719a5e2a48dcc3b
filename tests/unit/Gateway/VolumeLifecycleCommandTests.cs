using System.CommandLine;
using System.Text.Json;
using Gateway.Cli;
using Xunit;

namespace Gateway.Tests;

/// <summary><c>volume resize|rename|rm|restore|purge</c> as they are typed, over a directory.</summary>
public sealed class VolumeLifecycleCommandTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("tcmu-gateway-lifecycle-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string Bucket => Path.Combine(_folder, "bucket");

    [Fact]
    public async Task Resize_AsTyped_GrowsAndRefusesToShrink()
    {
        await CreateAsync("d1");

        Assert.Contains("has 1 GiB now; it had 64 MiB", (await RunAsync("volume", "resize", "local/d1", "1GiB")).Output, StringComparison.Ordinal);
        Assert.Contains("already", (await RunAsync("volume", "resize", "local/d1", "1GiB")).Output, StringComparison.Ordinal);
        var shrink = await RunAsync("volume", "resize", "local/d1", "512MiB");
        Assert.Equal((1, true), (shrink.ExitCode, shrink.Error.Contains("cannot be made smaller", StringComparison.Ordinal)));
        Assert.Equal(1, (await RunAsync("volume", "resize", "local/d1", "large")).ExitCode);
        using var json = JsonDocument.Parse((await RunAsync("volume", "resize", "local/d1", "2GiB", "--output", "json")).Output);
        Assert.Equal((1L << 30, 2L << 30), (json.RootElement.GetProperty("sizeBytesBefore").GetInt64(), json.RootElement.GetProperty("sizeBytes").GetInt64()));
    }

    [Fact]
    public async Task Rename_AsTyped_MovesTheNameAlone()
    {
        await CreateAsync("d1");

        var renamed = await RunAsync("volume", "rename", "local/d1", "d2");
        Assert.Equal((0, ""), (renamed.ExitCode, renamed.Error));
        Assert.Contains("gateway/local/d2", renamed.Output, StringComparison.Ordinal);
        Assert.Contains("d1/, since", (await RunAsync("volume", "info", "local/d2")).Output, StringComparison.Ordinal);
        Assert.Contains("local/d2", (await RunAsync("volume", "list")).Output, StringComparison.Ordinal);
        Assert.Equal(0, (await RunAsync("volume", "check", "local/d2")).ExitCode);
        Assert.Equal(0, (await RunAsync("volume", "dump", "local/d2")).ExitCode);
        Assert.Equal(1, (await RunAsync("volume", "info", "local/d1")).ExitCode);
        Assert.Equal(0, (await RunAsync("volume", "rename", "local/d1", "local/d2")).ExitCode); // As after an interruption.
        Assert.Equal(1, (await RunAsync("volume", "rename", "local/d2", "other/d3")).ExitCode);
    }

    [Fact]
    public async Task Remove_AsTyped_AsksAndCanBeUndone()
    {
        await CreateAsync("d1");

        if (Console.IsInputRedirected)
        {
            var asked = await RunAsync("volume", "rm", "local/d1");
            Assert.Equal((1, true), (asked.ExitCode, asked.Error.Contains("--yes", StringComparison.Ordinal)));
        }

        Assert.Equal(0, (await RunAsync("volume", "rm", "local/d1", "--yes")).ExitCode);
        Assert.DoesNotContain("local/d1", (await RunAsync("volume", "list")).Output, StringComparison.Ordinal);
        Assert.Contains("local/d1", (await RunAsync("volume", "list", "--trash")).Output, StringComparison.Ordinal);
        using (var json = JsonDocument.Parse((await RunAsync("volume", "list", "local", "--trash", "--output", "json")).Output))
            Assert.Equal("d1", json.RootElement[0].GetProperty("volume").GetProperty("name").GetString());
        Assert.Equal(0, (await RunAsync("volume", "purge", "--expired")).ExitCode);
        Assert.Equal(0, (await RunAsync("volume", "restore", "local/d1")).ExitCode);
        Assert.Contains("local/d1", (await RunAsync("volume", "list")).Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("volume", "rm", "local/d1", "--keep", "0", "--yes")]
    [InlineData("volume", "purge", "local/d1", "--yes")]
    [InlineData("volume", "purge", "--all", "--yes")]
    public async Task Purge_AsTyped_RemovesTheVolumeAndItsFilesHere(params string[] arguments)
    {
        await CreateAsync("d1");
        using var info = JsonDocument.Parse((await RunAsync("volume", "info", "local/d1", "--output", "json")).Output);
        var journal = Path.Combine(Directory.CreateDirectory(Path.Combine(_folder, "journal")).FullName, $"{info.RootElement.GetProperty("id").GetString()}.journal");
        await File.WriteAllTextAsync(journal, "content");
        if (arguments[1] == "purge")
        {
            Assert.Equal(1, (await RunAsync("volume", "purge", "local/d1", "--yes")).ExitCode);
            Assert.Equal(0, (await RunAsync("volume", "rm", "local/d1", "-y")).ExitCode);
        }

        var purged = await RunAsync(arguments);

        Assert.Equal((0, ""), (purged.ExitCode, purged.Error));
        Assert.Contains("is gone", purged.Output, StringComparison.Ordinal);
        Assert.Contains(journal, purged.Output, StringComparison.Ordinal);
        Assert.False(File.Exists(journal));
        Assert.Empty(Directory.EnumerateFiles(Bucket, "*", SearchOption.AllDirectories));
        await CreateAsync("d1");
    }

    [Theory]
    [InlineData("purge")]
    [InlineData("purge", "local/d1", "--all")]
    [InlineData("purge", "--expired", "--all")]
    [InlineData("rm", "local/d1", "--keep", "-1", "--yes")]
    [InlineData("restore", "local/d1")]
    public async Task Command_ThatCannotBe_IsRefusedWithOneMessage(params string[] arguments)
    {
        await CreateAsync("d2");

        var result = await RunAsync(["volume", .. arguments]);

        Assert.Equal(1, result.ExitCode);
        Assert.Single(result.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal("", result.Output);
    }

    private async Task CreateAsync(string name)
    {
        Directory.CreateDirectory(Bucket);
        await File.WriteAllTextAsync(
            Path.Combine(_folder, "gateway.json"),
            $"{{ \"stores\": {{ \"local\": {{ \"type\": \"file\", \"path\": \"{Bucket}\" }} }}, \"journal\": {{ \"directory\": \"{_folder}/journal\" }}, \"volumes\": {{ \"cacheDirectory\": \"{_folder}/cache\" }} }}");
        Assert.Equal(0, (await RunAsync("volume", "create", $"local/{name}", "--size", "64MiB")).ExitCode);
    }

    private async Task<(int ExitCode, string Output, string Error)> RunAsync(params string[] arguments)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        string[] all = [.. arguments, "-c", Path.Combine(_folder, "gateway.json")];
        var exitCode = await CommandLine.Build().Parse(all).InvokeAsync(new InvocationConfiguration { Output = output, Error = error });
        return (exitCode, output.ToString(), error.ToString());
    }
}
