using Gateway.Scsi;
using Gateway.Tcmu.Simulation;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Tcmu.Tests.Ring;

/// <summary>A simulated ring, a device that serves it, and the completions seen.</summary>
internal sealed class RingWorld : ICompletionSink, IDisposable
{
    private static readonly byte[] TestUnitReady = new byte[6];

    public RingWorld(IScsiTarget target, RingSimulatorOptions? options = null, TaskManagementHandler? taskManagement = null, RingDeviceOptions? deviceOptions = null)
    {
        Simulator = new RingSimulator(options ?? new RingSimulatorOptions());
        Create = () => new RingDevice("test", Simulator.OpenPort(), target, deviceOptions ?? new RingDeviceOptions(), taskManagement, TimeProvider.System, NullLogger.Instance);
    }

    public RingSimulator Simulator { get; }

    public Func<RingDevice> Create { get; }

    /// <summary>Tag, status and sense key of each completion, in order.</summary>
    public List<(long Tag, ScsiStatus Status, int SenseKey)> Completions { get; } = [];

    public async Task<RingDevice> StartAsync()
    {
        var device = Create();
        await device.StartAsync(CancellationToken.None);
        return device;
    }

    /// <summary>Submits a command without data, or with an operation code of its own.</summary>
    public void Submit(long tag, byte operationCode = 0, int dataInBytes = 0)
    {
        var cdb = TestUnitReady.ToArray();
        cdb[0] = operationCode;
        Assert.True(Simulator.TrySubmit(cdb, dataInBytes > 0 ? DataDirection.FromDevice : DataDirection.None, dataInBytes, [], tag));
    }

    /// <summary>Reaps until <paramref name="count"/> completions were seen in all.</summary>
    public void ReapUntil(int count)
    {
        Simulator.Ring();
        while (true)
        {
            Simulator.Reap(this);
            if (Completions.Count >= count) break;
            Assert.True(Simulator.WaitForKick(10_000), $"stalled after {Completions.Count} of {count} completions");
        }

        AssertNoViolations();
    }

    public void AssertNoViolations() => Assert.True(Simulator.Violations.Count == 0, string.Join("; ", Simulator.Violations));

    public void OnCompleted(SimulatedCommand command) =>
        Completions.Add((command.Tag, command.Status, command.Status == ScsiStatus.CheckCondition ? command.Sense[2] : 0));

    public void Dispose() => Simulator.Dispose();
}
