using System.CommandLine;
using System.Text.Json;
using Gateway.Backends.Core;
using Gateway.Backends.File;
using Gateway.Cli;
using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Tests.Shared;
using Gateway.Volumes;
using Gateway.Volumes.Leases;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Tests;

/// <summary>What an operator sees and does when a volume's last writer has left writes behind: <c>volume info</c>, <c>takeover</c> and <c>journal</c>, as typed.</summary>
public sealed class OwnershipCommandTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("tcmu-gateway-owner-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Takeover_WritesLeftBehind_IsRefusedForcedAndShown()
    {
        await using var bucket = new FileBlobStore(new FileStoreOptions { Path = Directory.CreateDirectory(Path.Combine(_folder, "bucket")).FullName });
        await new VolumeCatalog(bucket, TimeProvider.System).CreateAsync("v", new VolumeSpec(1 << 20), default);
        await WriteAndCloseAsync(bucket, "here", reachesBucket: false);

        Assert.Contains("flushed writes 1 to 1, in the journal of here", (await RunAsync("volume", "info", "local/v")).Output, StringComparison.Ordinal);
        var refused = await RunAsync("volume", "takeover", "local/v");
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains("Start tcmu-gateway there again", refused.Error, StringComparison.Ordinal);
        Assert.Contains("--force", refused.Error, StringComparison.Ordinal);

        var forced = await RunAsync("volume", "takeover", "local/v", "--force");
        Assert.Equal((0, ""), (forced.ExitCode, forced.Error));
        Assert.Contains("taken from here", forced.Output, StringComparison.Ordinal);
        Assert.Contains("1 to 1 were given up", forced.Output, StringComparison.Ordinal);
        Assert.Contains("any gateway may open it at once", (await RunAsync("volume", "info", "local/v")).Output, StringComparison.Ordinal);

        await WriteAndCloseAsync(bucket, "elsewhere", reachesBucket: true);
        await WriteAndCloseAsync(bucket, "here", reachesBucket: true);
        var info = await RunAsync("volume", "info", "local/v", "--output", "json");
        var aside = JsonDocument.Parse(info.Output).RootElement.GetProperty("keptAside")[0].GetString()!;
        Assert.Contains("kept aside", (await RunAsync("volume", "journal", "list", "local/v")).Output, StringComparison.Ordinal);
        var shown = await RunAsync("volume", "journal", "show", Path.GetFileName(aside), "--volume", "local/v");
        Assert.Equal((0, ""), (shown.ExitCode, shown.Error));
        Assert.Matches(@"1-1 +1 +no +0-7", shown.Output);
    }

    [Fact]
    public async Task Takeover_ReleasedVolume_SaysThatNothingIsToDo()
    {
        await using var bucket = new FileBlobStore(new FileStoreOptions { Path = Directory.CreateDirectory(Path.Combine(_folder, "bucket")).FullName });
        await new VolumeCatalog(bucket, TimeProvider.System).CreateAsync("v", new VolumeSpec(1 << 20), default);
        Assert.Contains("never opened", (await RunAsync("volume", "takeover", "local/v")).Output, StringComparison.Ordinal);
        await WriteAndCloseAsync(bucket, "here", reachesBucket: true);

        var result = await RunAsync("volume", "takeover", "local/v", "--output", "json");

        Assert.True(JsonDocument.Parse(result.Output).RootElement.GetProperty("wasReleased").GetBoolean());
    }

    [Theory]
    [InlineData("\"leaseSeconds\": 5", "leaseSeconds: must be between 10 and 600")]
    [InlineData("\"takeover\": \"always\"", "takeover")]
    [InlineData("\"each\": { \"local/v\": { \"leaseSeconds\": 5 } }", "volumes.each.local/v.leaseSeconds")]
    [InlineData("\"each\": { \"nowhere/v\": { \"takeover\": \"never\" } }", "volumes.each.nowhere/v: must be STORE/VOLUME")]
    public async Task Configuration_LeaseThatCannotBe_SaysWhatCan(string setting, string says)
    {
        var result = await RunWithAsync(setting, "volume", "list");

        Assert.Equal(1, result.ExitCode);
        Assert.Contains(says, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task JournalShow_NoSuchFile_SaysWhereItLooked() =>
        Assert.Contains("volume journal list", (await RunAsync("volume", "journal", "show", "nothing.journal")).Error, StringComparison.Ordinal);

    private async Task WriteAndCloseAsync(FileBlobStore bucket, string host, bool reachesBucket)
    {
        var store = new HookedBlobStore(bucket)
        {
            BeforePut = key => !reachesBucket && key.Value.Contains("/log/", StringComparison.Ordinal) ? throw new BlobStoreException(BlobErrorKind.Unavailable, "Away (by design of the test).") : Task.CompletedTask,
        };
        var journal = new JournalOptions { Directory = Path.Combine(_folder, host), CapacityBytes = JournalOptions.CapacityMinBytes };
        var options = new VolumeOptions { CloseTimeout = reachesBucket ? TimeSpan.FromSeconds(20) : TimeSpan.FromMilliseconds(200) };
        await using var volume = await new VolumeOpener(store, options, journal, host, BootTimeProvider.Instance, new Random(1), NullLogger.Instance).OpenAsync("v", default);
        using var buffer = new NativeBuffer(4096);
        var list = new ScatterList();
        list.Add(buffer);
        Assert.True((await volume.WriteAsync(new BlockRange(0, 8), list, true, default)).IsSuccess);
    }

    private Task<(int ExitCode, string Output, string Error)> RunAsync(params string[] arguments) => RunWithAsync("", arguments);

    private async Task<(int ExitCode, string Output, string Error)> RunWithAsync(string volumes, params string[] arguments)
    {
        var config = Path.Combine(_folder, "gateway.json");
        Directory.CreateDirectory(Path.Combine(_folder, "bucket"));
        await File.WriteAllTextAsync(config, $$"""
            { "stores": { "local": { "type": "file", "path": "{{Path.Combine(_folder, "bucket")}}" } }, "journal": { "directory": "{{Path.Combine(_folder, "here")}}" }, "volumes": { {{volumes}} } }
            """);
        using var output = new StringWriter();
        using var error = new StringWriter();
        var code = await CommandLine.Build().Parse([.. arguments, "--config", config]).InvokeAsync(new InvocationConfiguration { Output = output, Error = error });
        return (code, output.ToString(), error.ToString());
    }
}
