using Gateway.Tcmu;
using Gateway.Volumes;
using Microsoft.Win32.SafeHandles;

namespace Gateway.Bench.Suite;

/// <summary>Random writes into the journal, segments going to the store as ever, against a loop that writes the same bytes to a file of the same kind.</summary>
/// <remarks>
/// The loop does what no gateway could do with less: for every command one pwrite of its 4 KiB, one after the other, and for every
/// <see cref="Depth"/> commands one of the page that holds their records. Both go to the page cache of a preallocated file on the same disk; no
/// fdatasync on either side. They take turns, and the median of the ratios counts.
/// </remarks>
internal sealed class JournalGroup : SuiteGroup
{
    private const int Depth = 32;
    private const int Commands = 64 << 10;
    private const int Rounds = 9;
    private const int BlockBytes = 4096;
    private const long JournalBytes = 2L << 30;
    private const long SizeBytes = 1L << 30;

    private long _position;

    public override SuiteTarget[] Targets => [SuiteTarget.RandWrite];

    public override async Task MeasureAsync(SuiteContext context, CancellationToken cancellationToken)
    {
        await using var target = await context.NewVolumeAsync(SizeBytes, new VolumeOptions(), JournalBytes, cancellationToken);
        var path = Path.Combine(context.Directory, $"pwrite-{Environment.ProcessId}");
        using var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, FileOptions.DeleteOnClose, JournalBytes);
        var workload = new Workload
        {
            Pattern = AccessPattern.RandWrite,
            BlockBytes = BlockBytes,
            Depth = Depth,
            Ramp = TimeSpan.FromMinutes(1),
            RampNumber = 1_000,
            Runtime = TimeSpan.FromMinutes(1),
            NumberMax = Commands,
        };
        List<double> ratios = [];
        for (var round = 0; round < Rounds; round++)
        {
            var report = await BenchRun.RunAsync(target, workload with { Seed = (ulong)round }, new RingDeviceOptions(), context.Time, cancellationToken);
            var plain = RunLoop(file, context.Time);
            context.Log($"{report.Write!.Iops:N0} writes/s ({report.CpuMicrosecondsPerCommand:0.00} us of CPU each, {report.CpusBusy:0.00} CPUs busy) to {plain:N0} of the loop: {report.Write.Iops / plain:0.00}");
            if (round > 0) ratios.Add(report.Write.Iops / plain); // The first finds neither code nor files warm.
        }

        context.Report(SuiteTarget.RandWrite, Median(ratios));
    }

    /// <summary>Commands each second of the plain loop.</summary>
    private double RunLoop(SafeFileHandle file, TimeProvider time)
    {
        var data = new byte[8 << 20];
        var random = new FastRandom(7);
        random.Fill(data);
        var start = time.GetTimestamp();
        for (var command = 0; command < Commands; command++)
        {
            if (command % Depth == 0) Write(data.AsSpan(0, BlockBytes));
            Write(data.AsSpan(BlockBytes * (int)random.Next((ulong)(data.Length / BlockBytes)), BlockBytes));
        }

        return Commands / time.GetElapsedTime(start).TotalSeconds;

        void Write(ReadOnlySpan<byte> bytes)
        {
            RandomAccess.Write(file, bytes, _position);
            _position = (_position + bytes.Length) % JournalBytes;
        }
    }
}
