using System.CommandLine;
using Gateway.Configuration;

namespace Gateway.Cli.Completion;

/// <summary><c>completion</c>: prints what a shell needs to complete this program's commands.</summary>
internal static class CompletionCommand
{
    private static readonly string[] Shells = ["bash", "zsh", "fish"];

    public static Command Build()
    {
        var shell = new Argument<string>("SHELL") { Description = "bash, zsh or fish." };
        shell.AcceptOnlyFromAmong(Shells);
        var command = new Command("completion", "Prints a script that has your shell complete commands, options and names: source <(tcmu-gateway completion bash). For good: /etc/bash_completion.d/tcmu-gateway, zsh: _tcmu-gateway in a directory of fpath, fish: ~/.config/fish/completions/tcmu-gateway.fish.") { shell };
        command.SetAction((result, _) => CommandLine.RunAsync(() => result.InvocationConfiguration.Output.WriteAsync(ScriptOf(result.GetValue(shell)!)), result.InvocationConfiguration.Error));
        return command;
    }

    /// <summary>Has all arguments and options that name a store, a volume or a target complete it, by what help calls them.</summary>
    public static void AddNames(Command command)
    {
        foreach (var argument in command.Arguments)
            if (SourceOf(argument.Name) is { } names) argument.CompletionSources.Add(context => names(context.ParseResult));
        foreach (var option in command.Options)
            if (SourceOf(option.Name == "--target" ? "TARGET" : option.HelpName) is { } names) option.CompletionSources.Add(context => names(context.ParseResult));
        foreach (var inner in command.Subcommands) AddNames(inner);
    }

    private static Func<ParseResult, IEnumerable<string>>? SourceOf(string? name) => name switch
    {
        "STORE" => KnownNames.Stores,
        "STORE/VOLUME" => KnownNames.Volumes,
        "TARGET" => KnownNames.Targets,
        _ => null,
    };

    private static string ScriptOf(string shell)
    {
        using var stream = typeof(CompletionCommand).Assembly.GetManifestResourceStream($"completion.{shell}") ?? throw new ConfigurationException($"There is no script for {shell}.");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
