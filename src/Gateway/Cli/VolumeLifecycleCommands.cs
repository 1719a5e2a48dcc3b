using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Gateway.Configuration;
using Gateway.Control;
using Gateway.Control.V1;
using Gateway.Serving;
using Gateway.Volumes;
using Gateway.Volumes.Leases;
using Gateway.Volumes.Names;
using Gateway.Volumes.Trash;
using Grpc.Core;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gateway.Cli;

/// <summary><c>volume resize|rename|rm|restore|purge</c>: what becomes of a volume after it was made.</summary>
internal static class VolumeLifecycleCommands
{
    private const double KeepDaysDefault = 7;
    private const double KeepDaysMax = 3650;

    public static IEnumerable<Command> Build() => [BuildResize(), BuildRename(), BuildRemove(), BuildRestore(), BuildPurge()];

    /// <summary><c>volume list --trash</c>.</summary>
    public static async Task ListTrashAsync(ParseResult result, StoreSet stores, IEnumerable<string> names, bool json, CancellationToken cancellationToken)
    {
        var found = new List<TrashEntry>();
        foreach (var store in names)
            foreach (var volume in await Trash(result, stores, store).ListAsync(cancellationToken)) found.Add(new TrashEntry(store, volume));
        var writer = result.InvocationConfiguration.Output;
        if (json)
        {
            await writer.WriteLineAsync(JsonSerializer.Serialize(found, LifecycleJson.Default.ListTrashEntry));
            return;
        }

        await VolumeCommands.WriteTableAsync(
            writer,
            ["VOLUME", "SIZE", "REMOVED", "PURGED AFTER", "ID"],
            found.ConvertAll<string[]>(e => [$"{e.Store}/{e.Volume.Name}", ByteSize.Format(e.Volume.SizeBytes), Time(e.Volume.RemovedAt), e.Volume.Purging ? "being purged" : Time(e.Volume.PurgeAfter), e.Volume.Id.ToString()]));
    }

    private static Command BuildResize()
    {
        var path = VolumeCommands.PathArgument();
        var size = new Argument<string>("SIZE") { Description = "The new capacity: bytes, or with a unit (512MiB, 1.5TiB, 20GB). A multiple of the block size, and more than before." };
        var output = VolumeCommands.OutputOption();
        var command = new Command("resize", "Makes a volume larger; none can be made smaller. The gateway of this host that serves it tells initiators at once; one on another host, when it gets SIGHUP there.") { path, size, output };
        command.SetAction((result, cancellation) => VolumeCommands.RunAsync(result, async (stores, writer) =>
        {
            var name = VolumePath.Parse(result.GetValue(path)!);
            if (!ByteSize.TryParse(result.GetValue(size)!, out var bytes))
                throw new ConfigurationException($"'{result.GetValue(size)}' is no size. Write bytes, or a number with a unit: 512MiB, 1.5TiB, 20GB.");
            var store = stores.Get(name.Store);
            var before = await new VolumeCatalog(store, TimeProvider.System).ResizeAsync(name.Volume, bytes, cancellation);
            var ownership = await VolumeOwnership.ReadAsync(store, name.Volume, TimeProvider.System, cancellation);
            var servedBy = ownership.IsServed(TimeProvider.System.GetUtcNow()) ? ownership.Owner : null;
            var isTold = servedBy is not null && await TellGatewayAsync(VolumeCommands.Configuration(result).Control.Socket, name, bytes, cancellation);
            if (result.GetValue(output) == VolumeCommands.JsonOutput)
            {
                await writer.WriteLineAsync(JsonSerializer.Serialize(new ResizeOutcome(name.ToString(), before, bytes, servedBy, isTold), LifecycleJson.Default.ResizeOutcome));
                return;
            }

            await writer.WriteLineAsync(before == bytes ? $"Volume {name} has {ByteSize.Format(bytes)} already." : $"Volume {name} has {ByteSize.Format(bytes)} now; it had {ByteSize.Format(before)}.");
            if (isTold) await writer.WriteLineAsync($"{servedBy} serves it and has told its initiators (CAPACITY DATA HAS CHANGED). A Linux initiator sees it after 'iscsiadm -m session --rescan', or 'echo 1 > /sys/block/DISK/device/rescan'.");
            else if (servedBy is not null) await writer.WriteLineAsync($"{servedBy} serves it with the size that it knows. Have it read the configuration there ('tcmu-gateway reload', or SIGHUP): it tells the initiators.");
        }));
        return command;
    }

    /// <summary>Has the gateway of this host take the size on, if it is the one that serves the volume.</summary>
    /// <returns>False if none runs, or not with this volume.</returns>
    /// <exception cref="ConfigurationException">It serves the volume and failed.</exception>
    private static async Task<bool> TellGatewayAsync(string? socket, VolumePath volume, long sizeBytes, CancellationToken cancellationToken)
    {
        if (!File.Exists(socket)) return false;
        using var client = new ControlClient(new ControlAddress(socket));
        try
        {
            var status = await client.Calls.GetStatusAsync(new GetStatusRequest(), cancellationToken: cancellationToken);
            if (status.Devices.All(d => d.Volume != volume.ToString())) return false;
        }
        catch (RpcException)
        {
            cancellationToken.ThrowIfCancellationRequested();
            return false;
        }

        try
        {
            await client.Calls.ResizeVolumeAsync(new ResizeVolumeRequest { Volume = volume.ToString(), Size = sizeBytes }, cancellationToken: cancellationToken);
            return true;
        }
        catch (RpcException e)
        {
            cancellationToken.ThrowIfCancellationRequested();
            throw new ConfigurationException($"Volume {volume} has the new size, and its gateway could not take it on: {client.Explain(e).Message} Run this again.");
        }
    }

    private static Command BuildRename()
    {
        var path = VolumeCommands.PathArgument();
        var newName = new Argument<string>("NEWNAME") { Description = "The new name, in the same store." };
        var output = VolumeCommands.OutputOption();
        var command = new Command("rename", "Gives a volume another name. Takes two small objects, whatever its size; not while a gateway serves it. Interrupted, it can be run again.") { path, newName, output };
        command.SetAction((result, cancellation) => VolumeCommands.RunAsync(result, async (stores, writer) =>
        {
            var name = VolumePath.Parse(result.GetValue(path)!);
            var text = result.GetValue(newName)!;
            var renamed = text.Contains('/', StringComparison.Ordinal) ? VolumePath.Parse(text) : name with { Volume = text };
            if (renamed.Store != name.Store) throw new ConfigurationException($"'{text}' is in another store. A volume stays in its store; 'volume export' and 'volume import' copy it.");
            await new VolumeRenamer(stores.Get(name.Store), TimeProvider.System).RunAsync(name.Volume, renamed.Volume, cancellation);
            if (result.GetValue(output) == VolumeCommands.JsonOutput) await writer.WriteLineAsync(JsonSerializer.Serialize(new RenameOutcome(name.ToString(), renamed.ToString()), LifecycleJson.Default.RenameOutcome));
            else await writer.WriteLineAsync($"Volume {name} is {renamed} now; its TCMU configuration string is gateway/{renamed}.\nWhat the configuration says below volumes.each, and devices that were made for it, still have the old name.");
        }));
        return command;
    }

    private static Command BuildRemove()
    {
        var path = VolumeCommands.PathArgument();
        var keep = new Option<double>("--keep") { Description = "Days that it is kept in the trash at least; 0: it is purged at once.", DefaultValueFactory = _ => KeepDaysDefault, HelpName = "DAYS" };
        var force = new Option<bool>("--force") { Description = "Also if a gateway serves it: that one is fenced, and its lease waited out. Or if the volume is damaged." };
        var yes = YesOption();
        var output = VolumeCommands.OutputOption();
        var command = new Command("rm", "Moves a volume to the trash. Nobody can open it there; 'volume restore' brings it back as it was, 'volume purge' removes it for good. Its name stays its own until then.") { path, keep, force, yes, output };
        command.SetAction((result, cancellation) => VolumeCommands.RunAsync(result, async (stores, writer) =>
        {
            var name = VolumePath.Parse(result.GetValue(path)!);
            var days = result.GetValue(keep);
            if (days is not (>= 0 and <= KeepDaysMax)) throw new ConfigurationException($"--keep {days.ToString(CultureInfo.InvariantCulture)}: must be between 0 and {KeepDaysMax} days.");
            Confirm(result, result.GetValue(yes), name.Volume, days == 0 ? $"Volume {name} will be removed for good, with all its data." : $"Volume {name} will be moved to the trash.");
            var trash = Trash(result, stores, name.Store);
            var removed = await trash.RemoveAsync(name.Volume, TimeSpan.FromDays(days), result.GetValue(force), cancellation);
            if (days == 0)
            {
                await TellPurgedAsync(result, [(name.Store, await trash.PurgeAsync(name.Volume, new PurgeLines(result.InvocationConfiguration.Error), cancellation))], result.GetValue(output) == VolumeCommands.JsonOutput);
                return;
            }

            if (result.GetValue(output) == VolumeCommands.JsonOutput) await writer.WriteLineAsync(JsonSerializer.Serialize(new TrashEntry(name.Store, removed), LifecycleJson.Default.TrashEntry));
            else await writer.WriteLineAsync($"Volume {name} is in the trash; it may be purged after {Time(removed.PurgeAfter)}. 'tcmu-gateway volume restore {name}' brings it back.");
        }));
        return command;
    }

    private static Command BuildRestore()
    {
        var path = VolumeCommands.PathArgument();
        var output = VolumeCommands.OutputOption();
        var command = new Command("restore", "Brings a volume back from the trash, as it was.") { path, output };
        command.SetAction((result, cancellation) => VolumeCommands.RunAsync(result, async (stores, writer) =>
        {
            var name = VolumePath.Parse(result.GetValue(path)!);
            await Trash(result, stores, name.Store).RestoreAsync(name.Volume, cancellation);
            if (result.GetValue(output) == VolumeCommands.JsonOutput) await writer.WriteLineAsync(JsonSerializer.Serialize(new RestoreOutcome(name.ToString()), LifecycleJson.Default.RestoreOutcome));
            else await writer.WriteLineAsync($"Volume {name} is not in the trash: any gateway may open it.");
        }));
        return command;
    }

    private static Command BuildPurge()
    {
        var path = new Argument<string?>("STORE/VOLUME") { Description = "A volume in the trash.", Arity = ArgumentArity.ZeroOrOne };
        var all = new Option<bool>("--all") { Description = "All that is in the trash of all stores." };
        var expired = new Option<bool>("--expired") { Description = "All that has been in the trash for as long as it was to be kept, in all stores; for a timer." };
        var yes = YesOption();
        var output = VolumeCommands.OutputOption();
        var command = new Command("purge", "Removes what is in the trash for good, and on this host the journal and the cache file of what is gone. Interrupted, it can be run again, and goes on.") { path, all, expired, yes, output };
        command.SetAction((result, cancellation) => VolumeCommands.RunAsync(result, async (stores, writer) =>
        {
            var (one, isAll, isExpired) = (result.GetValue(path), result.GetValue(all), result.GetValue(expired));
            if ((one is null ? 0 : 1) + (isAll ? 1 : 0) + (isExpired ? 1 : 0) != 1) throw new ConfigurationException("Say what to purge: STORE/VOLUME, or --expired, or --all.");
            var lines = new PurgeLines(result.InvocationConfiguration.Error);
            var purged = new List<(string, TrashedVolume)>();
            var isDone = false;
            try
            {
                if (one is not null)
                {
                    var name = VolumePath.Parse(one);
                    Confirm(result, result.GetValue(yes), name.Volume, $"Volume {name} will be removed for good, with all its data.");
                    purged.Add((name.Store, await Trash(result, stores, name.Store).PurgeAsync(name.Volume, lines, cancellation)));
                }

                // What has expired was agreed to when it was removed.
                if (isAll) Confirm(result, result.GetValue(yes), "all", "All volumes in the trash of all stores will be removed for good, with all their data.");
                foreach (var store in one is null ? stores.Names : [])
                    foreach (var volume in await Trash(result, stores, store).PurgeExpiredAsync(isAll, lines, cancellation)) purged.Add((store, volume));
                isDone = true;
            }
            finally
            {
                if (isDone || purged.Count > 0) await TellPurgedAsync(result, purged, result.GetValue(output) == VolumeCommands.JsonOutput);
            }
        }));
        return command;
    }

    /// <summary>Removes what purged volumes have left on this host, and says what became of all.</summary>
    private static async Task TellPurgedAsync(ParseResult result, List<(string Store, TrashedVolume Volume)> purged, bool json)
    {
        var configuration = VolumeCommands.Configuration(result);
        var writer = result.InvocationConfiguration.Output;
        var outcomes = purged.ConvertAll(p => new PurgeOutcome($"{p.Store}/{p.Volume.Name}", p.Volume.Id, LocalRemains.Remove(p.Volume.Id, configuration.Journal.Directory, configuration.Volumes.CacheDirectory)));
        if (json)
        {
            await writer.WriteLineAsync(JsonSerializer.Serialize(outcomes, LifecycleJson.Default.ListPurgeOutcome));
            return;
        }

        foreach (var outcome in outcomes)
        {
            await writer.WriteLineAsync($"Volume {outcome.Volume} ({outcome.Id}) is gone.");
            foreach (var file in outcome.Local.Removed) await writer.WriteLineAsync($"  removed here: {file}");
            foreach (var file in outcome.Local.Kept) await writer.WriteLineAsync($"  still here, in use or kept aside; remove it if nobody needs it: {file}");
        }

        if (outcomes.Count == 0) await writer.WriteLineAsync("Nothing was purged.");
    }

    private static VolumeTrash Trash(ParseResult result, StoreSet stores, string store)
    {
        var error = result.InvocationConfiguration.Error;
        return new VolumeTrash(
            stores.Get(store), VolumeCommands.Configuration(result).ToVolumeOptions(), ThisProgram.Owner, BootTimeProvider.Instance,
            wait => error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Math.Ceiling(wait.Left.TotalSeconds)} s left: {wait.Reason}")), NullLogger.Instance);
    }

    private static Option<bool> YesOption() => new("--yes", "-y") { Description = "Do not ask. Needed where there is no terminal to ask on." };

    /// <exception cref="ConfigurationException">It was not agreed to.</exception>
    internal static void Confirm(ParseResult result, bool yes, string word, string what)
    {
        if (yes) return;
        if (Console.IsInputRedirected) throw new ConfigurationException($"{what} Nothing was changed: there is no terminal to ask on. Add --yes if that is what you want.");
        result.InvocationConfiguration.Error.Write($"{what} Type '{word}' to go on: ");
        if (Console.ReadLine()?.Trim() != word) throw new ConfigurationException("Nothing was changed.");
    }

    private static string Time(DateTimeOffset at) => at.ToString("u", CultureInfo.InvariantCulture);

    /// <summary>A line for every so many blobs, and not by time, so that a log of it stays short.</summary>
    private sealed class PurgeLines(TextWriter error) : IProgress<PurgeProgress>
    {
        private const int BlobsPerLine = 1024;

        private long _shown;

        public void Report(PurgeProgress value)
        {
            if (value.Blobs / BlobsPerLine == _shown) return;
            _shown = value.Blobs / BlobsPerLine;
            error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{value.Volume}: {value.Blobs} objects, {ByteSize.Format(value.Bytes)} removed"));
        }
    }
}

/// <summary>What a resize has come to.</summary>
internal sealed record ResizeOutcome(string Volume, long SizeBytesBefore, long SizeBytes, string? ServedBy, bool GatewayTold);

/// <summary>What a renaming has come to.</summary>
internal sealed record RenameOutcome(string Volume, string NewName);

/// <summary>A volume that is out of the trash.</summary>
internal sealed record RestoreOutcome(string Volume);

/// <summary>A volume in a store's trash.</summary>
internal sealed record TrashEntry(string Store, TrashedVolume Volume);

/// <summary>A volume that is gone, and what it left on this host.</summary>
internal sealed record PurgeOutcome(string Volume, Guid Id, LocalRemains Local);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(ResizeOutcome))]
[JsonSerializable(typeof(RenameOutcome))]
[JsonSerializable(typeof(RestoreOutcome))]
[JsonSerializable(typeof(TrashEntry))]
[JsonSerializable(typeof(List<TrashEntry>))]
[JsonSerializable(typeof(List<PurgeOutcome>))]
internal sealed partial class LifecycleJson : JsonSerializerContext;
