using System.CommandLine;
using Gateway.Backends.Core;
using Gateway.Bench;
using Gateway.Bench.Suite;
using Gateway.Cli.Completion;
using Gateway.Configuration;
using Gateway.Transfer.Images;
using Gateway.Volumes;

namespace Gateway.Cli;

/// <summary>The program's commands and what they share: where the configuration is, how failures are told.</summary>
internal static class CommandLine
{
    /// <summary>Exit code of a failure that the message explains.</summary>
    public const int ExitFailed = 1;

    /// <summary>Exit code after Ctrl-C, as shells have it.</summary>
    public const int ExitInterrupted = 130;

    public static readonly Option<string> ConfigOption = new("--config", "-c")
    {
        Description = "The configuration file.",
        DefaultValueFactory = _ => Environment.GetEnvironmentVariable("TCMU_GATEWAY_CONFIG") ?? GatewayConfiguration.DefaultPath,
        HelpName = "FILE",
        Recursive = true,
    };

    public static RootCommand Build()
    {
        var root = new RootCommand("Turns cloud buckets into SCSI disks: serves LIO's TCMU devices from volumes in an object store.");
        root.Options.Add(ConfigOption);
        root.Subcommands.Add(ServeCommand.Build());
        root.Subcommands.Add(VolumeCommands.Build());
        root.Subcommands.Add(ControlCommands.BuildStatus());
        root.Subcommands.Add(HealthCommand.Build());
        root.Subcommands.Add(TopCommand.Build());
        root.Subcommands.Add(ControlCommands.BuildEvents());
        root.Subcommands.Add(ControlCommands.BuildReload());
        root.Subcommands.Add(DoctorCommand.Build());
        root.Subcommands.Add(StoreCommands.Build());
        root.Subcommands.Add(ConfigCommands.Build());
        root.Subcommands.Add(BlobServerCommand.Build());
        root.Subcommands.Add(BenchCommand.Build());
        root.Subcommands.Add(TargetCommands.Build());
        root.Subcommands.Add(CompletionCommand.Build());
        CompletionCommand.AddNames(root);
        return root;
    }

    /// <summary>Runs a command and turns the failures that a person can mend into one clear message and exit code 1.</summary>
    public static Task<int> RunAsync(Func<Task> command, TextWriter error) => RunAsync(
        async () =>
        {
            await command();
            return 0;
        },
        error);

    /// <inheritdoc cref="RunAsync(Func{Task}, TextWriter)"/>
    public static async Task<int> RunAsync(Func<Task<int>> command, TextWriter error)
    {
        try
        {
            return await command();
        }
        catch (Exception e) when (e is ConfigurationException or VolumeException or ImageException or LoadException or SuiteException)
        {
            await error.WriteLineAsync($"tcmu-gateway: {e.Message}");
            return ExitFailed;
        }
        catch (BlobStoreException e)
        {
            await error.WriteLineAsync($"tcmu-gateway: {e.Message}");
            return ExitFailed;
        }
        catch (OperationCanceledException)
        {
            await error.WriteLineAsync("tcmu-gateway: interrupted; what was complete stays, what was not was never there.");
            return ExitInterrupted;
        }
    }
}
