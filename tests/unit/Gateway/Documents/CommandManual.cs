using System.CommandLine;
using Gateway.Cli;

namespace Gateway.Tests.Documents;

/// <summary>Makes docs/man/tcmu-gateway.8 of the commands themselves.</summary>
internal static class CommandManual
{
    public static string Text
    {
        get
        {
            var root = CommandLine.Build();
            var page = new Roff("tcmu-gateway", 8, "System Administration");
            page.Section("NAME").Text("tcmu-gateway - turns cloud buckets into SCSI disks");
            page.Section("SYNOPSIS").Text("tcmu-gateway [--config FILE] COMMAND [ARGUMENT ...] [OPTION ...]");
            page.Section("DESCRIPTION")
                .Paragraph(root.Description!)
                .Paragraph("'tcmu-gateway serve' is the daemon. It serves the TCMU devices of the kernel's SCSI target (LIO) whose configuration string is gateway/STORE/VOLUME, and keeps what the configuration file declares and 'tcmu-gateway target' adds exported. The other commands make and look after volumes in their stores, or ask the running daemon.")
                .Paragraph("A volume is named STORE/VOLUME: a store's name in the configuration, and the volume's name in it. A SIZE is a number of bytes, or has a unit: 512MiB, 1.5TiB, 20GB.");
            page.Section("OPTIONS OF ALL COMMANDS");
            foreach (var option in root.Options.Where(o => !o.Hidden)) page.Item(Term(option), Meaning(option));
            page.Section("COMMANDS");
            foreach (var command in root.Subcommands.OrderBy(c => c.Name, StringComparer.Ordinal)) Describe(page, command, "tcmu-gateway");
            page.Section("EXIT STATUS")
                .Item("0", "Done.")
                .Item("1", "It failed, or the command line is wrong. One message on standard error says why and what to do.")
                .Item("3", "'volume check' found something wrong with the volume; 'doctor' found a fault.")
                .Item("4", "'volume check --repair' refused to repair.")
                .Item("130", "Interrupted (Ctrl-C). What was complete stays; what was not was never there. Commands that take long can be run again, and go on where they were.");
            page.Section("SIGNALS")
                .Item("SIGTERM, SIGINT", "End in order: serve drains its devices, brings journals to their stores for as long as volumes.closeTimeoutSeconds allows, and releases its volumes.")
                .Item("SIGHUP", "serve reads its configuration again, as 'tcmu-gateway reload' has it do.");
            page.Section("ENVIRONMENT")
                .Item("TCMU_GATEWAY_CONFIG", "The configuration file, instead of /etc/tcmu-gateway/gateway.json.")
                .Item("TCMU_GATEWAY_SOCKET", "The daemon's control socket, instead of that of the configuration.")
                .Item("TCMU_GATEWAY__A__B", "Holds before the setting a.b of the file: see tcmu-gateway.json(5).")
                .Item("AWS_*", "What the AWS SDK looks for where a store of type s3 has no credentials of its own.");
            page.Section("FILES")
                .Item("/etc/tcmu-gateway/gateway.json", "The configuration, tcmu-gateway.json(5).")
                .Item("/run/tcmu-gateway/control.sock", "The control API, for root, or for the members of control.group.")
                .Item("/var/lib/tcmu-gateway", "What 'target export' added, with its secrets, and what is known of exported volumes.")
                .Item("/var/lib/tcmu-gateway/journal", "Journals: acknowledged data that the stores do not have yet. Never remove them while a volume is in use.");
            page.Section("EXAMPLES")
                .Paragraph("A volume in a directory, exported over iSCSI:")
                .Example("tcmu-gateway volume create local/disk1 --size 10GiB", "tcmu-gateway target export local/disk1 --portal 192.0.2.10", "tcmu-gateway status")
                .Paragraph("Why is it slow?")
                .Example("tcmu-gateway doctor");
            page.Section("SEE ALSO").Text("tcmu-gateway.json(5), targetcli(8), iscsiadm(8), multipath(8)");
            return page.ToString();
        }
    }

    private static void Describe(Roff page, Command command, string path)
    {
        var name = $"{path} {command.Name}";
        if (command.Subcommands.Count == 0 || command.Action is not null)
        {
            page.Subsection(Usage(command, name)).Text(command.Description!);
            foreach (var argument in command.Arguments.Where(a => !a.Hidden)) page.Item(argument.Name, Meaning(argument));
            foreach (var option in command.Options.Where(o => !o.Hidden && o is not System.CommandLine.Help.HelpOption)) page.Item(Term(option), Meaning(option));
        }

        foreach (var inner in command.Subcommands.Where(c => !c.Hidden)) Describe(page, inner, name);
    }

    private static string Usage(Command command, string name)
    {
        var arguments = command.Arguments.Where(a => !a.Hidden).Select(a => a.Arity.MinimumNumberOfValues == 0 ? $"[{a.Name}]" : a.Name);
        var required = command.Options.Where(o => o.Required).Select(o => $"{o.Name} {o.HelpName}");
        return string.Join(' ', [name, .. arguments, .. required, .. command.Options.Any(o => !o.Required && !o.Hidden) ? (string[])["[OPTION ...]"] : []]);
    }

    private static string Term(Option option)
    {
        var names = option.Aliases.Append(option.Name).Where(n => n != "/?" && n != "/h").OrderBy(n => n.Length).ThenBy(n => n, StringComparer.Ordinal);
        return string.Join(", ", names) + (option.HelpName is { } value ? $" {value}" : "");
    }

    private static string Meaning(Symbol symbol)
    {
        // What comes of the machine at hand is no default to write down.
        var value = symbol switch
        {
            Option { HasDefaultValue: true } option when option != CommandLine.ConfigOption => option.GetDefaultValue(),
            Argument { HasDefaultValue: true } argument => argument.GetDefaultValue(),
            _ => null,
        };
        var text = symbol == CommandLine.ConfigOption ? $"{symbol.Description} Default: that of TCMU_GATEWAY_CONFIG, else /etc/tcmu-gateway/gateway.json." : symbol.Description ?? "";
        return value is null or bool or "" or -1 or int.MaxValue || text.Contains("Default", StringComparison.Ordinal) ? text : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{text} Default: {value}.");
    }
}
