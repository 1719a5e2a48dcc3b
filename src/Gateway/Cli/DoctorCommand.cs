using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Gateway.Configuration;
using Gateway.Doctor;
using Gateway.Interop;
using Gateway.Serving;
using Gateway.Tcmu;

namespace Gateway.Cli;

/// <summary><c>doctor</c>: why it is slow or stuck.</summary>
internal static class DoctorCommand
{
    /// <summary>Exit code when there is a fault, as with 'volume check'.</summary>
    public const int FaultExitCode = VolumeCheckCommand.DamagedExitCode;

    private static readonly string[] Families = ["configuration", "kernel", "devices", "initiator", "daemon", "process", "disk", "clock", "store"];

    public static Command Build()
    {
        var only = new Option<string[]>("--only") { Description = $"Only these kinds of checks, as often as needed: {string.Join(", ", Families)}.", HelpName = "KIND", AllowMultipleArgumentsPerToken = true };
        only.AcceptOnlyFromAmong(Families);
        var socket = new Option<string?>("--socket") { Description = "The daemon's control socket. Default: that of the configuration.", HelpName = "FILE" };
        var output = VolumeCommands.OutputOption();
        var command = new Command("doctor", $"Looks for what makes this host's gateway slow or stuck, and says what to do about it. Needs no daemon and, as far as it may look, not root; changes nothing. Exit code {FaultExitCode}: there is a fault.") { only, socket, output };
        command.SetAction((result, cancellation) => CommandLine.RunAsync(
            async () =>
            {
                var report = await LookAsync(result.GetValue(CommandLine.ConfigOption)!, result.GetValue(socket), result.GetValue(only) is { Length: > 0 } some ? some : Families, cancellation);
                var writer = result.InvocationConfiguration.Output;
                if (result.GetValue(output) == VolumeCommands.JsonOutput) await writer.WriteLineAsync(JsonSerializer.Serialize(report, DoctorJson.Default.DoctorReport));
                else await DoctorText.WriteAsync(writer, report);
                return report.Worst == Severity.Fault ? FaultExitCode : 0;
            },
            result.InvocationConfiguration.Error));
        return command;
    }

    private static async Task<DoctorReport> LookAsync(string file, string? socket, string[] wanted, CancellationToken cancellationToken)
    {
        var time = TimeProvider.System;
        var (configuration, fault) = Load(file);
        var host = new Host(new HostRoots(), new KernelFiles());
        var settings = configuration ?? new GatewayConfiguration();
        var isDaemonWanted = wanted.Any(w => w is "daemon" or "process");
        socket ??= Environment.GetEnvironmentVariable("TCMU_GATEWAY_SOCKET") ?? settings.Control.Socket;
        var (view, whyNot, mayAsk) = isDaemonWanted ? await DaemonLook.RunAsync(socket, time, cancellationToken) : default;
        var commandTimeout = TimeSpan.FromSeconds(settings.Volumes.CommandTimeoutSeconds);
        var isNeeded = new UioDiscovery(host.Files, host.Roots.Kernel.Sysfs, host.Roots.Kernel.Dev, time).Scan().Count > 0;
        await using var stores = new StoreSet(settings, time);
        ICheckFamily[] families =
        [
            new ConfigurationChecks(file, configuration, fault, File.Exists(file)),
            new KernelChecks(host, Declared(settings)),
            new DeviceChecks(host, commandTimeout),
            new InitiatorChecks(host, commandTimeout),
            new DaemonChecks(view, whyNot, mayAsk, isNeeded, settings.Volumes.HighWaterPercent),
            new ProcessChecks(host, configuration, view?.Before.ProcessId),
            new DiskChecks(host, configuration, (directory, token) => FlushProbe.RunAsync(directory, time, token)),
            new ClockChecks(configuration, Clock.State(), () => new HttpClient(), time),
            new StoreChecks(configuration, stores.OpenPlain, time),
        ];
        var findings = await DoctorRun.RunAsync(families.Where(f => wanted.Contains(f.Name)), cancellationToken);
        return new DoctorReport(Environment.MachineName, ThisProgram.Version, host.KernelRelease, time.GetUtcNow(), findings.Max(f => f.Severity), findings);
    }

    private static (GatewayConfiguration? Configuration, string? Fault) Load(string file)
    {
        try
        {
            return (GatewayConfiguration.Load(file), null);
        }
        catch (ConfigurationException e)
        {
            return (null, e.Message);
        }
    }

    private static HashSet<string> Declared(GatewayConfiguration configuration)
    {
        var targets = configuration.Targets;
        return [.. new (string Kind, int Count)[] { ("iscsi", targets.Iscsi.Count), ("loopback", targets.Loopback.Count), ("vhost", targets.Vhost.Count) }.Where(t => t.Count > 0).Select(t => t.Kind)];
    }
}

/// <summary>A report for people: what is wrong first, the worst of it at the top, then what is as it should be.</summary>
internal static class DoctorText
{
    private static readonly (Severity Severity, string One, string Many)[] Kinds = [(Severity.Fault, "fault", "faults"), (Severity.Warning, "warning", "warnings"), (Severity.Note, "note", "notes"), (Severity.Ok, "ok", "ok")];

    public static async Task WriteAsync(TextWriter writer, DoctorReport report)
    {
        foreach (var finding in report.Findings.Where(f => f.Severity > Severity.Ok).OrderByDescending(f => f.Severity))
        {
            await writer.WriteLineAsync($"{Label(finding.Severity)}  {finding.Family}: {finding.Check}: {finding.Measured}".ReplaceLineEndings("\n         "));
            if (finding.Remedy is not null) await writer.WriteLineAsync($"         -> {finding.Remedy}");
        }

        if (report.Findings.Any(f => f.Severity > Severity.Ok)) await writer.WriteLineAsync();
        foreach (var finding in report.Findings.Where(f => f.Severity == Severity.Ok)) await writer.WriteLineAsync($"{Label(Severity.Ok)}  {finding.Family}: {finding.Check}: {finding.Measured}");
        await writer.WriteLineAsync();
        var counts = Kinds.Select(k => (k, Count: report.Count(k.Severity))).Where(k => k.Count > 0).Select(k => string.Create(CultureInfo.InvariantCulture, $"{k.Count} {(k.Count == 1 ? k.k.One : k.k.Many)}"));
        await writer.WriteLineAsync($"{report.Host}, Linux {report.Kernel ?? "?"}, tcmu-gateway {report.Version}: {string.Join(", ", counts)}.");
    }

    private static string Label(Severity severity) => severity switch { Severity.Fault => "FAULT  ", Severity.Warning => "warning", Severity.Note => "note   ", _ => "ok     " };
}
