using Gateway.Tcmu;
using Gateway.Volumes;
using Microsoft.Win32.SafeHandles;

namespace Gateway.Bench.Suite;

/// <summary>Random writes into the journal, segments going to the store as ever, against a loop that writes the same bytes to a file of the same kind.</summary>
/// <remarks>
/// The loop does what no gateway could do with less: for every command one pwrite of its 4 KiB, one after the other, and for every
/// <see cref="Depth"/> commands one of the page that holds their records. Both write over files of the same length that were written before, on the
/// same disk, into the page cache, without fdatasync. They take turns, now one first and now the other, and each begins with nothing dirty: all of the
/// volume in the store, both files flushed. So neither pays for what the other left to the kernel's writeback. The median of the ratios counts.
/// </remarks>
internal sealed class JournalGroup : SuiteGroup
{
    private const int Depth = 32;
    private const int Commands = 32 << 10;
    private const int Rounds = 15;
    private const int BlockBytes = 4096;
    private const long JournalBytes = 512L << 20;
    private const long SizeBytes = 1L << 30;

    private readonly byte[] _data = new byte[8 << 20];
    private long _position;

    public override SuiteTarget[] Targets => [SuiteTarget.RandWrite];

    public override async Task MeasureAsync(SuiteContext context, CancellationToken cancellationToken)
    {
        await using var target = await context.NewVolumeAsync(SizeBytes, new VolumeOptions(), JournalBytes, cancellationToken);
        var path = Path.Combine(context.Directory, $"pwrite-{Environment.ProcessId}");
        using var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, FileOptions.DeleteOnClose, JournalBytes);
        new FastRandom(7).Fill(_data);
        for (long at = 0; at < JournalBytes; at += _data.Length) RandomAccess.Write(file, _data, at);

        // One lap of the journal and more, so that no place of it is written for the first time.
        await RunGatewayAsync(0, (int)(JournalBytes / BlockBytes));
        List<double> ratios = [];
        for (var round = 1; round <= Rounds; round++)
        {
            var loop = round % 2 == 0 ? RunLoop(file, context.Time) : 0;
            var gateway = await RunGatewayAsync(round, Commands);
            if (loop == 0) loop = RunLoop(file, context.Time);
            ratios.Add(gateway.Write!.Iops / loop);
            context.Log($"{gateway.Write.Iops:N0} writes/s ({gateway.CpuMicrosecondsPerCommand:0.00} us of CPU each, {gateway.CpusBusy:0.00} CPUs busy) to {loop:N0} of the loop: {ratios[^1]:0.00}");
        }

        context.Report(SuiteTarget.RandWrite, Median(ratios));

        async Task<BenchReport> RunGatewayAsync(int round, int commands)
        {
            var workload = new Workload
            {
                Pattern = AccessPattern.RandWrite,
                BlockBytes = BlockBytes,
                Depth = Depth,
                Ramp = TimeSpan.FromMinutes(1),
                RampNumber = 1_000,
                Runtime = TimeSpan.FromMinutes(1),
                NumberMax = commands,
                Seed = (ulong)round + 1,
            };
            var report = await BenchRun.RunAsync(target, workload, new RingDeviceOptions(), context.Time, cancellationToken); // Until all of it is in the store.
            await target.Device.FlushAsync(cancellationToken);
            return report;
        }
    }

    /// <summary>Commands each second of the plain loop. Leaves the file flushed.</summary>
    private double RunLoop(SafeFileHandle file, TimeProvider time)
    {
        RandomAccess.FlushToDisk(file);
        var random = new FastRandom(7);
        var start = time.GetTimestamp();
        for (var command = 0; command < Commands; command++)
        {
            if (command % Depth == 0) Write(_data.AsSpan(0, BlockBytes));
            Write(_data.AsSpan(BlockBytes * (int)random.Next((ulong)(_data.Length / BlockBytes)), BlockBytes));
        }

        var elapsed = time.GetElapsedTime(start);
        RandomAccess.FlushToDisk(file);
        return Commands / elapsed.TotalSeconds;

        void Write(ReadOnlySpan<byte> bytes)
        {
            RandomAccess.Write(file, bytes, _position);
            _position = (_position + bytes.Length) % JournalBytes;
        }
    }
}
