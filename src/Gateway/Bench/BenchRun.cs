using Gateway.Backends.Core;
using Gateway.Configuration;
using Gateway.Tcmu;
using Gateway.Volumes;

namespace Gateway.Bench;

/// <summary>One run of a load on a target, from filling the target to the report.</summary>
internal static class BenchRun
{
    private const int FillBlockBytes = 1 << 20;
    private static readonly TimeSpan FillLimit = TimeSpan.FromHours(1);

    /// <summary>Runs a load and waits until what it wrote is in the store, unless it is cancelled.</summary>
    /// <exception cref="ConfigurationException">The load does not fit the target.</exception>
    /// <exception cref="LoadException">A command failed, or the ring stalled.</exception>
    public static async Task<BenchReport> RunAsync(BenchTarget target, Workload workload, RingDeviceOptions ring, TimeProvider time, CancellationToken cancellationToken)
    {
        if (workload.Fault(target.Device.Geometry.BlockLengthBytes, target.SizeBytes) is { } fault) throw new ConfigurationException(fault);
        var before = target.Store?.Traffic;
        LoadResult result;
        using (var load = new RingLoad(workload, target.Device.Geometry.BlockLengthBytes, target.SizeBytes, time)) result = await load.RunAsync(target.Unit, ring, cancellationToken);

        var start = time.GetTimestamp();
        try
        {
            if (workload.Writes && target.Volume is { } volume) await volume.DrainAsync(cancellationToken);
        }
        catch (Exception e) when (e is OperationCanceledException or VolumeException or BlobStoreException)
        {
            // The figures of the load stand; those of the store are as far as it got.
        }

        return BenchReport.Of(target, workload, result, target.Store?.Traffic - before, time.GetElapsedTime(start));
    }

    /// <summary>Writes a target once from end to end, so that reads find data, and waits until all of it is in the store.</summary>
    public static async Task FillAsync(BenchTarget target, long lengthBytes, TimeProvider time, CancellationToken cancellationToken)
    {
        lengthBytes = Math.Min(lengthBytes, target.SizeBytes);
        var fill = new Workload
        {
            Pattern = AccessPattern.Write,
            BlockBytes = (int)Math.Min(FillBlockBytes, lengthBytes),
            Depth = 8,
            Runtime = FillLimit,
            Ramp = TimeSpan.Zero,
            NumberMax = Math.Max(1, lengthBytes / FillBlockBytes),
        };
        using (var load = new RingLoad(fill, target.Device.Geometry.BlockLengthBytes, lengthBytes, time)) await load.RunAsync(target.Unit, new RingDeviceOptions(), cancellationToken);
        if (target.Volume is { } volume) await volume.DrainAsync(cancellationToken);
    }
}
