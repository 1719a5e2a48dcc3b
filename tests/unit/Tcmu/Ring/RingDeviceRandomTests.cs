using Gateway.Tcmu.Simulation;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Tcmu.Tests.Ring;

public sealed class RingDeviceRandomTests
{
    private const int DiskBlocks = 1024;

    public static TheoryData<int, int, double, bool> Shapes => new()
    {
        { 1, 1, 0.0, false },
        { 2, 64, 0.0, false },
        { 3, 64, 0.5, true },
        { 4, 128, 1.0, true },
        { 5, 400, 0.7, false },
    };

    /// <summary>Ten million random commands of all kinds, in and out of order: the model agrees with every answer, and the simulator with every byte.</summary>
    [Fact, Trait("Category", "Slow")]
    public async Task RingDevice_TenMillionRandomCommands_EveryAnswerAgreesWithTheModel()
    {
        var count = long.Parse(Environment.GetEnvironmentVariable("RING_COMMANDS") ?? "10000000", System.Globalization.CultureInfo.InvariantCulture);
        var seed = int.Parse(Environment.GetEnvironmentVariable("RING_SEED") ?? Environment.TickCount.ToString(System.Globalization.CultureInfo.InvariantCulture), System.Globalization.CultureInfo.InvariantCulture);

        await RunAsync(seed, depth: 128, deferProbability: 0.3, oddIovecs: true, count);
    }

    [Theory, MemberData(nameof(Shapes))]
    public Task RingDevice_RandomCommands_EveryAnswerAgreesWithTheModel(int seed, int depth, double deferProbability, bool oddIovecs) =>
        RunAsync(seed, depth, deferProbability, oddIovecs, 50_000);

    /// <summary>The form that carries benchmarks obeys the same protocol: commands of few ids, blocks that are used again at once.</summary>
    [Fact]
    public Task RingDevice_RandomCommandsOfTheCheapSimulator_EveryAnswerAgreesWithTheModel() =>
        RunAsync(6, depth: 64, deferProbability: 0.3, oddIovecs: false, 50_000, strict: false);

    private static async Task RunAsync(int seed, int depth, double deferProbability, bool oddIovecs, long count, bool strict = true)
    {
        var options = new RingSimulatorOptions
        {
            DataBlockBytes = 1024,
            DataBlocks = 700,
            OddIovecs = oddIovecs,
            Seed = seed,
            Strict = strict,
            CommandIds = strict ? ushort.MaxValue : 48,
        };
        using var simulator = new RingSimulator(options);
        var target = new RamDiskTarget(DiskBlocks, deferProbability, seed);
        var traffic = new RandomTraffic(simulator, target, seed, DiskBlocks, depth, maxBlocks: 16);
        var device = new RingDevice("test", simulator.OpenPort(), target, new RingDeviceOptions(), null, TimeProvider.System, NullLogger.Instance);
        await device.StartAsync(CancellationToken.None);

        var failure = traffic.Run(count);

        Assert.True(failure is null, $"seed {seed}: {failure} (after {traffic.Completed} commands; {device.State})");
        await device.StopAsync(CancellationToken.None);
        simulator.Reap(traffic);
        simulator.CheckFreeDataArea();
        Assert.True(simulator.Violations.Count == 0, $"seed {seed}: {string.Join("; ", simulator.Violations)}");
        Assert.True(simulator.IsEmpty, $"seed {seed}: entries are left in the ring");
        var statistics = device.Statistics;
        Assert.Equal((count, count, 0, 0L), (statistics.Commands, statistics.Completed, statistics.InFlight, statistics.Faults));
        Assert.Equal((traffic.TaskManagementEntries, traffic.UnknownEntries), (statistics.TaskManagement, statistics.UnknownEntries));
        Assert.True(count < 1000 || simulator.Pads > 0, $"seed {seed}: the ring never wrapped");
    }
}
