using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Gateway.Tests.Shared.Monitoring;

/// <summary>What a Prometheus of one's own scrapes, and how.</summary>
/// <param name="Target">HOST:PORT of the gateway's HTTP server.</param>
/// <param name="RulesFile">The rules that it evaluates.</param>
/// <param name="ScrapeEvery">Whole seconds; a scrape may take as long.</param>
/// <param name="EvaluateEvery">Whole seconds.</param>
public sealed record PrometheusSettings(string Target, string RulesFile, TimeSpan ScrapeEvery, TimeSpan EvaluateEvery);

/// <summary>A real Prometheus on the loopback interface, with a new folder for its data. It ends with this process, however that ends.</summary>
public sealed class PrometheusServer : IAsyncDisposable
{
    /// <summary>Set to 1 where Prometheus must be there: its absence is then a failure instead of a reason to skip.</summary>
    public const string RequireVariable = "REQUIRE_PROMETHEUS";

    /// <summary>Of the one job; the rules know gateways by it.</summary>
    public const string Job = "tcmu-gateway";

    private static readonly TimeSpan StartLimit = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(100);

    // A shell stands between: when its standard input ends, since we are gone, it kills the server.
    private const string Script = "exec 3<&0; prometheus \"$@\" < /dev/null & p=$!; read -r _ <&3; kill -KILL $p; wait";

    private readonly Process _shell;
    private readonly string _folder;
    private readonly Task<string> _log;

    private PrometheusServer(Process shell, string folder, int port)
    {
        (_shell, _folder) = (shell, folder);
        _log = shell.StandardError.ReadToEndAsync();
        Api = new PrometheusApi(new Uri($"http://127.0.0.1:{port.ToString(CultureInfo.InvariantCulture)}"));
    }

    /// <summary>Null if it can be run here, or must be; else why not.</summary>
    public static string? SkipReason
    {
        get
        {
            if (Environment.GetEnvironmentVariable(RequireVariable) == "1") return null;
            var path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':');
            return path.Any(d => File.Exists(Path.Combine(d, "prometheus"))) ? null : "no prometheus here: scripts/packages.sh prometheus";
        }
    }

    public PrometheusApi Api { get; }

    /// <exception cref="InvalidOperationException">It does not get ready, with what it said.</exception>
    public static async Task<PrometheusServer> StartAsync(PrometheusSettings settings)
    {
        var folder = Directory.CreateTempSubdirectory("tcmu-gateway-prometheus-").FullName;
        var configuration = Path.Combine(folder, "prometheus.yml");
        var (scrape, evaluate) = (Seconds(settings.ScrapeEvery), Seconds(settings.EvaluateEvery));
        await File.WriteAllTextAsync(configuration, $$"""
            global: { scrape_interval: {{scrape}}, scrape_timeout: {{scrape}}, evaluation_interval: {{evaluate}} }
            rule_files: [ "{{Path.GetFullPath(settings.RulesFile)}}" ]
            scrape_configs:
              - job_name: {{Job}}
                static_configs: [ { targets: [ "{{settings.Target}}" ] } ]
            """);
        var port = FreePort();
        string[] options = [$"--config.file={configuration}", $"--storage.tsdb.path={folder}/data", $"--web.listen-address=127.0.0.1:{port.ToString(CultureInfo.InvariantCulture)}", "--log.level=warn"];
        var start = new ProcessStartInfo("/bin/sh", ["-c", Script, "sh", .. options]) { RedirectStandardInput = true, RedirectStandardError = true, WorkingDirectory = folder };
        var server = new PrometheusServer(Process.Start(start) ?? throw new InvalidOperationException("A shell does not start."), folder, port);
        try
        {
            await server.WaitReadyAsync();
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        _shell.StandardInput.Close();
        await _shell.WaitForExitAsync();
        _shell.Dispose();
        Api.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static string Seconds(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0}s");

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private async Task WaitReadyAsync()
    {
        var since = TimeProvider.System.GetTimestamp();
        while (!await Api.IsReadyAsync())
        {
            if (TimeProvider.System.GetElapsedTime(since) > StartLimit)
            {
                _shell.StandardInput.Close();
                throw new InvalidOperationException("Prometheus does not get ready: " + await _log);
            }

            await Task.Delay(PollInterval, TimeProvider.System);
        }
    }
}
