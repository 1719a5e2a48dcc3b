using Gateway.Configuration;
using Gateway.Serving;
using Gateway.Tcmu;
using Gateway.Telemetry;
using Gateway.Volumes;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Gateway.Bench.Suite;

/// <summary>What telemetry costs at full load: random reads from memory, where a command costs least, with and without it in turns, all on one core.</summary>
/// <remarks>
/// With: metrics for Prometheus and by OTLP, one command of a thousand traced, slow ones kept, exports that nobody takes every second. What the engine counts in any case is in
/// both sides. Reads are counted by processor time: on one core that is what the rate comes to, and other work on the machine does not show.
/// </remarks>
internal sealed class TelemetryGroup : SuiteGroup
{
    private const long SizeBytes = 64 << 20;
    private const int Rounds = 9;
    private const string Volume = "bench/bench";

    // TCP's discard service (RFC 863): on most machines there is none, and the connection is refused.
    private const string NobodysEndpoint = "http://127.0.0.1:9";

    public override SuiteTarget[] Targets => [SuiteTarget.TelemetryOverhead];

    public override bool OneCore => true;

    public override async Task MeasureAsync(SuiteContext context, CancellationToken cancellationToken)
    {
        await using var target = await context.NewVolumeAsync(SizeBytes, new VolumeOptions { CacheBytes = SizeBytes * 2 }, new JournalOptions().CapacityBytes, cancellationToken);
        await BenchRun.FillAsync(target, SizeBytes, context.Time, cancellationToken);
        var workload = new Workload { Pattern = AccessPattern.RandRead, Depth = 128, Ramp = TimeSpan.FromSeconds(0.5), Runtime = TimeSpan.FromSeconds(3) };
        var warm = workload with { Pattern = AccessPattern.Read, Ramp = TimeSpan.Zero, Runtime = TimeSpan.FromMinutes(1), NumberMax = 2 * SizeBytes / 4096 };
        await BenchRun.RunAsync(target, warm, new RingDeviceOptions(), context.Time, cancellationToken);
        List<double> overheads = [];
        for (var round = -1; round < Rounds; round++) // The first warms up.
        {
            // Now one side first and now the other.
            var first = await RateAsync(context, target, workload, round % 2 == 0, cancellationToken);
            var second = await RateAsync(context, target, workload, round % 2 != 0, cancellationToken);
            var (without, with) = round % 2 == 0 ? (second, first) : (first, second);
            if (round >= 0) overheads.Add(1 - (with / without));
            context.Log($"{without:N0} reads for a second of processor time without telemetry, {with:N0} with it: {1 - (with / without):P1} less");
        }

        context.Report(SuiteTarget.TelemetryOverhead, Median(overheads));
    }

    private static async Task<double> RateAsync(SuiteContext context, BenchTarget target, Workload workload, bool isMeasured, CancellationToken cancellationToken)
    {
        using var load = new RingLoad(workload, target.Device.Geometry.BlockLengthBytes, target.SizeBytes, context.Time);
        if (!isMeasured) return RateOf(await load.RunAsync(target.Unit, new RingDeviceOptions(), cancellationToken));
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { ContentRootPath = AppContext.BaseDirectory, DisableDefaults = true });
        builder.Services.AddSingleton(context.Time);
        builder.Services.AddSingleton<IMetricSource>(new LoadSource(load, target));
        builder.AddTelemetry(new TelemetrySection { Otlp = new OtlpSection { Endpoint = NobodysEndpoint, MetricsEverySeconds = 1 } }, new Dictionary<string, string>());
        using var host = builder.Build();
        await host.StartAsync(cancellationToken);
        var tracing = new DeviceTracing(host.Services.GetRequiredService<CommandTracing>(), Volume, new Random(1));
        var result = await load.RunAsync(target.Unit, new RingDeviceOptions { Tracing = tracing }, cancellationToken);
        await host.StopAsync(cancellationToken);
        return RateOf(result);
    }

    private static double RateOf(LoadResult result) => result.Transfers / result.Use.Process.TotalSeconds;

    private sealed class LoadSource(RingLoad load, BenchTarget target) : IMetricSource
    {
        public IEnumerable<MeteredDevice> Devices => [new MeteredDevice(Volume, load.Device, 0, new ServedVolume(Volume, null, false), target.Volume)];

        public IEnumerable<MeteredStore> Stores => [];
    }
}
