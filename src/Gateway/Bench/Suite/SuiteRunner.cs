using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Gateway.Configuration;

namespace Gateway.Bench.Suite;

/// <summary>Measures the figures that the project sets itself, each group in a process of its own, and reports them all.</summary>
internal static class SuiteRunner
{
    /// <summary>The figures of a comma-separated list; all of them if it is null.</summary>
    /// <exception cref="ConfigurationException">One is unknown.</exception>
    public static SuiteTarget[] Select(string? list) => list is null ? SuiteTarget.All : [.. list.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(id =>
        Array.Find(SuiteTarget.All, t => t.Id == id)
        ?? throw new ConfigurationException($"There is no figure '{id}'. There are: {string.Join(", ", SuiteTarget.All.Select(t => t.Id))}."))];

    /// <summary>Measures the selected figures one group after the other; those that cannot be measured have no value.</summary>
    public static async Task<List<SuiteResult>> RunAsync(SuiteTarget[] selected, string directory, TextWriter progress, CancellationToken cancellationToken)
    {
        var values = new Dictionary<string, double>();
        foreach (var group in SuiteGroup.All.Where(g => g.Targets.Intersect(selected).Any()))
        {
            await progress.WriteLineAsync(string.Join(", ", group.Targets.Select(t => t.Id)));
            try
            {
                foreach (var (id, value) in SuiteContext.ParseValues(await RunGroupAsync(group, directory, cancellationToken))) values[id] = value;
            }
            catch (SuiteException e)
            {
                await progress.WriteLineAsync($"    not measured: {e.Message}");
            }
        }

        return [.. selected.Select(t => values.TryGetValue(t.Id, out var value)
            ? new SuiteResult(t.Id, value, t.Unit, t.Target, t.IsMetBy(value))
            : new SuiteResult(t.Id, null, t.Unit, t.Target, false))];
    }

    /// <summary>Measures one group here and now: what the processes that <see cref="RunAsync"/> starts do.</summary>
    /// <exception cref="SuiteException">It cannot be measured.</exception>
    public static Task RunHereAsync(string name, string? step, SuiteContext context, CancellationToken cancellationToken)
    {
        var group = Array.Find(SuiteGroup.All, g => g.Targets[0].Id == name) ?? throw new SuiteException($"there is no group '{name}'");
        return step is null ? group.MeasureAsync(context, cancellationToken) : group.RunStepAsync(step, context, cancellationToken);
    }

    public static string Serialize(List<SuiteResult> results) => JsonSerializer.Serialize(results, SuiteJson.Default.ListSuiteResult);

    /// <summary>The figures for a person.</summary>
    public static string Table(List<SuiteResult> results)
    {
        var lines = results.ConvertAll(r =>
        {
            var target = Array.Find(SuiteTarget.All, t => t.Id == r.Id)!;
            var verdict = r.Value is null ? "not measured" : r.Met ? "met" : "MISSED";
            return string.Create(CultureInfo.InvariantCulture, $"{r.Id,-20} {Text(r.Value),12} {r.Unit,-14} {(target.AtLeast ? ">=" : "<=")} {Text(r.Target),9}  {verdict,-12}  {target.Measure}");
        });
        return string.Join('\n', lines);

        static string Text(double? value) => value is not { } v ? "-" : v >= 1000 ? v.ToString("N0", CultureInfo.InvariantCulture) : v.ToString("0.###", CultureInfo.InvariantCulture);
    }

    private static Task<string> RunGroupAsync(SuiteGroup group, string directory, CancellationToken cancellationToken)
    {
        var self = Environment.ProcessPath!;
        string[] arguments = ["bench", "suite", "--directory", directory, "--group", group.Targets[0].Id];
        return group.OneCore
            ? ChildProcess.RunAsync("taskset", ["--cpu-list", "0", self, .. arguments], group.TimeLimit, "apt-get install util-linux", cancellationToken)
            : ChildProcess.RunAsync(self, arguments, group.TimeLimit, "build it anew", cancellationToken);
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(List<SuiteResult>))]
internal sealed partial class SuiteJson : JsonSerializerContext;
