using System.Globalization;
using System.Text.Json;
using Xunit;
using Xunit.Abstractions;

namespace Gateway.Integration.Tests.Containers;

/// <summary>The container image, built here and run by a real engine.</summary>
[Trait("Category", "Container")]
public sealed class ContainerImageTests(ContainerImageTests.Built image, ITestOutputHelper output) : IClassFixture<ContainerImageTests.Built>
{
    private const long BytesMax = 120L << 20;
    private static readonly TimeSpan HealthyMax = TimeSpan.FromMinutes(1);

    [SkippableFact]
    public async Task Image_Built_IsSmallLabelledAndHasNoShell()
    {
        await image.RequireAsync();

        using var json = JsonDocument.Parse(await DockerEngine.RunAsync("image", "inspect", Built.Name));
        var root = json.RootElement[0];
        var config = root.GetProperty("Config");
        var bytes = root.GetProperty("Size").GetInt64();
        Notes.Say(string.Create(CultureInfo.InvariantCulture, $"Container image: {bytes / 1e6:0.0} MB"));

        Assert.InRange(bytes, 1, BytesMax);
        Assert.Equal("/usr/bin/tcmu-gateway", Assert.Single(config.GetProperty("Entrypoint").EnumerateArray()).GetString());
        Assert.Equal("serve", Assert.Single(config.GetProperty("Cmd").EnumerateArray()).GetString());
        Assert.Equal("SIGTERM", config.GetProperty("StopSignal").GetString());
        Assert.True(config.GetProperty("Volumes").TryGetProperty("/var/lib/tcmu-gateway", out _));
        Assert.True(config.TryGetProperty("Healthcheck", out _));
        var labels = config.GetProperty("Labels");
        foreach (var name in (string[])["title", "description", "version", "revision", "created"])
            Assert.NotEqual("", labels.GetProperty($"org.opencontainers.image.{name}").GetString());
        foreach (var shell in (string[])["/bin/sh", "/bin/bash", "/usr/bin/dash", "/bin/busybox"])
        {
            var run = await DockerEngine.TryRunAsync(TimeSpan.FromMinutes(1), "run", "--rm", "--entrypoint", shell, Built.Name, "-c", "true");
            Assert.NotEqual(0, run!.ExitCode);
            Assert.Contains("no such file", run.Error, StringComparison.OrdinalIgnoreCase);
        }
    }

    [SkippableFact]
    public async Task Image_Commands_RunOnTheConfigurationThatIsMounted()
    {
        await image.RequireAsync();

        Assert.Matches(@"^\d+\.\d+\.\d+", await DockerEngine.RunAsync("run", "--rm", Built.Name, "--version"));
        Assert.Contains("valid", await DockerEngine.RunAsync("run", "--rm", Built.Name, "config", "check"), StringComparison.Ordinal);
        var mount = $"{image.WriteConfiguration("{ \"stores\": { \"s\": { \"type\": \"tape\" } } }")}:/etc/tcmu-gateway/gateway.json:ro";
        var faulty = await DockerEngine.TryRunAsync(TimeSpan.FromMinutes(1), "run", "--rm", "-v", mount, Built.Name, "config", "check");
        Assert.Equal(1, faulty!.ExitCode);
        Assert.Contains("'tape' is no type of store", faulty.Error, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task BlobServer_InAContainer_IsReachableHealthyAndStopsInOrder()
    {
        await image.RequireAsync();
        var id = await DockerEngine.RunAsync(
            "run", "--detach", "--publish", "127.0.0.1::7443", "--env", "TCMU_GATEWAY_HEALTH=grpc://127.0.0.1:7443", "--health-interval", "1s", "--health-start-period", "0s", Built.Name,
            "blob-server", "local", "--listen", "http://0.0.0.0:7443", "--insecure");
        try
        {
            await WaitForHealthAsync(id, "healthy");
            var address = (await DockerEngine.RunAsync("port", id, "7443")).Split('\n')[0];

            var check = await Command.RunAsync(Repository.Gateway, ["blob-server", "check", $"http://{address}", "--request-timeout", "120"], TimeSpan.FromMinutes(6));
            output.WriteLine(check.ToString());
            Assert.True(check.ExitCode == 0, check.ToString());

            await DockerEngine.RunAsync("stop", "--time", "30", id);
            Assert.NotEqual("137", await DockerEngine.RunAsync("inspect", "--format", "{{.State.ExitCode}}", id));
        }
        finally
        {
            await DockerEngine.TryRunAsync(TimeSpan.FromMinutes(1), "rm", "--force", "--volumes", id);
        }
    }

    [SkippableFact]
    public async Task Health_OfWhatDoesNotAnswer_IsUnhealthy()
    {
        await image.RequireAsync();
        var id = await DockerEngine.RunAsync(
            "run", "--detach", "--env", "TCMU_GATEWAY_HEALTH=grpc://127.0.0.1:1", "--health-interval", "1s", "--health-start-period", "0s", "--health-retries", "1", Built.Name,
            "blob-server", "local", "--listen", "http://127.0.0.1:7443");
        try
        {
            await WaitForHealthAsync(id, "unhealthy");

            Assert.Contains("cannot be asked", await DockerEngine.RunAsync("inspect", "--format", "{{(index .State.Health.Log 0).Output}}", id), StringComparison.Ordinal);
        }
        finally
        {
            await DockerEngine.TryRunAsync(TimeSpan.FromMinutes(1), "rm", "--force", "--volumes", id);
        }
    }

    private static async Task WaitForHealthAsync(string id, string wanted)
    {
        var since = TimeProvider.System.GetTimestamp();
        for (var seen = ""; seen != wanted; await Task.Delay(TimeSpan.FromMilliseconds(200), TimeProvider.System))
        {
            seen = await DockerEngine.RunAsync("inspect", "--format", "{{.State.Health.Status}}", id);
            if (seen == wanted) return;
            if (TimeProvider.System.GetElapsedTime(since) > HealthyMax) Assert.Fail($"{id} is {seen}, not {wanted}: {await DockerEngine.RunAsync("inspect", "--format", "{{json .State}}", id)}\n{await DockerEngine.RunAsync("logs", id)}");
        }
    }

    /// <summary>The image, built once for all tests by the script that 'make image' runs.</summary>
    public sealed class Built : IDisposable
    {
        public const string Name = "tcmu-gateway:test";

        private readonly string _folder = Directory.CreateTempSubdirectory("tcmu-gateway-image-").FullName;
        private readonly Lazy<Task<CommandResult>> _build = new(BuildAsync);

        /// <summary>Skips, or fails, where there is no engine or no executable; fails if the image cannot be built.</summary>
        public async Task RequireAsync()
        {
            await DockerEngine.RequireAsync();
            Skip.If(Repository.Gateway.Length == 0 && Environment.GetEnvironmentVariable(DockerEngine.RequireVariable) != "1", "there is no native executable: make publish sbom");
            var built = await _build.Value;
            Assert.True(built.ExitCode == 0, built.ToString());
        }

        /// <summary>Writes a configuration file that containers can mount.</summary>
        public string WriteConfiguration(string text)
        {
            var file = Path.Combine(_folder, "gateway.json");
            File.WriteAllText(file, text);
            return file;
        }

        public void Dispose() => Directory.Delete(_folder, recursive: true);

        private static Task<CommandResult> BuildAsync() => Command.RunAsync(Repository.PathOf("scripts", "image.sh"), [], TimeSpan.FromMinutes(5), ("IMAGE", Name));
    }
}
