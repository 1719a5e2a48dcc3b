using Gateway.Configuration;
using Gateway.Control.V1;
using Gateway.Serving;
using Gateway.Volumes;
using Gateway.Volumes.Checking;
using Gateway.Volumes.Leases;
using Gateway.Volumes.Names;
using Gateway.Volumes.Trash;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Microsoft.Extensions.Logging.Abstractions;
using Trashed = Gateway.Volumes.Trash.TrashedVolume;

namespace Gateway.Control;

/// <summary>What becomes of volumes: renamed, removed, restored, purged, checked, taken over. What takes long says how far it is.</summary>
internal sealed partial class ControlService
{
    private static readonly TimeSpan KeepDefault = TimeSpan.FromDays(7);

    private const long KeepMaxSeconds = 3650L * 24 * 3600;

    public override Task<V1.Volume> RenameVolume(RenameVolumeRequest request, ServerCallContext context) => Guard(context, async token =>
    {
        var path = VolumePath.Parse(request.Volume);
        RefuseExported(path, "rename");
        await new VolumeRenamer(stores.Get(path.Store), TimeProvider.System).RunAsync(path.Volume, request.NewName, token);
        var renamed = path with { Volume = request.NewName };
        return ToWire(renamed, await Catalog(renamed.Store).DescribeAsync(renamed.Volume, token));
    });

    public override Task RemoveVolume(RemoveVolumeRequest request, IServerStreamWriter<RemoveVolumeReply> responseStream, ServerCallContext context) => Guard(context, async token =>
    {
        var path = VolumePath.Parse(request.Volume);
        if (request.KeepS is < 0 or > KeepMaxSeconds) throw Invalid("A volume is kept for up to ten years.");
        RefuseExported(path, "remove");
        await using var steps = new StreamSteps<RemoveVolumeReply>(responseStream);
        var removed = await Trash(path.Store, wait => steps.Tell(new RemoveVolumeReply { Wait = ToWire(wait) }))
            .RemoveAsync(path.Volume, request.KeepS == 0 ? KeepDefault : TimeSpan.FromSeconds(request.KeepS), request.Force, token);
        await steps.EndAsync(new RemoveVolumeReply { Removed = ToWire(path.Store, removed) }, token);
        return 0;
    });

    public override Task<V1.Volume> RestoreVolume(RestoreVolumeRequest request, ServerCallContext context) => Guard(context, async token =>
    {
        var path = VolumePath.Parse(request.Volume);
        await Trash(path.Store, _ => { }).RestoreAsync(path.Volume, token);
        return ToWire(path, await Catalog(path.Store).DescribeAsync(path.Volume, token));
    });

    public override Task<ListTrashReply> ListTrash(ListTrashRequest request, ServerCallContext context) => Guard(context, async token =>
    {
        var reply = new ListTrashReply();
        foreach (var store in request.Store.Length > 0 ? [request.Store] : stores.Names.ToArray())
            reply.Volumes.AddRange((await Trash(store, _ => { }).ListAsync(token)).Select(v => ToWire(store, v)));
        return reply;
    });

    public override Task PurgeTrash(PurgeTrashRequest request, IServerStreamWriter<PurgeTrashReply> responseStream, ServerCallContext context) => Guard(context, async token =>
    {
        if ((request.Volume.Length > 0 ? 1 : 0) + (request.Expired ? 1 : 0) + (request.All ? 1 : 0) != 1) throw Invalid("Say what to purge: a volume, what has expired, or all.");
        await using var steps = new StreamSteps<PurgeTrashReply>(responseStream);
        var progress = new Tell<PurgeProgress>(p => steps.Tell(new PurgeTrashReply { Progress = new PurgeTrashReply.Types.Progress { Volume = p.Volume, Objects = p.Blobs, Bytes = p.Bytes } }));
        if (request.Volume.Length > 0)
        {
            var path = VolumePath.Parse(request.Volume);
            await PurgedAsync(path.Store, [await Trash(path.Store, _ => { }).PurgeAsync(path.Volume, progress, token)]);
            return 0;
        }

        foreach (var store in stores.Names.ToArray()) await PurgedAsync(store, await Trash(store, _ => { }).PurgeExpiredAsync(request.All, progress, token));
        return 0;

        async Task PurgedAsync(string store, IEnumerable<Trashed> volumes)
        {
            foreach (var volume in volumes)
            {
                LocalRemains.Remove(volume.Id, gateway.Configuration.Journal.Directory, gateway.Configuration.Volumes.CacheDirectory);
                await steps.EndAsync(new PurgeTrashReply { Purged = ToWire(store, volume) }, token);
            }
        }
    });

    public override Task CheckVolume(CheckVolumeRequest request, IServerStreamWriter<CheckVolumeReply> responseStream, ServerCallContext context) => Guard(context, async token =>
    {
        var path = VolumePath.Parse(request.Volume);
        await using var steps = new StreamSteps<CheckVolumeReply>(responseStream);
        var progress = new Tell<CheckProgress>(p => steps.Tell(new CheckVolumeReply { Progress = new CheckVolumeReply.Types.Progress { Segments = p.Segments, SegmentsTotal = p.SegmentsTotal, Bytes = p.Bytes } }));
        // By the face of the store that yields to commands: a check must not slow initiators down.
        var report = await new VolumeChecker(stores.GetBackground(path.Store), path.Volume, progress).RunAsync(token);
        await steps.EndAsync(new CheckVolumeReply { Report = ToWire(report) }, token);
        return 0;
    });

    public override Task TakeOverVolume(TakeOverVolumeRequest request, IServerStreamWriter<TakeOverVolumeReply> responseStream, ServerCallContext context) => Guard(context, async token =>
    {
        var path = VolumePath.Parse(request.Volume);
        await using var steps = new StreamSteps<TakeOverVolumeReply>(responseStream);
        var takeover = new VolumeTakeover(
            stores.Get(path.Store), gateway.Configuration.ToVolumeOptions(path), ThisProgram.Owner, BootTimeProvider.Instance, wait => steps.Tell(new TakeOverVolumeReply { Wait = ToWire(wait) }), NullLogger.Instance);
        var outcome = await takeover.RunAsync(path.Volume, request.Force, token);
        await steps.EndAsync(new TakeOverVolumeReply
        {
            Outcome = new TakeOverVolumeReply.Types.Outcome { Epoch = outcome.Epoch, From = outcome.From ?? "", WasReleased = outcome.WasReleased, FirstWriteLost = outcome.FirstWriteLost, LastWriteLost = outcome.LastWriteLost },
        }, token);
        return 0;
    });

    public override Task<GetConfigurationReply> GetConfiguration(GetConfigurationRequest request, ServerCallContext context) => Guard(context, _ =>
        Task.FromResult(new GetConfigurationReply { File = arguments.ConfigurationFile ?? "", Json = ConfigurationReader.Show(gateway.Configuration) }));

    /// <summary>What is exported here would be looked for again at once, and not be there.</summary>
    private void RefuseExported(VolumePath path, string what)
    {
        if (targets.Exports(path))
            throw new RpcException(new Grpc.Core.Status(StatusCode.FailedPrecondition, $"Volume {path} is exported by this gateway: 'tcmu-gateway target unexport {path}', or take it out of the configuration file, and {what} it then."));
    }

    private VolumeTrash Trash(string store, Action<OpeningWait> waits) =>
        new(stores.Get(store), gateway.Configuration.ToVolumeOptions(), ThisProgram.Owner, BootTimeProvider.Instance, waits, NullLogger.Instance);

    private static Wait ToWire(OpeningWait wait) => new() { Reason = wait.Reason, LeftS = wait.Left.TotalSeconds };

    private static V1.RemovedVolume ToWire(string store, Trashed volume) => new()
    {
        Volume = $"{store}/{volume.Name}",
        Id = volume.Id.ToString(),
        Size = volume.SizeBytes,
        RemovedAt = volume.RemovedAt.ToTimestamp(),
        PurgeAfter = volume.PurgeAfter.ToTimestamp(),
        Purging = volume.Purging,
    };

    private static CheckVolumeReply.Types.Report ToWire(CheckReport report)
    {
        var wire = new CheckVolumeReply.Types.Report
        {
            Clean = report.IsClean,
            Checkpoint = report.Checkpoint,
            Position = report.Position,
            Segments = report.Segments,
            Frames = report.Frames,
            MappedBytes = report.MappedBytes,
            StoredBytes = report.StoredBytes,
        };
        wire.Findings.AddRange(report.Findings.Select(f => new CheckVolumeReply.Types.Finding
        {
            Severity = f.Severity switch { CheckSeverity.Note => "note", CheckSeverity.Warning => "warning", _ => "damage" },
            Object = f.Blob,
            Message = f.Message,
        }));
        wire.Damaged.AddRange(report.Damaged.Select(d => new CheckVolumeReply.Types.DamagedRange { Lba = d.Lba, Blocks = d.Blocks, Reason = d.Reason }));
        return wire;
    }

    private sealed class Tell<T>(Action<T> tell) : IProgress<T>
    {
        public void Report(T value) => tell(value);
    }
}
