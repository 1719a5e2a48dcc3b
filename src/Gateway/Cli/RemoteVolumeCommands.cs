using System.CommandLine;
using System.CommandLine.Invocation;
using System.Globalization;
using Gateway.Configuration;
using Gateway.Control.V1;
using Gateway.Volumes.Checking;
using Gateway.Volumes.Leases;
using Grpc.Core;
using V1Client = Gateway.Control.V1.Control.ControlClient;

namespace Gateway.Cli;

/// <summary>Those of the volume commands that a running daemon does as well: with --connect or --socket it is asked, by its control API, and its stores are those of its configuration.</summary>
internal static class RemoteVolumeCommands
{
    private delegate Task<int> RemoteAction(V1Client client, ParseResult result, TextWriter writer, CancellationToken cancellationToken);

    private static readonly Dictionary<string, RemoteAction> Actions = new(StringComparer.Ordinal)
    {
        ["create"] = CreateAsync,
        ["list"] = ListAsync,
        ["info"] = InfoAsync,
        ["resize"] = ResizeAsync,
        ["rename"] = RenameAsync,
        ["rm"] = RemoveAsync,
        ["restore"] = RestoreAsync,
        ["purge"] = PurgeAsync,
        ["check"] = CheckAsync,
        ["takeover"] = TakeOverAsync,
    };

    /// <summary>Adds the way to a daemon to each of them.</summary>
    public static void AddTo(Command volume)
    {
        foreach (var command in volume.Subcommands.Where(c => Actions.ContainsKey(c.Name)))
        {
            var local = (AsynchronousCommandLineAction)command.Action!;
            ControlCommands.WithConnection(command, (client, result, writer, cancellation) => Actions[command.Name](client, result, writer, cancellation));
            var remote = (AsynchronousCommandLineAction)command.Action!;
            command.SetAction((result, cancellation) => (ControlCommands.IsAsked(result) ? remote : local).InvokeAsync(result, cancellation));
        }
    }

    private static async Task<int> CreateAsync(V1Client client, ParseResult result, TextWriter writer, CancellationToken cancellationToken)
    {
        var request = new CreateVolumeRequest { Volume = Path(result), Size = Size(result, "--size"), BlockSize = result.GetValue<int>("--block-size"), Compression = result.GetValue<string>("--compression") };
        return await TellAsync(result, writer, await client.CreateVolumeAsync(request, cancellationToken: cancellationToken), v => $"Created volume {v.Volume_}, {ByteSize.Format(v.Size)} in blocks of {Text(v.BlockSize)} bytes.");
    }

    private static async Task<int> ListAsync(V1Client client, ParseResult result, TextWriter writer, CancellationToken cancellationToken)
    {
        var store = result.GetValue<string?>("STORE") ?? "";
        if (result.GetValue<bool>("--trash"))
        {
            var trash = await client.ListTrashAsync(new ListTrashRequest { Store = store }, cancellationToken: cancellationToken);
            if (IsJson(result)) await ControlCommands.WriteJsonAsync(writer, trash);
            else await VolumeCommands.WriteTableAsync(writer, ["VOLUME", "SIZE", "REMOVED", "PURGED AFTER", "ID"], [.. trash.Volumes.Select(v => (string[])[v.Volume, ByteSize.Format(v.Size), Time(v.RemovedAt), v.Purging ? "being purged" : Time(v.PurgeAfter), v.Id])]);
            return 0;
        }

        var reply = await client.ListVolumesAsync(new ListVolumesRequest { Store = store }, cancellationToken: cancellationToken);
        if (IsJson(result)) await ControlCommands.WriteJsonAsync(writer, reply);
        else await VolumeCommands.WriteTableAsync(writer, ["VOLUME", "SIZE", "BLOCK", "SEGMENTS", "IN BUCKET", "EPOCH", "LAST OPENED BY"], [.. reply.Volumes.Select(v => (string[])[v.Volume_, ByteSize.Format(v.Size), Text(v.BlockSize), Text(v.Segments), ByteSize.Format(v.BucketBytes), Text(v.Epoch), v.Owner.Length > 0 ? v.Owner : "-"])]);
        foreach (var fault in reply.Faults) await result.InvocationConfiguration.Error.WriteLineAsync($"tcmu-gateway: {fault}");
        return reply.Faults.Count == 0 ? 0 : CommandLine.ExitFailed;
    }

    private static async Task<int> InfoAsync(V1Client client, ParseResult result, TextWriter writer, CancellationToken cancellationToken)
    {
        var volume = await client.DescribeVolumeAsync(new DescribeVolumeRequest { Volume = Path(result) }, cancellationToken: cancellationToken);
        if (IsJson(result)) await ControlCommands.WriteJsonAsync(writer, volume);
        else
        {
            await VolumeCommands.WriteTableAsync(writer, null,
            [
                ["Volume", volume.Volume_], ["Id", volume.Id], ["Size", $"{ByteSize.Format(volume.Size)} ({Text(volume.Size)} bytes)"], ["Block size", $"{Text(volume.BlockSize)} bytes"], ["Compression", volume.Compression],
                ["Created", Time(volume.CreatedAt)], ["Epoch", volume.Epoch == 0 ? "never opened" : $"{Text(volume.Epoch)}, opened by {volume.Owner}"],
                ["Segments", Text(volume.Segments)], ["Last write in bucket", Text(volume.LastWrite)], ["Bytes in bucket", $"{ByteSize.Format(volume.BucketBytes)} ({Text(volume.BucketBytes)} bytes)"],
            ]);
        }

        return 0;
    }

    private static async Task<int> ResizeAsync(V1Client client, ParseResult result, TextWriter writer, CancellationToken cancellationToken) => await TellAsync(
        result, writer, await client.ResizeVolumeAsync(new ResizeVolumeRequest { Volume = Path(result), Size = Size(result, "SIZE") }, cancellationToken: cancellationToken),
        v => $"Volume {v.Volume_} has {ByteSize.Format(v.Size)} now; initiators of this gateway were told.");

    private static async Task<int> RenameAsync(V1Client client, ParseResult result, TextWriter writer, CancellationToken cancellationToken)
    {
        var path = VolumePath.Parse(Path(result));
        var name = result.GetValue<string>("NEWNAME")!;
        if (name.StartsWith(path.Store + "/", StringComparison.Ordinal)) name = name[(path.Store.Length + 1)..];
        return await TellAsync(result, writer, await client.RenameVolumeAsync(new RenameVolumeRequest { Volume = path.ToString(), NewName = name }, cancellationToken: cancellationToken), v => $"Volume {path} is {v.Volume_} now.");
    }

    private static async Task<int> RemoveAsync(V1Client client, ParseResult result, TextWriter writer, CancellationToken cancellationToken)
    {
        var path = VolumePath.Parse(Path(result));
        var days = result.GetValue<double>("--keep");
        if (days is not (> 0 and <= 3650)) throw new ConfigurationException("--keep must be more than 0 and at most 3650 days; 'volume purge' removes what is in the trash at once.");
        VolumeLifecycleCommands.Confirm(result, result.GetValue<bool>("--yes"), path.Volume, $"Volume {path} will be moved to the trash.");
        using var call = client.RemoveVolume(new RemoveVolumeRequest { Volume = path.ToString(), KeepS = (long)Math.Ceiling(days * 86_400), Force = result.GetValue<bool>("--force") }, cancellationToken: cancellationToken);
        await foreach (var step in call.ResponseStream.ReadAllAsync(cancellationToken))
        {
            if (step.Wait is { } wait) await WaitAsync(result, wait);
            if (step.Removed is { } removed) await TellAsync(result, writer, removed, r => $"Volume {r.Volume} is in the trash; it may be purged after {Time(r.PurgeAfter)}.");
        }

        return 0;
    }

    private static async Task<int> RestoreAsync(V1Client client, ParseResult result, TextWriter writer, CancellationToken cancellationToken) => await TellAsync(
        result, writer, await client.RestoreVolumeAsync(new RestoreVolumeRequest { Volume = Path(result) }, cancellationToken: cancellationToken), v => $"Volume {v.Volume_} is not in the trash: any gateway may open it.");

    private static async Task<int> PurgeAsync(V1Client client, ParseResult result, TextWriter writer, CancellationToken cancellationToken)
    {
        var request = new PurgeTrashRequest { Volume = result.GetValue<string?>("STORE/VOLUME") ?? "", Expired = result.GetValue<bool>("--expired"), All = result.GetValue<bool>("--all") };
        if (request.Volume.Length > 0) VolumeLifecycleCommands.Confirm(result, result.GetValue<bool>("--yes"), VolumePath.Parse(request.Volume).Volume, $"Volume {request.Volume} will be removed for good, with all its data.");
        else if (request.All) VolumeLifecycleCommands.Confirm(result, result.GetValue<bool>("--yes"), "all", "All volumes in the trash of all stores of the gateway will be removed for good, with all their data.");
        using var call = client.PurgeTrash(request, cancellationToken: cancellationToken);
        var gone = 0;
        await foreach (var step in call.ResponseStream.ReadAllAsync(cancellationToken))
        {
            if (step.Purged is not { } purged) continue;
            gone++;
            await TellAsync(result, writer, purged, p => $"Volume {p.Volume} ({p.Id}) is gone.");
        }

        if (gone == 0 && !IsJson(result)) await writer.WriteLineAsync("Nothing was purged.");
        return 0;
    }

    private static async Task<int> CheckAsync(V1Client client, ParseResult result, TextWriter writer, CancellationToken cancellationToken)
    {
        if (result.GetValue<bool>("--repair")) throw new ConfigurationException("A repair is made where a person looks at it, on a host with the store in its configuration: leave --connect and --socket out.");
        CheckVolumeReply.Types.Report? wire = null;
        using var call = client.CheckVolume(new CheckVolumeRequest { Volume = Path(result) }, cancellationToken: cancellationToken);
        var report = await CheckDisplay.RunAsync(result.InvocationConfiguration.Error, async progress =>
        {
            await foreach (var step in call.ResponseStream.ReadAllAsync(cancellationToken))
            {
                if (step.Progress is { } far) progress.Report(new CheckProgress(far.Segments, far.SegmentsTotal, far.Bytes));
                wire = step.Report ?? wire;
            }

            return FromWire(Path(result), wire ?? throw new ConfigurationException("The gateway ended the check without a report. Run it again."));
        });
        if (IsJson(result)) await ControlCommands.WriteJsonAsync(writer, wire!);
        else await VolumeCheckCommand.WriteAsync(writer, report);
        return report.IsClean ? 0 : VolumeCheckCommand.DamagedExitCode;
    }

    private static async Task<int> TakeOverAsync(V1Client client, ParseResult result, TextWriter writer, CancellationToken cancellationToken)
    {
        var path = VolumePath.Parse(Path(result));
        using var call = client.TakeOverVolume(new TakeOverVolumeRequest { Volume = path.ToString(), Force = result.GetValue<bool>("--force") }, cancellationToken: cancellationToken);
        await foreach (var step in call.ResponseStream.ReadAllAsync(cancellationToken))
        {
            if (step.Wait is { } wait) await WaitAsync(result, wait);
            if (step.Outcome is { } outcome)
                await TellAsync(result, writer, outcome, o => VolumeTakeoverCommand.Describe(path, new TakeoverOutcome(o.Epoch, o.From.Length > 0 ? o.From : null, o.WasReleased, o.FirstWriteLost, o.LastWriteLost)));
        }

        return 0;
    }

    private static CheckReport FromWire(string volume, CheckVolumeReply.Types.Report wire) => new(
        volume, wire.Checkpoint, wire.Position, wire.Segments, wire.Frames, wire.MappedBytes, wire.StoredBytes,
        [.. wire.Findings.Select(f => new CheckFinding(f.Severity switch { "note" => CheckSeverity.Note, "warning" => CheckSeverity.Warning, _ => CheckSeverity.Damage }, f.Object, f.Message))],
        [.. wire.Damaged.Select(d => new DamagedRange(d.Lba, d.Blocks, d.Reason))]);

    private static async Task<int> TellAsync<T>(ParseResult result, TextWriter writer, T message, Func<T, string> describe)
        where T : Google.Protobuf.IMessage
    {
        if (IsJson(result)) await ControlCommands.WriteJsonAsync(writer, message);
        else await writer.WriteLineAsync(describe(message));
        return 0;
    }

    private static Task WaitAsync(ParseResult result, Wait wait) => result.InvocationConfiguration.Error.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{Math.Ceiling(wait.LeftS)} s left: {wait.Reason}"));

    private static string Path(ParseResult result) => result.GetValue<string>("STORE/VOLUME")!;

    private static long Size(ParseResult result, string name) => ByteSize.TryParse(result.GetValue<string>(name)!, out var bytes)
        ? bytes : throw new ConfigurationException($"'{result.GetValue<string>(name)}' is no size. Write bytes, or a number with a unit: 512MiB, 1.5TiB, 20GB.");

    private static bool IsJson(ParseResult result) => result.GetValue<string>("--output") == VolumeCommands.JsonOutput;

    private static string Time(Google.Protobuf.WellKnownTypes.Timestamp at) => at.ToDateTimeOffset().ToString("u", CultureInfo.InvariantCulture);

    private static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);
}
