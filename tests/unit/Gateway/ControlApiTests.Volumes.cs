using System.Text.Json;
using Gateway.Control.V1;
using Grpc.Core;
using Xunit;
using V1Volume = Gateway.Control.V1.Volume;

namespace Gateway.Tests;

/// <summary>What becomes of volumes, asked of the daemon.</summary>
public sealed partial class ControlApiTests
{
    private const string Volume = "local/d1";

    [Fact]
    public async Task Rename_OfAVolume_MovesTheNameAlone()
    {
        await StartAsync();
        using var client = Connect();
        var made = await CreateAsync(client);

        var renamed = await client.Calls.RenameVolumeAsync(new RenameVolumeRequest { Volume = Volume, NewName = "d2" });

        Assert.Equal(("local/d2", made.Id), (renamed.Volume_, renamed.Id));
        Assert.Equal(StatusCode.NotFound, (await FailsAsync(client.Calls.DescribeVolumeAsync(new DescribeVolumeRequest { Volume = Volume }))).StatusCode);
    }

    [Fact]
    public async Task Remove_ThenRestore_BringsTheVolumeBackAsItWas()
    {
        await StartAsync();
        using var client = Connect();
        var made = await CreateAsync(client);

        using var removal = client.Calls.RemoveVolume(new RemoveVolumeRequest { Volume = Volume, KeepS = 3600 });
        var removed = (await AllAsync(removal.ResponseStream))[^1].Removed;
        var trash = (await client.Calls.ListTrashAsync(new ListTrashRequest())).Volumes;
        var restored = await client.Calls.RestoreVolumeAsync(new RestoreVolumeRequest { Volume = Volume });

        Assert.Equal((Volume, made.Id), (removed.Volume, removed.Id));
        Assert.Equal(3600, (removed.PurgeAfter.ToDateTime() - removed.RemovedAt.ToDateTime()).TotalSeconds, 1.0);
        Assert.Equal([removed], trash);
        Assert.Equal(made.Id, restored.Id);
        Assert.Empty((await client.Calls.ListTrashAsync(new ListTrashRequest { Store = "local" })).Volumes);
    }

    [Fact]
    public async Task Purge_OfTheTrash_LeavesNothingInTheStore()
    {
        await StartAsync();
        using var client = Connect();
        var made = await CreateAsync(client);
        using (var removal = client.Calls.RemoveVolume(new RemoveVolumeRequest { Volume = Volume })) await AllAsync(removal.ResponseStream);

        using var expired = client.Calls.PurgeTrash(new PurgeTrashRequest { Expired = true });
        Assert.DoesNotContain(await AllAsync(expired.ResponseStream), r => r.Purged is not null); // It is kept for a week.
        using var purge = client.Calls.PurgeTrash(new PurgeTrashRequest { Volume = Volume });

        Assert.Equal(made.Id, (await AllAsync(purge.ResponseStream))[^1].Purged.Id);
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(_directory, "store"), "*", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task Purge_OfNothingInParticular_SaysWhatToName()
    {
        await StartAsync();
        using var client = Connect();
        using var call = client.Calls.PurgeTrash(new PurgeTrashRequest());

        var failure = await Assert.ThrowsAsync<RpcException>(() => AllAsync(call.ResponseStream));

        Assert.Equal((StatusCode.InvalidArgument, true), (failure.StatusCode, failure.Status.Detail.StartsWith("Say what to purge", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Check_OfAVolume_EndsWithItsReport()
    {
        await StartAsync();
        using var client = Connect();
        await CreateAsync(client);
        using var call = client.Calls.CheckVolume(new CheckVolumeRequest { Volume = Volume });

        var report = (await AllAsync(call.ResponseStream))[^1].Report;

        Assert.True(report.Clean);
        Assert.Empty(report.Damaged);
    }

    [Fact]
    public async Task TakeOver_OfAVolumeThatNobodyOpened_HasNothingToDo()
    {
        await StartAsync();
        using var client = Connect();
        await CreateAsync(client);
        using var call = client.Calls.TakeOverVolume(new TakeOverVolumeRequest { Volume = Volume });

        Assert.Equal(0, (await AllAsync(call.ResponseStream))[^1].Outcome.Epoch);
    }

    [Fact]
    public async Task Volumes_ExportedHere_AreNeitherRenamedNorRemoved()
    {
        await StartAsync();
        using var client = Connect();
        await CreateAsync(client);
        await System.IO.File.WriteAllTextAsync(ConfigurationFile, Configuration()[..^1] + """, "targets": { "loopback": { "l": { "luns": [ { "volume": "local/d1" } ] } } } }""");
        await client.Calls.ReloadAsync(new ReloadRequest());

        var rename = await FailsAsync(client.Calls.RenameVolumeAsync(new RenameVolumeRequest { Volume = Volume, NewName = "d2" }));
        using var removal = client.Calls.RemoveVolume(new RemoveVolumeRequest { Volume = Volume, Force = true });
        var remove = await Assert.ThrowsAsync<RpcException>(() => AllAsync(removal.ResponseStream));

        Assert.All((RpcException[])[rename, remove], e => Assert.Equal((StatusCode.FailedPrecondition, true), (e.StatusCode, e.Status.Detail.Contains("target unexport local/d1", StringComparison.Ordinal))));
        Assert.Equal(Volume, (await client.Calls.DescribeVolumeAsync(new DescribeVolumeRequest { Volume = Volume })).Volume_);
    }

    [Fact]
    public async Task Configuration_AskedOfTheGateway_IsWhatHolds()
    {
        await StartAsync();
        using var client = Connect();

        var reply = await client.Calls.GetConfigurationAsync(new GetConfigurationRequest());

        using var json = JsonDocument.Parse(reply.Json);
        Assert.Equal((ConfigurationFile, SocketPath), (reply.File, json.RootElement.GetProperty("control").GetProperty("socket").GetString()));
    }

    [Fact]
    public async Task Doctor_BesideARunningGateway_TellsOfIt()
    {
        await StartAsync();

        var (_, output, _) = await RunAsync("doctor", "--config", ConfigurationFile, "--only", "daemon", "configuration", "store", "--output", "json");

        using var json = JsonDocument.Parse(output);
        var found = json.RootElement.GetProperty("findings").EnumerateArray().Select(f => (f.GetProperty("family").GetString(), f.GetProperty("check").GetString(), f.GetProperty("severity").GetString())).ToArray();
        Assert.Contains(("daemon", "gateway", "ok"), found);
        Assert.Contains(("daemon", "store local", "ok"), found);
        Assert.Contains(("store", "local", "ok"), found);
        Assert.Contains(("configuration", ConfigurationFile, "ok"), found);
    }

    private static Task<V1Volume> CreateAsync(Gateway.Control.ControlClient client) => client.Calls.CreateVolumeAsync(new CreateVolumeRequest { Volume = Volume, Size = 1 << 30 }).ResponseAsync;

    private static async Task<List<T>> AllAsync<T>(IAsyncStreamReader<T> stream)
    {
        var all = new List<T>();
        await foreach (var one in stream.ReadAllAsync()) all.Add(one);
        return all;
    }
}
