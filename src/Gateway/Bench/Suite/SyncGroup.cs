using System.Globalization;
using System.Text.Json;
using Gateway.Tcmu;
using Gateway.Volumes;

namespace Gateway.Bench.Suite;

/// <summary>Writes that are each flushed, against fio on a file of the same disk that was written before, and many of them against one.</summary>
internal sealed class SyncGroup : SuiteGroup
{
    private const int Rounds = 11;
    private const int Seconds = 1;
    private const long SizeBytes = 1L << 30;
    private const long FileBytes = 256L << 20;

    /// <summary>For the journal's zeroes to be on the disk, which are written in the background.</summary>
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(5);

    public override SuiteTarget[] Targets => [SuiteTarget.SyncWrite, SuiteTarget.SyncWriteDepth];

    public override async Task MeasureAsync(SuiteContext context, CancellationToken cancellationToken)
    {
        await using var target = await context.NewVolumeAsync(SizeBytes, new VolumeOptions(), JournalOptions.CapacityMinBytes * 8, cancellationToken);
        var file = Path.Combine(context.Directory, $"fio-{Environment.ProcessId}");
        var workload = new Workload { Pattern = AccessPattern.Write, Depth = 1, FsyncEvery = 1, Ramp = TimeSpan.FromSeconds(0.3), Runtime = TimeSpan.FromSeconds(Seconds) };
        List<double> toFio = [];
        List<double> toDepth1 = [];
        try
        {
            await BenchRun.RunAsync(target, workload with { Runtime = WarmUp }, new RingDeviceOptions(), context.Time, cancellationToken);
            await FillAsync(file, cancellationToken);
            await RunFioAsync(file, cancellationToken);
            for (var round = 0; round < Rounds; round++)
            {
                var one = (await BenchRun.RunAsync(target, workload, new RingDeviceOptions(), context.Time, cancellationToken)).Write!.Iops;
                var fio = await RunFioAsync(file, cancellationToken);
                var many = (await BenchRun.RunAsync(target, workload with { Depth = 32 }, new RingDeviceOptions(), context.Time, cancellationToken)).Write!.Iops;
                toFio.Add(one / fio);
                toDepth1.Add(many / one);
                context.Log($"{one:N0} flushed writes/s at depth 1, {many:N0} at depth 32; fio {fio:N0}");
            }
        }
        finally
        {
            File.Delete(file);
        }

        context.Report(SuiteTarget.SyncWrite, Median(toFio));
        context.Report(SuiteTarget.SyncWriteDepth, Median(toDepth1));
    }

    /// <summary>Writes all of the file: where a file system has only reserved space, each flush would pay for a change of the file's extents.</summary>
    private static async Task FillAsync(string file, CancellationToken cancellationToken)
    {
        await using var stream = new FileStream(file, FileMode.Create, FileAccess.Write, FileShare.None, 0);
        var content = new byte[1 << 20];
        new Random(1).NextBytes(content);
        for (long done = 0; done < FileBytes; done += content.Length) await stream.WriteAsync(content, cancellationToken);
        stream.Flush(flushToDisk: true);
    }

    /// <summary>Flushed writes each second of fio.</summary>
    private static async Task<double> RunFioAsync(string file, CancellationToken cancellationToken)
    {
        string[] arguments =
        [
            "--name=sync", $"--filename={file}", $"--size={FileBytes.ToString(CultureInfo.InvariantCulture)}", "--rw=write", "--bs=4k", "--ioengine=psync", "--iodepth=1",
            "--fdatasync=1", "--fallocate=none", "--overwrite=1", "--time_based", $"--runtime={Seconds}", "--output-format=json",
        ];
        var output = await ChildProcess.RunAsync("fio", arguments, TimeSpan.FromMinutes(2), "apt-get install fio", cancellationToken);
        using var json = JsonDocument.Parse(output[output.IndexOf('{', StringComparison.Ordinal)..]);
        return json.RootElement.GetProperty("jobs")[0].GetProperty("write").GetProperty("iops").GetDouble();
    }
}
