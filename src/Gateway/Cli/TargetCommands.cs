using System.CommandLine;
using System.Globalization;
using Gateway.Configuration;
using Gateway.Control.V1;
using Spectre.Console;

namespace Gateway.Cli;

/// <summary><c>target list|export|unexport|acl|chap</c>: what LIO exports of the volumes, by the running daemon.</summary>
internal static class TargetCommands
{
    public static Command Build() => new("target", "Exports volumes over iSCSI, as disks of this host, or to its virtual machines. What the configuration file declares is changed there; the rest is added here, and stays after a restart.")
    {
        BuildList(), BuildExport(), BuildUnexport(), BuildAcl(), BuildChap(), TargetApplyCommand.Build(),
    };

    private static Command BuildList()
    {
        var output = VolumeCommands.OutputOption();
        return ControlCommands.WithConnection(new Command("list", "Lists the targets with their logical units, and what is wrong with them.") { output }, async (client, result, writer, cancellation) =>
        {
            var reply = await client.ListTargetsAsync(new ListTargetsRequest(), cancellationToken: cancellation);
            if (result.GetValue(output) == VolumeCommands.JsonOutput)
            {
                await ControlCommands.WriteJsonAsync(writer, reply);
                return 0;
            }

            if (reply.Targets.Count == 0) await writer.WriteLineAsync("Nothing is exported. 'tcmu-gateway target export STORE/VOLUME' exports a volume.");
            else await VolumeCommands.WriteTableAsync(writer, ["TARGET", "KIND", "LUN", "VOLUME", "ACCESS", "AT", "INITIATORS", "FROM"], [.. reply.Targets.SelectMany(Rows)]);
            foreach (var fault in reply.Faults) await writer.WriteLineAsync($"  {fault}");
            return 0;
        });
    }

    private static Command BuildExport()
    {
        var volume = VolumeCommands.PathArgument();
        var portal = new Option<string[]>("--portal", "-p") { Description = "ADDRESS[:PORT] where the target is reached, as often as needed; IPv6 as [::1]:3260. Default 0.0.0.0:3260.", HelpName = "ADDRESS" };
        var target = new Option<string>("--target", "-t") { Description = "The target's name: a new one, or one that gets another logical unit. Default: made of the host's and the volume's names.", DefaultValueFactory = _ => "", HelpName = "NAME" };
        var lun = new Option<int>("--lun") { Description = "Number of the logical unit. Default: the first that is free.", DefaultValueFactory = _ => -1, HelpName = "NUMBER" };
        var readOnly = new Option<bool>("--read-only") { Description = "Initiators may not write." };
        var initiator = new Option<string[]>("--initiator", "-i") { Description = "An initiator that may log in, by its iSCSI name, as often as needed. Default: anybody who reaches the portal.", HelpName = "IQN" };
        var kind = new Option<string>("--kind", "-k") { Description = "iscsi; loopback for a disk of this host; vhost for its virtual machines.", DefaultValueFactory = _ => "iscsi", HelpName = "KIND" };
        kind.AcceptOnlyFromAmong("iscsi", "loopback", "vhost");
        var output = VolumeCommands.OutputOption();
        return ControlCommands.WithConnection(new Command("export", "Exports a volume, and says how to use it.") { volume, portal, target, lun, readOnly, initiator, kind, output }, async (client, result, writer, cancellation) =>
        {
            var request = new ExportRequest { Volume = result.GetValue(volume)!, Target = result.GetValue(target)!, Lun = result.GetValue(lun), ReadOnly = result.GetValue(readOnly), Kind = result.GetValue(kind) };
            request.Portals.AddRange(result.GetValue(portal) ?? []);
            request.Initiators.AddRange(result.GetValue(initiator) ?? []);
            var made = await client.ExportAsync(request, cancellationToken: cancellation);
            if (result.GetValue(output) == VolumeCommands.JsonOutput) await ControlCommands.WriteJsonAsync(writer, made);
            else await DescribeAsync(writer, made, request.Volume!);
            return 0;
        });
    }

    private static Command BuildUnexport()
    {
        var volume = new Argument<string>("STORE/VOLUME") { Description = "The volume. Left out with --target: the whole target goes.", Arity = ArgumentArity.ZeroOrOne, DefaultValueFactory = _ => "" };
        var target = new Option<string>("--target", "-t") { Description = "Only from this target.", DefaultValueFactory = _ => "", HelpName = "NAME" };
        var yes = new Option<bool>("--yes", "-y") { Description = "Do not ask. Needed where there is no terminal to ask on." };
        var output = VolumeCommands.OutputOption();
        return ControlCommands.WithConnection(new Command("unexport", "Takes a volume away from its initiators. The volume stays as it is; unmount it there first.") { volume, target, yes, output }, async (client, result, writer, cancellation) =>
        {
            var request = new UnexportRequest { Volume = result.GetValue(volume)!, Target = result.GetValue(target)! };
            var what = request.Volume.Length == 0 ? $"target {request.Target}" : request.Target.Length == 0 ? $"volume {request.Volume}" : $"volume {request.Volume} from {request.Target}";
            Confirmation.Ask($"Initiators that use it lose the disk at once. Unexport {what}?", result.GetValue(yes));
            var reply = await client.UnexportAsync(request, cancellationToken: cancellation);
            if (result.GetValue(output) == VolumeCommands.JsonOutput) await ControlCommands.WriteJsonAsync(writer, reply);
            else foreach (var name in reply.Targets) await writer.WriteLineAsync(request.Volume.Length == 0 ? $"{name} is gone." : $"{request.Volume} is no longer exported by {name}.");
            return 0;
        });
    }

    private static Command BuildAcl()
    {
        var target = new Argument<string>("TARGET") { Description = "The target's name." };
        var initiator = new Argument<string>("INITIATOR") { Description = "The initiator's iSCSI name: /etc/iscsi/initiatorname.iscsi of a Linux host has it." };
        var remove = new Option<bool>("--remove") { Description = "It may not log in any more; its sessions end." };
        var output = VolumeCommands.OutputOption();
        return ControlCommands.WithConnection(new Command("acl", "Lets an initiator log in. With the first one everybody else is refused, and all sessions end: those of initiators that are listed come back by themselves.") { target, initiator, remove, output }, async (client, result, writer, cancellation) =>
        {
            var request = new SetInitiatorRequest { Target = result.GetValue(target), Initiator = result.GetValue(initiator), Remove = result.GetValue(remove) };
            var changed = await client.SetInitiatorAsync(request, cancellationToken: cancellation);
            if (result.GetValue(output) == VolumeCommands.JsonOutput)
            {
                await ControlCommands.WriteJsonAsync(writer, changed);
                return 0;
            }

            await writer.WriteLineAsync($"{changed.Name} may be used by: {string.Join(", ", changed.Initiators.Select(i => i.Name))}");
            if (changed.Initiators.Count == 1 && !request.Remove) await writer.WriteLineAsync("All others are refused from now on, and lose the disk if they use it. The sessions of this one come back by themselves.");
            return 0;
        });
    }

    private static Command BuildChap()
    {
        var target = new Argument<string>("TARGET") { Description = "The target's name." };
        var user = new Option<string>("--user", "-u") { Description = "The user that initiators must name.", DefaultValueFactory = _ => "", HelpName = "NAME" };
        var secret = new Option<string?>("--secret-file") { Description = "A file with the user's secret, 12 to 255 characters. Default: asked for, or read from standard input.", HelpName = "FILE" };
        var mutual = new Option<string>("--mutual-user") { Description = "The user that the target names in return (mutual CHAP).", DefaultValueFactory = _ => "", HelpName = "NAME" };
        var mutualSecret = new Option<string?>("--mutual-secret-file") { Description = "A file with its secret; another one than the user's.", HelpName = "FILE" };
        var initiator = new Option<string>("--initiator", "-i") { Description = "For this initiator of the target's list only.", DefaultValueFactory = _ => "", HelpName = "IQN" };
        var off = new Option<bool>("--off") { Description = "No CHAP any more." };
        var output = VolumeCommands.OutputOption();
        return ControlCommands.WithConnection(new Command("chap", "Says what initiators must know to log in (CHAP), and what the target proves in return.") { target, user, secret, mutual, mutualSecret, initiator, off, output }, async (client, result, writer, cancellation) =>
        {
            var request = new SetChapRequest { Target = result.GetValue(target), Initiator = result.GetValue(initiator) };
            if (!result.GetValue(off))
            {
                if (result.GetValue(user) is not { Length: > 0 } name) throw new ConfigurationException("Write --user NAME, or --off for no CHAP.");
                request.User = name;
                request.Secret = ReadSecret(result.GetValue(secret), $"Secret of {name}: ");
                request.MutualUser = result.GetValue(mutual)!;
                if (request.MutualUser.Length > 0) request.MutualSecret = ReadSecret(result.GetValue(mutualSecret), $"Secret of {request.MutualUser}: ");
            }

            var changed = await client.SetChapAsync(request, cancellationToken: cancellation);
            if (result.GetValue(output) == VolumeCommands.JsonOutput) await ControlCommands.WriteJsonAsync(writer, changed);
            else await writer.WriteLineAsync(request.User.Length == 0 ? $"{request.Target} asks for no CHAP any more." : $"{request.Target} asks for CHAP as {request.User} at the next login; sessions that exist go on.");
            return 0;
        });
    }

    /// <summary>Never from the command line, where every user of the host sees it.</summary>
    private static string ReadSecret(string? file, string prompt)
    {
        try
        {
            if (file is not null) return File.ReadAllText(file).TrimEnd('\r', '\n');
            if (Console.IsInputRedirected) return Console.In.ReadLine() ?? "";
            return AnsiConsole.Prompt(new TextPrompt<string>(Markup.Escape(prompt)).Secret());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException($"'{file}' cannot be read: {e.Message}");
        }
    }

    private static IEnumerable<string[]> Rows(Target target) => target.Luns.Select((lun, i) => (string[])
    [
        i == 0 ? target.Name : "", i == 0 ? target.Kind : "", lun.Lun_.ToString(CultureInfo.InvariantCulture), lun.Volume, lun.ReadOnly ? "read-only" : "read-write",
        i > 0 ? "" : target.Kind == "iscsi" ? string.Join(" ", target.Portals) : target.Disks.Count > 0 ? string.Join(" ", target.Disks) : "-",
        i > 0 ? "" : target.Kind != "iscsi" ? "-" : target.Initiators.Count > 0 ? string.Join(" ", target.Initiators.Select(n => n.Name + (n.ChapUser.Length > 0 ? " (CHAP)" : ""))) : target.ChapUser.Length > 0 ? "any (CHAP)" : "any",
        i > 0 ? "" : target.Declared ? "file" : "command",
    ]);

    private static async Task DescribeAsync(TextWriter writer, Target target, string volume)
    {
        var lun = target.Luns.First(l => l.Volume == volume);
        await writer.WriteLineAsync($"Volume {volume} is LUN {lun.Lun_} of {target.Name}{(lun.ReadOnly ? ", read-only" : "")}.");
        if (target.Kind == "loopback")
        {
            await writer.WriteLineAsync(target.Disks.Count > 0 ? $"It is {string.Join(" or ", target.Disks)} on this host." : "It appears on this host in a moment: 'lsscsi' or 'tcmu-gateway target list' shows it.");
            return;
        }

        if (target.Kind == "vhost")
        {
            await writer.WriteLineAsync($"For QEMU: -device vhost-scsi-pci,wwpn={target.Name}");
            return;
        }

        if (target.Initiators.Count == 0 && target.ChapUser.Length == 0) await writer.WriteLineAsync($"Anybody who reaches {string.Join(" or ", target.Portals)} may use it; 'tcmu-gateway target acl' and 'target chap' change that.");
        var portal = target.Portals[0].Replace("0.0.0.0", "THIS-HOST", StringComparison.Ordinal).Replace("[::]", "THIS-HOST", StringComparison.Ordinal);
        if (!portal.Contains(':', StringComparison.Ordinal) || portal.EndsWith(']')) portal += ":3260";
        await writer.WriteLineAsync("On the initiator (package open-iscsi), as root:");
        await writer.WriteLineAsync($"  iscsiadm -m discovery -t sendtargets -p {portal}");
        await writer.WriteLineAsync($"  iscsiadm -m node -T {target.Name} -p {portal} --login");
    }
}
