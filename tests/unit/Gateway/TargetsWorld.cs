using Gateway.Configuration;
using Gateway.Control;
using Gateway.Control.V1;
using Gateway.Lio;
using Gateway.Lio.Tests;
using Gateway.Serving;
using Gateway.Targets;
using Gateway.Volumes;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Gateway.Tests;

/// <summary>What serve starts to look after exports, over a simulated LIO and a directory as the bucket. Restarts keep the kernel, the bucket and the state directory.</summary>
internal sealed class TargetsWorld : IAsyncDisposable
{
    public const string Iqn = "iqn.2025-01.org.example:one";

    private readonly string _directory = Directory.CreateTempSubdirectory("tcmu-gateway-targets-").FullName;
    private readonly ILoggerFactory _loggers = LoggerFactory.Create(_ => { });
    private StoreSet _stores = null!;
    private GatewayService _gateway = null!;
    private LioReconciler _lio = null!;

    public TargetsWorld(string sections = "")
    {
        Directory.CreateDirectory(BucketPath);
        Configure(sections);
        Start();
    }

    public SimulatedKernel Kernel { get; } = new();

    public TargetKeeper Keeper { get; private set; } = null!;

    public TargetAdmin Admin { get; private set; } = null!;

    public string BucketPath => Path.Combine(_directory, "bucket");

    public string StatePath => Path.Combine(_directory, "state");

    public VolumeCatalog Catalog => new(_stores.Get("local"), TimeProvider.System);

    private string ConfigurationFile => Path.Combine(_directory, "gateway.json");

    /// <summary>Writes the configuration: a store, and what is given.</summary>
    public void Configure(string sections) => File.WriteAllText(
        ConfigurationFile,
        $$"""{ "stores": { "local": { "type": "file", "path": "{{BucketPath}}" } }, "stateDirectory": "{{StatePath}}", "journal": { "directory": "{{_directory}}" }, {{sections}} }""");

    /// <summary>A changed file that the running daemon reads.</summary>
    public void Reconfigure(string sections)
    {
        Configure(sections);
        _gateway.Reload();
    }

    /// <summary>Another process.</summary>
    public async Task RestartAsync()
    {
        await StopAsync();
        Start();
    }

    public async Task<IReadOnlyList<string>> ReconcileAsync() => [.. (await Keeper.ReconcileAsync(CancellationToken.None)).Select(f => f.ToString())];

    public Task<Target> ExportAsync(string volume, Action<ExportRequest>? change = null)
    {
        var request = new ExportRequest { Volume = volume, Lun = -1 };
        change?.Invoke(request);
        return Admin.ExportAsync(request, CancellationToken.None);
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _loggers.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    private void Start()
    {
        var configuration = GatewayConfiguration.Load(ConfigurationFile);
        var roots = new KernelRoots { Configfs = Path.Combine(_directory, "configfs"), Sysfs = Path.Combine(_directory, "sysfs") };
        _stores = new StoreSet(configuration, TimeProvider.System, _loggers);
        _gateway = new GatewayService(configuration, _stores, roots, new ServeArguments(null, ConfigurationFile), TimeProvider.System, new NoLifetime(), _loggers);
        _lio = new LioReconciler(Kernel, Kernel, new LioOptions(), TimeProvider.System, _loggers.CreateLogger("Gateway.Lio"));
        var book = new ExportBook(configuration.StateDirectory);
        Keeper = new TargetKeeper(_gateway, _stores, book, _lio, TimeProvider.System, _loggers);
        Admin = new TargetAdmin(_gateway, Keeper, book, _stores, roots);
    }

    private async Task StopAsync()
    {
        Admin.Dispose();
        Keeper.Dispose();
        _lio.Dispose();
        _gateway.Dispose();
        await _stores.DisposeAsync();
    }

    private sealed class NoLifetime : IHostApplicationLifetime
    {
        public CancellationToken ApplicationStarted => default;

        public CancellationToken ApplicationStopping => default;

        public CancellationToken ApplicationStopped => default;

        public void StopApplication()
        {
        }
    }
}
