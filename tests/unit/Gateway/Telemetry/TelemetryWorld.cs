using System.Buffers.Binary;
using Gateway.Backends.Core;
using Gateway.Backends.Resilience;
using Gateway.Configuration;
using Gateway.Scsi;
using Gateway.Serving;
using Gateway.Tcmu;
using Gateway.Tcmu.Simulation;
using Gateway.Telemetry;
using Gateway.Tests.Shared;
using Gateway.Tests.Shared.Stores;
using Gateway.Volumes;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Gateway.Tests.Telemetry;

/// <summary>The gateway's own parts from the ring to a store in memory, with its telemetry as the daemon has it.</summary>
internal sealed class TelemetryWorld : IMetricSource, IAsyncDisposable
{
    public const int BlockBytes = 4096;
    public const string Volume = "mem/disk";
    private const int StallMilliseconds = 60_000;
    private const long VolumeBytes = 64 << 20;

    private readonly string _folder = Directory.CreateTempSubdirectory("tcmu-gateway-telemetry-").FullName;
    private readonly RequestMeter _meter = new();
    private readonly ResilientStore _store;
    private readonly RingSimulator _simulator = new(new RingSimulatorOptions { RingLengthBytes = (64 << 10) - 128, DataBlocks = 4096, Seed = 3 });
    private readonly Initiator _initiator;
    private IHost? _host;
    private VolumeTarget? _target;
    private RingDevice? _ring;

    private TelemetryWorld()
    {
        Faults = new FaultyBlobStore(new MemoryBlobStore(), 1, TimeProvider.System);
        _store = new ResilientStore(new MeteringStore(Faults, _meter, TimeProvider.System), new ResilienceOptions(), TimeProvider.System, new Random(1), LoggerFactory.Create(_ => { }).CreateLogger("test"));
        _initiator = new Initiator(_simulator);
    }

    public FaultyBlobStore Faults { get; }

    public IServiceProvider Services => _host!.Services;

    public Volume Open => _target!.Volume!;

    public GatewayMetrics Metrics => Services.GetRequiredService<GatewayMetrics>();

    public IEnumerable<MeteredDevice> Devices => _target is null ? [] : [new MeteredDevice(Volume, _ring, 0, _target.State, _target.Volume)];

    public IEnumerable<MeteredStore> Stores => [new MeteredStore("mem", "s3", _store.Health, _meter)];

    /// <summary>Everything is running, the volume open and empty.</summary>
    public static async Task<TelemetryWorld> StartAsync(TelemetrySection telemetry, Dictionary<string, string>? environment = null, int highWaterPercent = 70)
    {
        var world = new TelemetryWorld();
        var builder = ServeCommandHost(telemetry, environment ?? [], world);
        world._host = builder.Build();
        await world._host.StartAsync();
        await world.OpenAsync(highWaterPercent);
        return world;
    }

    /// <summary>Sends a command and waits for its end.</summary>
    public (ScsiStatus Status, SenseKey Key) Run(byte[] cdb, DataDirection direction, int lengthBytes, byte[]? data = null) => _initiator.Run(cdb, direction, lengthBytes, data ?? []);

    public ScsiStatus Write(uint lba, int blocks, byte fill)
    {
        var data = new byte[blocks * BlockBytes];
        new Random(fill).NextBytes(data); // So that it does not shrink.
        return Run(Cdb(0x2A, lba, blocks), DataDirection.ToDevice, data.Length, data).Status;
    }

    public ScsiStatus Read(uint lba, int blocks) => Run(Cdb(0x28, lba, blocks), DataDirection.FromDevice, blocks * BlockBytes).Status;

    public ScsiStatus Flush() => Run(Cdb(0x35, 0, 0), DataDirection.None, 0).Status;

    /// <summary>A 10-byte CDB with a logical block address and a length.</summary>
    public static byte[] Cdb(byte operationCode, uint lba, int blocks)
    {
        var cdb = new byte[10];
        cdb[0] = operationCode;
        BinaryPrimitives.WriteUInt32BigEndian(cdb.AsSpan(2), lba);
        BinaryPrimitives.WriteUInt16BigEndian(cdb.AsSpan(7), (ushort)blocks);
        return cdb;
    }

    public async ValueTask DisposeAsync()
    {
        Faults.BeforeRequest = null;
        if (_ring is not null) await _ring.DisposeAsync();
        if (_target is not null) await _target.DisposeAsync();
        if (_host is not null)
        {
            await _host.StopAsync();
            _host.Dispose();
        }

        await _store.DisposeAsync();
        _simulator.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static HostApplicationBuilder ServeCommandHost(TelemetrySection telemetry, Dictionary<string, string> environment, TelemetryWorld world)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { ContentRootPath = AppContext.BaseDirectory, DisableDefaults = true });
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddSingleton<IMetricSource>(world);
        builder.AddTelemetry(telemetry, environment);
        return builder;
    }

    private async Task OpenAsync(int highWaterPercent)
    {
        await new VolumeCatalog(_store.Background, TimeProvider.System).CreateAsync("disk", new VolumeSpec(VolumeBytes, BlockBytes), default);
        var options = new VolumeOptions { CacheBytes = 0, ReadAheadBytes = 0, SegmentBytes = 1 << 20, SealAfter = TimeSpan.FromMilliseconds(50), HighWaterPercent = highWaterPercent };
        var journal = new JournalOptions { Directory = Path.Combine(_folder, "journal"), CapacityBytes = JournalOptions.CapacityMinBytes, AllowUnsafeFileSystem = true };
        var logger = Services.GetRequiredService<ILoggerFactory>().CreateLogger("Gateway.Volumes");
        var name = TcmuDeviceName.Parse("tcm-user/0/dev/gateway/" + Volume);
        _target = new VolumeTarget(
            name, (_, cancellation) => new VolumeOpener(_store.Foreground, options, journal, "test", TimeProvider.System, new Random(1), logger, _store.Background).OpenAsync("disk", cancellation),
            new TcmuBackstore(new KernelFiles(), _folder, name), options, TimeProvider.System, logger);
        await _target.OpenAsync(default);
        var tracing = Services.GetService<CommandTracing>() is { } kept ? new DeviceTracing(kept, Volume, new Random(1)) : null;
        _ring = new RingDevice("dev", _simulator.OpenPort(), _target, new RingDeviceOptions { Tracing = tracing }, null, TimeProvider.System, logger);
        await _ring.StartAsync(default);
    }

    /// <summary>Sends one command at a time.</summary>
    private sealed class Initiator(RingSimulator simulator) : ICompletionSink
    {
        private (ScsiStatus, SenseKey) _answer;

        public (ScsiStatus, SenseKey) Run(byte[] cdb, DataDirection direction, int lengthBytes, byte[] data)
        {
            Assert.True(simulator.TrySubmit(cdb, direction, lengthBytes, data, 1));
            simulator.Ring();
            while (simulator.Reap(this) == 0) Assert.True(simulator.WaitForKick(StallMilliseconds), "The ring stalls.");
            return _answer;
        }

        public void OnCompleted(SimulatedCommand command) => _answer = (command.Status, (SenseKey)(command.Sense[2] & 0xF));
    }
}
