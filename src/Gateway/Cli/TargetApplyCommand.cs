using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using Gateway.Configuration;
using Gateway.Lio;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gateway.Cli;

/// <summary><c>target apply</c>: makes a file's declaration of backstores and exports true in LIO, beside a running <c>serve</c>. For tests.</summary>
internal static class TargetApplyCommand
{
    public static Command Build()
    {
        var file = new Argument<string>("FILE") { Description = "The declaration, as JSON." };
        var dryRun = new Option<bool>("--dry-run") { Description = "Show the steps and do none." };
        var command = new Command("apply", "Makes a declaration of backstores and exports true in LIO.") { file, dryRun };
        command.Hidden = true;
        command.SetAction((result, cancellation) => CommandLine.RunAsync(() => RunAsync(result, result.GetValue(file)!, result.GetValue(dryRun), cancellation), result.InvocationConfiguration.Error));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, string file, bool dryRun, CancellationToken cancellationToken)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        using var reconciler = new LioReconciler(new KernelConfigfs(), new Modprobe(), new LioOptions(), TimeProvider.System, NullLogger.Instance);
        var desired = Load(file);
        if (dryRun)
        {
            await output.WriteAsync((await reconciler.PlanAsync(desired, cancellationToken)).ToString());
            return 0;
        }

        var result = await reconciler.ReconcileAsync(desired, cancellationToken);
        foreach (var step in result.Steps) await output.WriteLineAsync(step.ToString());
        foreach (var failure in result.Failures) await error.WriteLineAsync($"tcmu-gateway: {failure}");
        foreach (var warning in result.Warnings) await error.WriteLineAsync($"tcmu-gateway: warning: {warning}");
        return result.Succeeded ? 0 : CommandLine.ExitFailed;
    }

    private static DesiredState Load(string file)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(file), DesiredStateJson.Default.DesiredState) ?? throw new ConfigurationException($"{file} is empty. Write {{}} to declare nothing.");
        }
        catch (JsonException e)
        {
            throw new ConfigurationException($"{file}, line {e.LineNumber + 1}: {e.Message}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException($"{file} cannot be read: {e.Message}");
        }
    }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    ReadCommentHandling = JsonCommentHandling.Skip,
    AllowTrailingCommas = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    Converters = [typeof(ChapSecretConverter)])]
[JsonSerializable(typeof(DesiredState))]
internal sealed partial class DesiredStateJson : JsonSerializerContext;

/// <summary>Reads CHAP secrets, and writes none.</summary>
internal sealed class ChapSecretConverter : JsonConverter<ChapSecret>
{
    public override ChapSecret Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        new(reader.GetString() ?? throw new JsonException("A secret is a text."));

    public override void Write(Utf8JsonWriter writer, ChapSecret value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
}
