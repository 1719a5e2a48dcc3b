using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Gateway.Backends.Core;
using Gateway.Cli;
using Gateway.Configuration;
using Gateway.Control;
using Gateway.Serving;
using Gateway.Tcmu;
using Gateway.Tcmu.Simulation;
using Gateway.Tcmu.Tests.Netlink;
using Gateway.Volumes;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Gateway.Tests.Live;

/// <summary>The whole daemon, as 'serve' makes it, in this process. Only the kernel is played: sysfs and configfs are files, rings are simulated, netlink says what it is told.</summary>
internal sealed class LiveGateway : IAsyncDisposable
{
    /// <summary>For what takes milliseconds, on a machine that has a lot else to do.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    private const string Serial = "T10 VPD Unit Serial Number: ";

    private readonly ConcurrentDictionary<string, RingSimulator> _rings = new();
    private readonly List<Initiator> _initiators = [];
    private IHost? _host;
    private uint _devices;

    public LiveGateway() => Port = FreePort();

    /// <summary>Everything of this gateway: its bucket, journal, state, kernel.</summary>
    public string Folder { get; } = Directory.CreateTempSubdirectory("tcmu-gateway-live-").FullName;

    public int Port { get; set; }

    public Uri Address => new($"http://127.0.0.1:{Port}/");

    public string SocketPath => Path.Combine(Folder, "control.sock");

    public string BucketPath => Directory.CreateDirectory(Path.Combine(Folder, "bucket")).FullName;

    /// <summary>Of each journal.</summary>
    public long JournalBytes { get; set; } = 64 << 20;

    /// <summary>Further stores, as members of "stores" in the configuration. The store "local" is there always.</summary>
    public string Stores { get; set; } = "";

    /// <summary>Further sections of the configuration.</summary>
    public string Sections { get; set; } = "";

    /// <summary>Puts something between a ring and the daemon.</summary>
    public Func<IRingPort, IRingPort> Between { get; set; } = port => port;

    public T Get<T>()
        where T : notnull => _host!.Services.GetRequiredService<T>();

    /// <summary>Makes a volume of 64 MiB, by an opener of its own.</summary>
    public async Task CreateVolumeAsync(string path, long sizeBytes = 64 << 20)
    {
        await using var stores = new StoreSet(Load(), TimeProvider.System);
        var (store, volume) = VolumePath.Parse(path);
        await new VolumeCatalog(stores.Get(store), TimeProvider.System).CreateAsync(volume, new VolumeSpec(sizeBytes, 4096), CancellationToken.None);
    }

    /// <summary>Adds a TCMU device to the played kernel. Before <see cref="StartAsync"/>.</summary>
    /// <param name="path">STORE/VOLUME; anything, in fact, that a configuration string can hold.</param>
    /// <param name="device">Its name in configfs.</param>
    public RingSimulator AddDevice(string path, string? device = null)
    {
        var minor = _devices++;
        var name = new TcmuDeviceName(minor, device ?? $"disk{minor}", $"gateway/{path}");
        var ring = new RingSimulator(new RingSimulatorOptions { RingLengthBytes = (256 << 10) - 128, DataBlocks = 4096, CommandIds = 1024, Seed = 1 });
        _rings[$"uio{minor.ToString(CultureInfo.InvariantCulture)}"] = ring;
        Put($"sys/class/uio/uio{minor}/name", name + "\n");
        Put($"sys/class/uio/uio{minor}/maps/map0/size", "0x40800000\n");
        Put($"dev/uio{minor}", "");
        foreach (var (file, text) in (ReadOnlySpan<(string, string)>)[("action/block_dev", "0"), ("action/reset_ring", ""), ("attrib/cmd_time_out", "30"), ("attrib/tmr_notification", "1"), ("wwn/vpd_unit_serial", Serial + "live-" + minor)])
            Put($"config/{name.ConfigfsPath}/{file}", text);
        return ring;
    }

    /// <summary>An initiator for a device.</summary>
    public Initiator Use(RingSimulator ring, int seed = 1)
    {
        var initiator = new Initiator(ring, seed);
        _initiators.Add(initiator);
        return initiator;
    }

    /// <summary>Starts the daemon, and waits until its devices are attached.</summary>
    public async Task StartAsync()
    {
        var configuration = Load();
        var roots = new KernelRoots(Path.Combine(Folder, "sys"), Path.Combine(Folder, "config"), Path.Combine(Folder, "dev"))
        {
            OpenRing = (node, _) => Between(_rings[Path.GetFileName(node)].OpenPort()),
            Netlink = () => new SimulatedNetlink(),
        };
        _host = ServeCommand.BuildHost(configuration, new ServeArguments(null, ConfigurationFile), LogLevel.Information, roots);
        await _host.StartAsync();
        await Get<GatewayService>().Started.WaitAsync(Patience);
    }

    /// <summary>Waits until something was logged; the event, or one that came before.</summary>
    public async Task<LoggedEvent> LoggedAsync(int id)
    {
        using var limit = new CancellationTokenSource(Patience);
        await foreach (var one in Get<EventLog>().WatchAsync(EventLog.KeptMax, follow: true, limit.Token))
            if (one.Id.Id == id) return one;
        throw new TimeoutException($"Event {id} was not logged.");
    }

    /// <summary>Stops the daemon in order; its kernel and its store stay.</summary>
    public async Task StopAsync()
    {
        if (_host is null) return;
        await _host.StopAsync();
        if (_host is IAsyncDisposable host) await host.DisposeAsync();
        _host = null;
    }

    public async ValueTask DisposeAsync()
    {
        if (!Directory.Exists(Folder)) return;
        foreach (var initiator in _initiators) initiator.Dispose();
        await StopAsync();
        foreach (var ring in _rings.Values) ring.Dispose();
        Directory.Delete(Folder, recursive: true);
    }

    private string ConfigurationFile => Path.Combine(Folder, "gateway.json");

    public static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private GatewayConfiguration Load()
    {
        File.WriteAllText(ConfigurationFile, $$"""
            {
              "stores": { "local": { "type": "file", "path": "{{BucketPath}}" }{{(Stores.Length > 0 ? ", " + Stores : "")}} },
              "stateDirectory": "{{Path.Combine(Folder, "state")}}",
              "journal": { "directory": "{{Path.Combine(Folder, "journal")}}", "capacityBytes": {{JournalBytes}} },
              "control": { "socket": "{{SocketPath}}" },
              "telemetry": { "listen": "127.0.0.1:{{Port}}" }{{(Sections.Length > 0 ? ", " + Sections : "")}}
            }
            """);
        return GatewayConfiguration.Load(ConfigurationFile);
    }

    private void Put(string path, string text)
    {
        path = Path.Combine(Folder, path);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
    }
}
