using Gateway.Backends.File;
using Gateway.Volumes;

namespace Gateway.Bench.Suite;

/// <summary>How long a volume of ten million extents takes to open, and what stays resident: in a process that has done nothing else.</summary>
internal sealed class OpenGroup : SuiteGroup
{
    private const int Rounds = 3;

    public override SuiteTarget[] Targets => [SuiteTarget.Open, SuiteTarget.OpenMemory];

    public override async Task MeasureAsync(SuiteContext context, CancellationToken cancellationToken)
    {
        var folder = Directory.CreateDirectory(Path.Combine(context.Directory, $"open-{Environment.ProcessId}")).FullName;
        try
        {
            Prepare(folder);
            List<double> seconds = [];
            var resident = 0.0;
            for (var round = 0; round < Rounds; round++)
            {
                var store = new FileBlobStore(new FileStoreOptions { Path = Path.Combine(folder, "store") }, context.Time);
                var journal = new JournalOptions { Directory = Path.Combine(folder, "journal") };
                var start = context.Time.GetTimestamp();
                await using var target = await BenchTarget.ReopenAsync("ten million extents", store, null, new VolumeOptions(), journal, context.Time, context.Logger, cancellationToken);
                seconds.Add(context.Time.GetElapsedTime(start).TotalSeconds);
                if (round == 0) resident = ProcessMemory.PeakMiB();
                context.Log($"open in {seconds[^1]:0.000} s, {ProcessMemory.ResidentMiB():0} MiB resident, {target.Store!.Traffic.Gets} GET ({target.Store.Traffic.GetBytes:N0} bytes), {target.Store.Traffic.Others} other requests");
            }

            context.Report(SuiteTarget.Open, Median(seconds));
            context.Report(SuiteTarget.OpenMemory, Math.Round(resident, 1));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Makes the volume, in a process of its own.</summary>
    private static void Prepare(string folder) => throw new SuiteException($"this build makes no checkpoints, so that there is nothing to open in '{folder}'");
}
