using System.CommandLine;
using Gateway.Bench.Suite;

namespace Gateway.Cli;

/// <summary><c>bench suite</c>: all figures that the project sets itself, with their targets.</summary>
internal static class BenchSuiteCommand
{
    private static readonly Option<string?> Only = new("--only") { Description = "Only these figures, separated by commas.", HelpName = "IDS" };
    private static readonly Option<string?> Report = new("--report") { Description = "A file to write the figures to, as JSON.", HelpName = "FILE" };
    private static readonly Option<string> Directory = new("--directory", "-d") { Description = "On the local disk to be measured; 10 GiB should be free there.", DefaultValueFactory = _ => ".", HelpName = "DIR" };
    private static readonly Option<string?> Group = new("--group") { Description = "Measure one group in this process.", Hidden = true };

    private static readonly Option<string?> Step = new("--step") { Description = "Only this step of the group.", Hidden = true };

    public static Command Build()
    {
        var command = new Command("suite", "Measures the gateway on this machine against the project's own targets; takes about 15 minutes.") { Only, Report, Directory, Group, Step };
        command.SetAction((result, cancellation) => CommandLine.RunAsync(() => RunAsync(result, cancellation), result.InvocationConfiguration.Error));
        return command;
    }

    private static async Task RunAsync(ParseResult result, CancellationToken cancellationToken)
    {
        var (output, error) = (result.InvocationConfiguration.Output, result.InvocationConfiguration.Error);
        var directory = Path.GetFullPath(result.GetValue(Directory)!);
        if (result.GetValue(Group) is { } group)
        {
            await SuiteRunner.RunHereAsync(group, result.GetValue(Step), new SuiteContext(directory, output, error), cancellationToken);
            return;
        }

        var results = await SuiteRunner.RunAsync(SuiteRunner.Select(result.GetValue(Only)), directory, error, cancellationToken);
        if (result.GetValue(Report) is { } file) await File.WriteAllTextAsync(file, SuiteRunner.Serialize(results) + "\n", cancellationToken);
        await output.WriteLineAsync(SuiteRunner.Table(results));
        var unmeasured = results.Where(r => r.Value is null).Select(r => r.Id).ToList();
        if (unmeasured.Count > 0) throw new SuiteException($"not measured: {string.Join(", ", unmeasured)}; see above why.");
    }
}
