using System.CommandLine;
using System.Text.Json;
using Gateway.Cli;
using Xunit;

namespace Gateway.Tests;

/// <summary><c>volume dump</c> and <c>volume check --repair</c> as they are typed, over a directory.</summary>
public sealed class VolumeDumpTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("tcmu-gateway-dump-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("5", true, 5, 1)]
    [InlineData("5+8", true, 5, 8)]
    [InlineData("5+0", false, 0, 0)]
    [InlineData("-5", false, 0, 0)]
    [InlineData("a+b", false, 0, 0)]
    public void Lba_AsTyped_IsARangeOrNone(string text, bool valid, ulong first, ulong count)
    {
        Assert.Equal(valid, VolumeDumpCommand.TryParse(text, out var parsedFirst, out var parsedCount));
        if (valid) Assert.Equal((first, count), (parsedFirst, parsedCount));
    }

    [Fact]
    public async Task Dump_OfANewVolume_ShowsItsRecordAndItsHoles()
    {
        await CreateAsync();

        var whole = await RunAsync("volume", "dump", "local/d1", "--output", "json");
        var blocks = await RunAsync("volume", "dump", "local/d1", "--lba", "5+8");

        using var json = JsonDocument.Parse(whole.Output);
        Assert.Equal("record", json.RootElement[0].GetProperty("part").GetString());
        Assert.Equal("hole: lba 5, blocks 8", blocks.Output.Trim());
    }

    [Fact]
    public async Task Dump_OfADamagedRecord_ShowsTheDamage()
    {
        await CreateAsync();
        var record = Directory.EnumerateFiles(Path.Combine(_folder, "bucket", "d1", "volume")).Single();
        var bytes = await File.ReadAllBytesAsync(record);
        bytes[^3] ^= 1;
        await File.WriteAllBytesAsync(record, bytes);

        var result = await RunAsync("volume", "dump", "local/d1");

        Assert.Equal(0, result.ExitCode);
        Assert.Contains("damage: blob d1/volume/", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Repair_OfAWholeVolume_SaysThatThereIsNothingToDo()
    {
        await CreateAsync();

        var result = await RunAsync("volume", "check", "local/d1", "--repair");

        Assert.Equal(0, result.ExitCode);
        Assert.Contains("nothing to repair", result.Error, StringComparison.Ordinal);
    }

    private async Task CreateAsync()
    {
        var bucket = Directory.CreateDirectory(Path.Combine(_folder, "bucket")).FullName;
        await File.WriteAllTextAsync(Path.Combine(_folder, "gateway.json"), $"{{ \"stores\": {{ \"local\": {{ \"type\": \"file\", \"path\": \"{bucket}\" }} }} }}");
        Assert.Equal(0, (await RunAsync("volume", "create", "local/d1", "--size", "64MiB")).ExitCode);
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
