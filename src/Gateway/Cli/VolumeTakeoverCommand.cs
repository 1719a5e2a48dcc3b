using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Gateway.Configuration;
using Gateway.Serving;
using Gateway.Volumes.Leases;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gateway.Cli;

/// <summary><c>volume takeover</c>: takes a volume from a gateway that did not release it.</summary>
internal static class VolumeTakeoverCommand
{
    public static Command Build()
    {
        var path = VolumeCommands.PathArgument();
        var force = new Option<bool>("--force") { Description = "Give up flushed writes that only the last writer's journal holds; and vouch that a writer which serves without a lease has stopped." };
        var output = VolumeCommands.OutputOption();
        var command = new Command("takeover", "Takes a volume from the gateway that opened it last: that one is fenced at once, its lease is waited out, and then any gateway may open the volume. Opens nothing itself.") { path, force, output };
        command.SetAction((result, cancellation) => VolumeCommands.RunAsync(result, async (stores, writer) =>
        {
            var name = VolumePath.Parse(result.GetValue(path)!);
            var options = VolumeCommands.Configuration(result).ToVolumeOptions(name);
            var error = result.InvocationConfiguration.Error;
            var takeover = new VolumeTakeover(stores.Get(name.Store), options, ThisProgram.Owner, BootTimeProvider.Instance, wait => Tell(error, wait), NullLogger.Instance);
            var outcome = await takeover.RunAsync(name.Volume, result.GetValue(force), cancellation);
            if (result.GetValue(output) == VolumeCommands.JsonOutput) await writer.WriteLineAsync(JsonSerializer.Serialize(outcome, TakeoverJson.Default.TakeoverOutcome));
            else await writer.WriteLineAsync(Describe(name, outcome));
        }));
        return command;
    }

    private static void Tell(TextWriter error, OpeningWait wait) =>
        error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Math.Ceiling(wait.Left.TotalSeconds)} s left: {wait.Reason}"));

    internal static string Describe(VolumePath name, TakeoverOutcome outcome)
    {
        if (outcome.Epoch == 0) return $"Volume {name} was never opened: any gateway may open it.";
        if (outcome.WasReleased) return $"Volume {name} is released: any gateway may open it. Nothing was changed.";
        var lost = outcome.FirstWriteLost == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"\nFlushed writes {(outcome.LastWriteLost > 0 ? $"{outcome.FirstWriteLost} to {outcome.LastWriteLost}" : $"from {outcome.FirstWriteLost} on")} were given up; if the journal of {outcome.From} is found, 'tcmu-gateway volume journal show' tells what they are.");
        return $"Volume {name} was taken from {outcome.From}: any gateway may open it.{lost}";
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(TakeoverOutcome))]
internal sealed partial class TakeoverJson : JsonSerializerContext;
