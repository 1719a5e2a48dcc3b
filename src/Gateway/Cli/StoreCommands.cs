using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Gateway.Backends.Core;

namespace Gateway.Cli;

/// <summary><c>store list|test</c>.</summary>
internal static class StoreCommands
{
    public static Command Build() => new("store", "Lists and tries the stores of the configuration.") { BuildList(), BuildTest() };

    private static Command BuildList()
    {
        var output = VolumeCommands.OutputOption();
        var command = new Command("list", "Lists the stores of the configuration.") { output };
        command.SetAction((result, _) => VolumeCommands.RunAsync(result, async (stores, writer) =>
        {
            var configuration = VolumeCommands.Configuration(result);
            var rows = stores.Names.Select(name => new StoreLine(name, configuration.Stores[name].Type, stores.Get(name).Description)).ToList();
            if (result.GetValue(output) == VolumeCommands.JsonOutput) await writer.WriteLineAsync(JsonSerializer.Serialize(rows, StoreJson.Default.ListStoreLine));
            else await VolumeCommands.WriteTableAsync(writer, ["STORE", "TYPE", "WHERE"], rows.ConvertAll<string[]>(r => [r.Name, r.Type, r.Description]));
        }));
        return command;
    }

    private static Command BuildTest()
    {
        var store = new Argument<string>("STORE") { Description = "A store's name in the configuration." };
        var output = VolumeCommands.OutputOption();
        var command = new Command("test", "Tries everything that volumes need of a store: create-only puts and their races, ranged reads, listings, removal; and how long its requests take. Its objects begin with .selftest- and are removed.") { store, output };
        command.SetAction((result, cancellation) => VolumeCommands.RunAsync(result, async (stores, writer) =>
        {
            var name = result.GetValue(store)!;
            var blobs = stores.Get(name);
            var report = await StoreTrial.RunAsync(blobs, new Random(Environment.TickCount), cancellation);
            if (result.GetValue(output) == VolumeCommands.JsonOutput)
            {
                var measured = report.Measurements.Select(m => new MeasuredLine(m.Operation, m.Requests, m.Median.TotalMilliseconds, m.Slowest.TotalMilliseconds)).ToList();
                await writer.WriteLineAsync(JsonSerializer.Serialize(new TrialResult(name, blobs.Description, report.Faults.Count == 0, report.CreateOnlyWorks || report.EndedEarly is null ? report.CreateOnlyWorks : null, report.Faults, measured), StoreJson.Default.TrialResult));
            }
            else
            {
                await writer.WriteLineAsync($"{name}: {blobs.Description}");
                await VolumeCommands.WriteTableAsync(writer, null,
                [
                    ["create-only puts, one winner of a race", report.CreateOnlyWorks ? "yes" : report.EndedEarly is null ? "NO" : "not known"],
                    ["reads and listings see every put at once", report.Faults.Count == 0 ? "yes" : report.EndedEarly is null ? "see below" : "not known"],
                ]);
                if (report.Measurements.Count > 0)
                {
                    await writer.WriteLineAsync();
                    await VolumeCommands.WriteTableAsync(writer, ["REQUEST", "TIMES", "MEDIAN", "SLOWEST"], [.. report.Measurements.Select(m => (string[])[m.Operation, m.Requests.ToString(CultureInfo.InvariantCulture), Milliseconds(m.Median), Milliseconds(m.Slowest)])]);
                }

                await writer.WriteLineAsync();
                await writer.WriteLineAsync(report.Faults.Count == 0 ? "The store can hold volumes." : report.EndedEarly is null ? "The store cannot be used for volumes as it is:" : "The store could not be tried to the end:");
                foreach (var fault in report.Faults) await writer.WriteLineAsync($"  - {fault}");
            }

            return report.Faults.Count == 0 ? 0 : CommandLine.ExitFailed;
        }));
        return command;
    }

    private static string Milliseconds(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{time.TotalMilliseconds:0.0} ms");
}

/// <summary>A store in JSON.</summary>
internal sealed record StoreLine(string Name, string Type, string Description);

/// <summary>A measurement in JSON.</summary>
internal sealed record MeasuredLine(string Operation, int Requests, double MedianMs, double SlowestMs);

/// <summary>A trial in JSON. Whether create-only puts work is null if the store failed before that was known.</summary>
internal sealed record TrialResult(string Store, string Description, bool Ok, bool? CreateOnlyWorks, IReadOnlyList<string> Faults, IReadOnlyList<MeasuredLine> Measurements);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(List<StoreLine>))]
[JsonSerializable(typeof(TrialResult))]
internal sealed partial class StoreJson : JsonSerializerContext;
