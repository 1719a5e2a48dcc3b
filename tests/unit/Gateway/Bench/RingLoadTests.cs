using Gateway.Bench;
using Gateway.Scsi;
using Gateway.Tcmu;
using Gateway.Volumes;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Tests.Bench;

public sealed class RingLoadTests
{
    private const int BlockBytes = 4096;
    private const long SizeBytes = 1 << 20;

    [Theory]
    [InlineData(AccessPattern.Read, 1)]
    [InlineData(AccessPattern.RandRead, 16)]
    [InlineData(AccessPattern.Write, 16)]
    [InlineData(AccessPattern.RandWrite, 1)]
    [InlineData(AccessPattern.RandRw, 64)]
    internal async Task Run_AnyPattern_MeasuresTheCommandsItWasToldTo(AccessPattern pattern, int depth)
    {
        var device = new RecordingDevice();
        var workload = Counted with { Pattern = pattern, Depth = depth };

        var result = await RunAsync(device, workload);

        // The count is looked at between bursts, so up to one burst more than asked for is measured.
        Assert.InRange(result.Transfers, workload.NumberMax, workload.NumberMax + depth);
        Assert.Equal(workload.Reads, result.Reads.Count > 0);
        Assert.Equal(workload.Writes, result.Writes.Count > 0);
        Assert.All(device.Ranges, r => Assert.True(r.Blocks == 1 && r.Lba < SizeBytes / BlockBytes));
    }

    [Fact]
    public async Task Run_Sequential_GoesRoundAndRound()
    {
        var device = new RecordingDevice();

        await RunAsync(device, Counted with { Pattern = AccessPattern.Write, SpanBytes = 10 * BlockBytes });

        Assert.All(device.Ranges.Select((r, i) => (r.Lba, (ulong)i % 10)), pair => Assert.Equal(pair.Item2, pair.Lba));
    }

    [Fact]
    public async Task Run_FsyncEveryThird_FlushesAfterThreeWritesOfEachLane()
    {
        var device = new RecordingDevice();

        var result = await RunAsync(device, Counted with { Pattern = AccessPattern.RandWrite, FsyncEvery = 3 });

        Assert.Equal(device.Ranges.Count / 3, device.Flushes);
        Assert.InRange(result.Syncs.Count, result.Writes.Count / 3 - 1, result.Writes.Count / 3 + 1);
    }

    [Fact]
    public async Task Run_Fua_ForcesUnitAccess()
    {
        var device = new RecordingDevice();

        await RunAsync(device, Counted with { Pattern = AccessPattern.RandWrite, Fua = true });

        Assert.Equal(device.Ranges.Count, device.ForcedWrites);
    }

    [Fact]
    public async Task Run_DeviceThatIsBehindForAWhile_SendsAgainAndSaysHowOften()
    {
        var device = new RecordingDevice { Failures = new Queue<BlockError>([BlockError.JournalFull, BlockError.StoreUnavailable, BlockError.JournalFull]) };

        var result = await RunAsync(device, Counted with { Pattern = AccessPattern.Write, Ramp = TimeSpan.Zero });

        Assert.Equal(3, result.Retries);
        Assert.Equal([0UL, 0UL, 0UL, 0UL, 1UL], device.Ranges.Take(5).Select(r => r.Lba)); // The same command until it succeeds.
    }

    [Fact]
    public async Task Run_DeviceThatFails_SaysWhatItAnswered()
    {
        var device = new RecordingDevice { Failures = new Queue<BlockError>([BlockError.Offline]) };

        var failure = await Assert.ThrowsAsync<LoadException>(() => RunAsync(device, Counted with { Pattern = AccessPattern.Write }));

        Assert.Contains("NotReady 04h/03h", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Run_Cancelled_GivesWhatWasMeasuredSoFar()
    {
        using var cancel = new CancellationTokenSource();
        var device = new RecordingDevice { OnWrite = count => { if (count == 500) cancel.Cancel(); } };

        var result = await RunAsync(device, Counted with { Pattern = AccessPattern.Write, NumberMax = 0 }, cancel.Token);

        Assert.True(result.Interrupted);
        Assert.InRange(result.Writes.Count, 1, 1_000);
    }

    [Fact]
    public async Task BenchRun_TemporaryVolume_CountsWhatTheStoreTookAndLeavesNothing()
    {
        var parent = Directory.CreateTempSubdirectory("tcmu-gateway-bench-test-").FullName;
        try
        {
            BenchReport report;
            await using (var target = await BenchTarget.TemporaryAsync(
                parent, new VolumeSpec(16 << 20, BlockBytes), new VolumeOptions(), JournalOptions.CapacityMinBytes, TimeProvider.System, NullLogger.Instance, default))
            {
                report = await BenchRun.RunAsync(target, Counted with { Pattern = AccessPattern.Write, NumberMax = 1_000, RampNumber = 0, Ramp = TimeSpan.Zero }, new RingDeviceOptions(), TimeProvider.System, default);
            }

            Assert.InRange(report.Store!.PutBytesPerByteWritten!.Value, 1.0, 1.1);
            Assert.True(report.Store.Puts > 0);
            Assert.InRange(report.Store.Gets, 0, (1 << 20) / BlockBytes); // Of the first MiB, which is read back to stay in memory: from the journal, or, once it is there, from the store.
            Assert.Empty(Directory.EnumerateFileSystemEntries(parent));
        }
        finally
        {
            Directory.Delete(parent, recursive: true);
        }
    }

    [Theory]
    [InlineData(1000, 1, 0, false, "--bs")]
    [InlineData(16 << 20, 1, 0, false, "--bs")]
    [InlineData(4096, 0, 0, false, "--iodepth")]
    [InlineData(1 << 20, 4096, 0, false, "1 GiB")]
    [InlineData(4096, 1, 1, false, "--rw write")]
    [InlineData(4096, 1, 0, true, "--rw write")]
    public void Fault_OfReads_SaysWhatToChange(int blockBytes, int depth, int fsync, bool fua, string words)
    {
        var workload = new Workload { Pattern = AccessPattern.RandRead, BlockBytes = blockBytes, Depth = depth, FsyncEvery = fsync, Fua = fua };

        Assert.Contains(words, workload.Fault(BlockBytes, 1L << 30), StringComparison.Ordinal);
    }

    private static Workload Counted { get; } = new() { Ramp = TimeSpan.FromMinutes(1), RampNumber = 100, Runtime = TimeSpan.FromMinutes(1), NumberMax = 1_000 };

    private static async Task<LoadResult> RunAsync(RecordingDevice device, Workload workload, CancellationToken cancellationToken = default)
    {
        using var load = new RingLoad(workload, BlockBytes, SizeBytes, TimeProvider.System);
        return await load.RunAsync(new LogicalUnit(device, new LogicalUnitOptions()), new RingDeviceOptions(), cancellationToken);
    }

    /// <summary>Notes what it was asked, on the ring's thread alone.</summary>
    private sealed class RecordingDevice : IBlockDevice
    {
        public List<BlockRange> Ranges { get; } = [];

        public int Flushes { get; private set; }

        public int ForcedWrites { get; private set; }

        public Queue<BlockError> Failures { get; init; } = new();

        public Action<int> OnWrite { get; init; } = _ => { };

        public BlockGeometry Geometry { get; } = new(Guid.Empty, (ulong)(SizeBytes / BlockBytes), BlockBytes, BlockBytes);

        public BlockResult Readiness => BlockResult.Success;

        public ValueTask<BlockResult> ReadAsync(BlockRange range, ScatterList destination, CancellationToken cancellationToken) => new(Note(range));

        public ValueTask<BlockResult> WriteAsync(BlockRange range, ScatterList source, bool forceUnitAccess, CancellationToken cancellationToken)
        {
            if (forceUnitAccess) ForcedWrites++;
            var result = Note(range);
            OnWrite(Ranges.Count);
            return new(result);
        }

        public ValueTask<BlockResult> ZeroAsync(BlockRange range, bool forceUnitAccess, CancellationToken cancellationToken) => new(BlockResult.Success);

        public ValueTask<BlockResult> FlushAsync(CancellationToken cancellationToken)
        {
            Flushes++;
            return new(BlockResult.Success);
        }

        private BlockResult Note(BlockRange range)
        {
            Ranges.Add(range);
            return Failures.TryDequeue(out var error) ? error : BlockError.None;
        }
    }
}
