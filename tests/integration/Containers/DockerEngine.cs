using Xunit;

namespace Gateway.Integration.Tests.Containers;

/// <summary>The Docker engine that tests of containers need; <c>scripts/with-docker.sh</c> starts one where none runs.</summary>
internal static class DockerEngine
{
    /// <summary>Set to 1 where an engine must be there: its absence is then a failure instead of a reason to skip.</summary>
    public const string RequireVariable = "REQUIRE_DOCKER";

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    /// <summary>Skips the test, or fails it, where no engine answers.</summary>
    public static async Task RequireAsync()
    {
        var version = await TryRunAsync(Limit, "version", "--format", "{{.Server.Version}}");
        if (version is { ExitCode: 0 }) return;
        var reason = $"no Docker engine answers here: scripts/packages.sh docker, and run the tests by scripts/with-docker.sh as root ({version?.Error.Trim() ?? "there is no program 'docker'"})";
        if (Environment.GetEnvironmentVariable(RequireVariable) == "1") Assert.Fail(reason);
        Skip.If(true, reason);
    }

    /// <summary>Runs the client; null if there is none.</summary>
    public static async Task<CommandResult?> TryRunAsync(TimeSpan limit, params string[] arguments)
    {
        try
        {
            return await Command.RunAsync("docker", arguments, limit);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null;
        }
    }

    /// <summary>Runs the client, which must succeed, and returns what it printed.</summary>
    public static async Task<string> RunAsync(params string[] arguments)
    {
        var result = await Command.RunAsync("docker", arguments, TimeSpan.FromMinutes(2));
        Assert.True(result.ExitCode == 0, $"docker {string.Join(' ', arguments)}: {result}");
        return result.Output.Trim();
    }
}
