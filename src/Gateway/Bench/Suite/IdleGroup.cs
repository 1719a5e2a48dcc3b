using Gateway.Cli;
using Gateway.Tcmu;
using Gateway.Tcmu.Simulation;
using Gateway.Volumes;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Gateway.Bench.Suite;

/// <summary>What a gateway keeps resident for volumes that nobody uses: the daemon's host, each volume open behind a ring of its own, looked at once as by an initiator.</summary>
internal sealed class IdleGroup : SuiteGroup
{
    private const int Volumes = 16;
    private const long SizeBytes = 1L << 30;
    private const long JournalBytes = 64L << 20;
    private static readonly TimeSpan IdleTime = TimeSpan.FromSeconds(10);

    public override SuiteTarget[] Targets => [SuiteTarget.Idle];

    public override async Task MeasureAsync(SuiteContext context, CancellationToken cancellationToken)
    {
        using var host = ServeCommand.NewHostBuilder(LogLevel.Warning).Build();
        await host.StartAsync(cancellationToken);
        var inHost = context with { Logger = host.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Gateway.Volumes") };
        List<IdleVolume> volumes = [];
        try
        {
            for (var i = 0; i < Volumes; i++) volumes.Add(await IdleVolume.StartAsync(inHost, cancellationToken));
            context.Log($"{ProcessMemory.ResidentMiB():0.0} MiB when all are open");
            await Task.Delay(IdleTime, context.Time, cancellationToken);
            var resident = ProcessMemory.ResidentMiB();
            context.Log($"{resident:0.0} MiB after {IdleTime.TotalSeconds:0} idle seconds");
            context.Report(SuiteTarget.Idle, Math.Round(resident, 1));
        }
        finally
        {
            foreach (var volume in volumes) await volume.DisposeAsync();
        }

        await host.StopAsync(cancellationToken);
    }

    private sealed class IdleVolume(BenchTarget target, RingSimulator simulator, RingDevice device) : IAsyncDisposable
    {
        public static async Task<IdleVolume> StartAsync(SuiteContext context, CancellationToken cancellationToken)
        {
            var target = await context.NewVolumeAsync(SizeBytes, new VolumeOptions(), JournalBytes, cancellationToken);
            var look = new Workload { Pattern = AccessPattern.Read, Ramp = TimeSpan.Zero, NumberMax = 64 };
            await BenchRun.RunAsync(target, look, new RingDeviceOptions(), context.Time, cancellationToken);
            var simulator = new RingSimulator(new RingSimulatorOptions { Strict = false, RingLengthBytes = (8 << 20) - 128, CommandIds = 128 });
            var device = new RingDevice("idle", simulator.OpenPort(), target.Unit, new RingDeviceOptions(), null, context.Time, context.Logger);
            await device.StartAsync(cancellationToken);
            return new IdleVolume(target, simulator, device);
        }

        public async ValueTask DisposeAsync()
        {
            await device.DisposeAsync();
            simulator.Dispose();
            await target.DisposeAsync();
        }
    }
}
