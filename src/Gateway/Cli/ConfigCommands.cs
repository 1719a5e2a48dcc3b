using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using Gateway.Configuration;

namespace Gateway.Cli;

/// <summary><c>config check|show|schema</c>.</summary>
internal static class ConfigCommands
{
    public static Command Build()
    {
        var check = new Command("check", "Reads the configuration file as the daemon would, and tells everything that is wrong with it. Nothing is changed, no store is asked.");
        var output = VolumeCommands.OutputOption();
        check.Options.Add(output);
        check.SetAction((result, _) => CommandLine.RunAsync(
            async () =>
            {
                if (result.GetValue(output) == VolumeCommands.JsonOutput) return await CheckAsJsonAsync(result);
                var file = result.GetValue(CommandLine.ConfigOption)!;
                var configuration = GatewayConfiguration.Load(file);
                foreach (var missing in MissingFiles(configuration)) await result.InvocationConfiguration.Error.WriteLineAsync($"tcmu-gateway: warning: {missing}");
                await result.InvocationConfiguration.Output.WriteLineAsync(
                    $"{file} is valid: stores {string.Join(", ", configuration.Stores.Keys.Order(StringComparer.Ordinal))}; {configuration.Volumes.Each.Count(v => v.Value.Size is not null)} volumes and " +
                    $"{configuration.Targets.Iscsi.Count + configuration.Targets.Loopback.Count + configuration.Targets.Vhost.Count} targets declared.");
                return 0;
            },
            result.InvocationConfiguration.Error));
        var show = new Command("show", "Prints the configuration as it holds: the file, what the environment says instead, and the defaults. Secrets are not in it, only the names of their files.");
        show.SetAction((result, _) => CommandLine.RunAsync(
            () => result.InvocationConfiguration.Output.WriteLineAsync(ConfigurationReader.Show(GatewayConfiguration.Load(result.GetValue(CommandLine.ConfigOption)!))),
            result.InvocationConfiguration.Error));
        var schema = new Command("schema", "Prints the JSON schema of the configuration, for editors: \"$schema\" in the file may name where it was put.");
        schema.SetAction((result, _) => CommandLine.RunAsync(() => result.InvocationConfiguration.Output.WriteAsync(Schema()), result.InvocationConfiguration.Error));
        return new Command("config", "Checks and shows the configuration.") { check, show, schema };
    }

    private static async Task<int> CheckAsJsonAsync(ParseResult result)
    {
        var file = result.GetValue(CommandLine.ConfigOption)!;
        ConfigurationVerdict verdict;
        try
        {
            verdict = new ConfigurationVerdict(file, true, [], [.. MissingFiles(GatewayConfiguration.Load(file))]);
        }
        catch (ConfigurationException e)
        {
            verdict = new ConfigurationVerdict(file, false, e.Faults, []);
        }

        await result.InvocationConfiguration.Output.WriteLineAsync(JsonSerializer.Serialize(verdict, ConfigurationVerdictJson.Default.ConfigurationVerdict));
        return verdict.Valid ? 0 : CommandLine.ExitFailed;
    }

    /// <summary>docs/gateway.schema.json, as it was when this program was built.</summary>
    internal static string Schema()
    {
        using var reader = new StreamReader(typeof(ConfigCommands).Assembly.GetManifestResourceStream("gateway.schema.json")!);
        return reader.ReadToEnd();
    }

    /// <summary>Files that are named and not there now; they may be when they are needed.</summary>
    internal static IEnumerable<string> MissingFiles(GatewayConfiguration configuration)
    {
        var files = configuration.Stores.SelectMany(s => new (string Setting, string? File)[]
        {
            ($"stores.{s.Key}.credentialsFile", s.Value.CredentialsFile), ($"stores.{s.Key}.secretAccessKeyFile", s.Value.SecretAccessKeyFile),
            ($"stores.{s.Key}.caFile", s.Value.CaFile), ($"stores.{s.Key}.clientCertificateFile", s.Value.ClientCertificateFile), ($"stores.{s.Key}.clientKeyFile", s.Value.ClientKeyFile), ($"stores.{s.Key}.tokenFile", s.Value.TokenFile),
        }).Concat(configuration.Targets.Chaps.Select(c => ($"targets.{c.Setting}.secretFile", c.Chap.SecretFile)))
          .Concat([("control.certificateFile", configuration.Control.CertificateFile), ("control.keyFile", configuration.Control.KeyFile), ("control.clientCaFile", configuration.Control.ClientCaFile)]);
        foreach (var (setting, file) in files)
            if (file is not null && !File.Exists(file)) yield return $"{setting}: there is no file '{file}'";
        foreach (var (setting, chap) in configuration.Targets.Chaps)
            if (chap.SecretEnv is { } variable && Environment.GetEnvironmentVariable(variable) is null) yield return $"targets.{setting}.secretEnv: there is no environment variable '{variable}' here";
        foreach (var (name, store) in configuration.Stores)
            if (store.Type == "file" && !Directory.Exists(store.Path)) yield return $"stores.{name}.path: there is no directory '{store.Path}'";
    }
}

/// <summary>What is to be said of a configuration file, in JSON.</summary>
internal sealed record ConfigurationVerdict(string File, bool Valid, IReadOnlyList<string> Faults, IReadOnlyList<string> Warnings);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(ConfigurationVerdict))]
internal sealed partial class ConfigurationVerdictJson : JsonSerializerContext;
