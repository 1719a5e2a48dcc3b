using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Gateway.Volumes.Checking;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gateway.Cli;

/// <summary><c>volume check</c>: proves everything that a volume has in its bucket.</summary>
internal static class VolumeCheckCommand
{
    /// <summary>Exit code when something is damaged.</summary>
    public const int DamagedExitCode = 3;

    /// <summary>Exit code when a repair was asked for and refused: nothing of the volume was changed.</summary>
    public const int RefusedExitCode = 4;

    private const int FindingsMax = 50;

    public static Command Build()
    {
        var path = VolumeCommands.PathArgument();
        var output = VolumeCommands.OutputOption();
        var repair = new Option<bool>("--repair") { Description = $"First mend what is damaged of the map, if it can be proven that no block changes. Not while the volume is served. Exit code {RefusedExitCode}: refused." };
        var force = new Option<bool>("--force-offline") { Description = "With --repair: no gateway serves the volume, although its last writer has not released it. One that does is fenced." };
        var command = new Command("check", $"Reads everything that a volume has in its bucket and proves every checksum, reference and count. Without --repair it changes nothing and may run while the volume is served. Exit code {DamagedExitCode}: something is wrong.") { path, repair, force, output };
        command.SetAction((result, cancellation) => VolumeCommands.RunAsync(result, async (stores, writer) =>
        {
            var name = Configuration.VolumePath.Parse(result.GetValue(path)!);
            var error = result.InvocationConfiguration.Error;
            if (result.GetValue(repair) && !await RepairAsync(stores.Get(name.Store), name.Volume, result.GetValue(force), error, cancellation)) return RefusedExitCode;
            var report = await CheckDisplay.RunAsync(error, progress => new VolumeChecker(stores.Get(name.Store), name.Volume, progress).RunAsync(cancellation));
            if (result.GetValue(output) == VolumeCommands.JsonOutput) await writer.WriteLineAsync(JsonSerializer.Serialize(report, CheckJson.Default.CheckReport));
            else await WriteAsync(writer, report);
            return report.IsClean ? 0 : DamagedExitCode;
        }));
        return command;
    }

    /// <summary>Repairs, and says what it did on standard error, so that the output stays that of a check. False: refused.</summary>
    private static async Task<bool> RepairAsync(Backends.Core.IBlobStore store, string volume, bool forceOffline, TextWriter error, CancellationToken cancellationToken)
    {
        var owner = $"{Environment.MachineName}, process {Environment.ProcessId}";
        var repairer = new VolumeRepairer(store, volume, owner, TimeProvider.System, new Random(Environment.ProcessId), NullLogger.Instance);
        var report = await repairer.RunAsync(forceOffline, cancellationToken);
        foreach (var line in report.Lines) await error.WriteLineAsync($"repair: {line}");
        return report.Outcome != RepairOutcome.Refused;
    }

    internal static async Task WriteAsync(TextWriter writer, CheckReport report)
    {
        foreach (var finding in report.Findings.Take(FindingsMax))
            await writer.WriteLineAsync($"{finding.Severity.ToString().ToLowerInvariant()}: {(finding.Blob.Length > 0 ? finding.Blob + ": " : "")}{finding.Message}");
        if (report.Findings.Count > FindingsMax) await writer.WriteLineAsync($"... and {report.Findings.Count - FindingsMax} more; --output json shows all.");
        foreach (var range in report.Damaged)
            await writer.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"cannot be read: LBA {range.Lba} to {range.Lba + range.Blocks - 1} ({range.Blocks} blocks): {range.Reason}"));
        await writer.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{report.Segments} segments and {report.Frames} frames read; {ByteSize.Format(report.MappedBytes)} of the volume have data, in {ByteSize.Format(report.StoredBytes)}. Checkpoint {report.Checkpoint}, log up to {report.Position}."));
        await writer.WriteLineAsync(report.IsClean ? "The volume is clean." : "The volume is damaged. Blocks named above end in MEDIUM ERROR until they are written again or their objects are restored; everything else is intact.");
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, UseStringEnumConverter = true)]
[JsonSerializable(typeof(CheckReport))]
internal sealed partial class CheckJson : JsonSerializerContext;
