using Gateway.Cli;
using Gateway.Configuration;

namespace Gateway.Doctor;

/// <summary>The configuration file, as 'config check' has it.</summary>
/// <param name="file">Its path.</param>
/// <param name="configuration">What it says; null if it is not valid.</param>
/// <param name="fault">Why it is not.</param>
/// <param name="isThere">Whether there is a file that can be read.</param>
internal sealed class ConfigurationChecks(string file, GatewayConfiguration? configuration, string? fault, bool isThere) : ICheckFamily
{
    public string Name => "configuration";

    public Task<IReadOnlyList<Finding>> RunAsync(CancellationToken cancellationToken)
    {
        var found = new Findings(Name);
        if (configuration is not null)
        {
            found.Ok(file, $"valid: stores {string.Join(", ", configuration.Stores.Keys.Order(StringComparer.Ordinal))}");
            foreach (var missing in ConfigCommands.MissingFiles(configuration)) found.Warning(file, missing, "Make it, or correct the setting. A running gateway reads secrets again when it needs them.");
        }
        else if (!isThere) found.NotLooked(file, fault!, "The other checks go by the defaults.");
        else found.Fault(file, fault!, "tcmu-gateway config check");
        return Task.FromResult(found.All);
    }
}
