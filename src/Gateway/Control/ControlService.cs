using System.Diagnostics;
using System.Globalization;
using Gateway.Backends.Core;
using Gateway.Backends.Resilience;
using Gateway.Configuration;
using Gateway.Control.V1;
using Gateway.Serving;
using Gateway.Targets;
using Gateway.Tcmu;
using Gateway.Volumes;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Microsoft.Extensions.Logging;
using Status = Gateway.Control.V1.Status;

namespace Gateway.Control;

/// <summary>The control API (proto/control.proto) over the running daemon.</summary>
internal sealed partial class ControlService(GatewayService gateway, TargetAdmin targets, StoreSet stores, EventLog events, ServeArguments arguments, TimeProvider time, ILoggerFactory loggers) : V1.Control.ControlBase, IDisposable
{
    private const int IntervalMinMilliseconds = 100;
    private const int IntervalDefaultMilliseconds = 1000;
    private readonly DateTimeOffset _startedAt = TimeProvider.System.GetUtcNow();
    private readonly CancellationTokenSource _stop = new();
    private readonly ILogger _logger = loggers.CreateLogger("Gateway.Control");

    /// <summary>Ends the calls that go on until somebody ends them.</summary>
    public void Stop() => _stop.Cancel();

    public void Dispose() => _stop.Dispose();

    public override Task<Status> GetStatus(GetStatusRequest request, ServerCallContext context) => Guard(context, _ => Task.FromResult(Now()));

    public override Task WatchStatus(WatchStatusRequest request, IServerStreamWriter<Status> responseStream, ServerCallContext context) => Guard(context, async token =>
    {
        if (request.IntervalMs is not 0 and < IntervalMinMilliseconds) throw Invalid($"An interval is at least {IntervalMinMilliseconds} ms.");
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(request.IntervalMs == 0 ? IntervalDefaultMilliseconds : request.IntervalMs), time);
        do await responseStream.WriteAsync(Now(), token);
        while (await timer.WaitForNextTickAsync(token));
        return 0;
    });

    public override Task WatchEvents(WatchEventsRequest request, IServerStreamWriter<Event> responseStream, ServerCallContext context) => Guard(context, async token =>
    {
        await foreach (var one in events.WatchAsync(Math.Clamp(request.Last, 0, EventLog.KeptMax), request.Follow, token))
        {
            await responseStream.WriteAsync(new Event
            {
                Sequence = one.Sequence,
                At = one.At.ToTimestamp(),
                Level = one.LevelName,
                Category = one.Category,
                Id = one.Id.Id,
                Name = one.Id.Name ?? "",
                Message = one.Message,
            }, token);
        }

        return 0;
    });

    public override Task<ReloadReply> Reload(ReloadRequest request, ServerCallContext context) => Guard(context, _ =>
    {
        if (arguments.ConfigurationFile is null) throw new RpcException(new Grpc.Core.Status(StatusCode.FailedPrecondition, "This gateway has no configuration file."));
        return Task.FromResult(new ReloadReply { NeedsRestart = { gateway.Reload() } });
    });

    public override Task<V1.Volume> CreateVolume(CreateVolumeRequest request, ServerCallContext context) => Guard(context, async token =>
    {
        var path = VolumePath.Parse(request.Volume);
        var codec = VolumeCompression.Lz4;
        if (request.Compression.Length > 0 && !VolumeCompressionNames.TryParse(request.Compression, out codec)) throw Invalid($"'{request.Compression}' is no compression: write {string.Join(", ", VolumeCompressionNames.All)}.");
        var spec = new VolumeSpec(request.Size, request.BlockSize == 0 ? VolumeSpec.BlockSizeDefaultBytes : request.BlockSize, codec);
        return ToWire(path, await Catalog(path.Store).CreateAsync(path.Volume, spec, token));
    });

    public override Task<ListVolumesReply> ListVolumes(ListVolumesRequest request, ServerCallContext context) => Guard(context, async token =>
    {
        var reply = new ListVolumesReply();
        foreach (var store in request.Store.Length > 0 ? [request.Store] : stores.Names.ToArray())
        {
            var catalog = Catalog(store);
            foreach (var volume in await catalog.ListAsync(token))
            {
                try
                {
                    reply.Volumes.Add(ToWire(new VolumePath(store, volume), await catalog.DescribeAsync(volume, token)));
                }
                catch (VolumeException e)
                {
                    reply.Faults.Add($"{store}/{volume}: {e.Message}"); // One damaged volume must not hide the others.
                }
            }
        }

        return reply;
    });

    public override Task<V1.Volume> DescribeVolume(DescribeVolumeRequest request, ServerCallContext context) => Guard(context, async token =>
    {
        var path = VolumePath.Parse(request.Volume);
        return ToWire(path, await Catalog(path.Store).DescribeAsync(path.Volume, token));
    });

    public override Task<V1.Volume> ResizeVolume(ResizeVolumeRequest request, ServerCallContext context) => Guard(context, async token =>
    {
        var path = VolumePath.Parse(request.Volume);
        await gateway.GrowAsync(path, request.Size, token);
        await targets.RefreshAsync(token); // Devices of volumes that are not open here learn of it, too.
        return ToWire(path, await Catalog(path.Store).DescribeAsync(path.Volume, token));
    });

    public override Task<ListTargetsReply> ListTargets(ListTargetsRequest request, ServerCallContext context) => Guard(context, _ => Task.FromResult(targets.List()));

    public override Task<Target> Export(ExportRequest request, ServerCallContext context) => Guard(context, token => targets.ExportAsync(request, token));

    public override Task<UnexportReply> Unexport(UnexportRequest request, ServerCallContext context) => Guard(context, token => targets.UnexportAsync(request, token));

    public override Task<Target> SetInitiator(SetInitiatorRequest request, ServerCallContext context) => Guard(context, token => targets.SetInitiatorAsync(request, token));

    public override Task<Target> SetChap(SetChapRequest request, ServerCallContext context) => Guard(context, token => targets.SetChapAsync(request, token));

    public override Task<TestStoreReply> TestStore(TestStoreRequest request, ServerCallContext context) => Guard(context, async token =>
    {
        var store = stores.Get(request.Store);
        var report = await StoreTrial.RunAsync(store, new Random(Environment.TickCount), token);
        var reply = new TestStoreReply { Description = store.Description, Ok = report.Faults.Count == 0, Faults = { report.Faults } };
        reply.Measurements.AddRange(report.Measurements.Select(m => new TestStoreReply.Types.Measurement { Operation = m.Operation, Requests = m.Requests, MedianMs = m.Median.TotalMilliseconds, SlowestMs = m.Slowest.TotalMilliseconds }));
        return reply;
    });

    private VolumeCatalog Catalog(string store) => new(stores.Get(store), TimeProvider.System);

    private static V1.Volume ToWire(VolumePath path, VolumeInfo info) => new()
    {
        Volume_ = path.ToString(),
        Id = info.Id.ToString(),
        Size = info.SizeBytes,
        BlockSize = info.BlockSizeBytes,
        Compression = info.Compression,
        CreatedAt = info.CreatedAt.ToTimestamp(),
        Epoch = info.Epoch,
        Owner = info.Owner ?? "",
        BucketBytes = info.BucketBytes,
        Segments = info.Segments,
        LastWrite = info.LastWriteNumber,
    };

    /// <summary>The daemon as it is now.</summary>
    internal Status Now()
    {
        using var process = Process.GetCurrentProcess();
        var status = new Status
        {
            At = TimeProvider.System.GetUtcNow().ToTimestamp(),
            Version = ThisProgram.Version,
            ProcessId = Environment.ProcessId,
            StartedAt = _startedAt.ToTimestamp(),
            ResidentBytes = process.WorkingSet64,
            Threads = process.Threads.Count,
            ConfigurationFile = arguments.ConfigurationFile ?? "",
        };
        foreach (var session in gateway.Sessions) status.Devices.Add(ToWire(session));
        var used = stores.Health.ToDictionary(h => h.Name, h => h.Health, StringComparer.Ordinal);
        foreach (var (name, section) in gateway.Configuration.Stores.OrderBy(s => s.Key, StringComparer.Ordinal))
            status.Stores.Add(used.TryGetValue(name, out var health) ? ToWire(name, section, health) : new StoreStatus { Name = name, Type = section.Type, Breaker = "unused" });
        return status;
    }

    private static Device ToWire(DeviceSession session)
    {
        var served = session.Target.State;
        var device = new Device
        {
            Name = session.Device.Name.ToString(),
            Volume = served.Volume,
            State = served.Reason is null ? Device.Types.State.Serving : served.IsStandby ? Device.Types.State.Standby : Device.Types.State.NotOpen,
            Reason = served.Reason ?? "",
        };
        if (session.Ring is { } ring)
        {
            device.InFlight = ring.Statistics.InFlight;
            device.Reads = ToWire(ring.Count(CommandKind.Read));
            device.Writes = ToWire(ring.Count(CommandKind.Write));
            device.Flushes = ToWire(ring.Count(CommandKind.Flush));
            device.Others = ToWire(ring.Count(CommandKind.Other));
        }

        if (session.Target.Volume is { } volume)
        {
            var (statistics, geometry) = (volume.Statistics, volume.Geometry);
            device.Open = new VolumeStatus
            {
                Size = (long)geometry.CapacityBlocks * geometry.BlockLengthBytes,
                BlockSize = geometry.BlockLengthBytes,
                Epoch = volume.Epoch,
                DirtyBytes = statistics.DirtyBytes,
                JournalBytes = statistics.JournalCapacityBytes,
                BlocksAtOnce = statistics.BlocksAtOnce,
                BlocksFetched = statistics.BlocksFetched,
                CachedBytes = statistics.CachedBytes,
                GarbageShare = statistics.GarbageShare,
            };
        }

        return device;
    }

    private static Counts ToWire(CommandCounts counts) => new() { Commands = counts.Commands, Bytes = counts.Bytes, Errors = counts.Errors, Latencies = { counts.Latencies } };

    private StoreStatus ToWire(string name, StoreSection section, StoreHealth health)
    {
        var status = new StoreStatus
        {
            Name = name,
            Type = section.Type,
            Description = stores.Get(name).Description,
            Breaker = health.State switch { CircuitState.Closed => "closed", CircuitState.Open => "open", _ => "half-open" },
            Since = health.Since.ToTimestamp(),
            LastError = health.LastError ?? "",
            LastErrorAt = health.LastErrorAt?.ToTimestamp(),
            Attempts = health.Attempts,
            Retries = health.Retries,
            Rejected = health.Rejected,
            Timeouts = health.Timeouts,
            Hedges = health.Hedges,
            AwayS = health.AwayFor.TotalSeconds,
            RefusedS = health.RefusedFor.TotalSeconds,
        };
        return status;
    }

    private static RpcException Invalid(string message) => new(new Grpc.Core.Status(StatusCode.InvalidArgument, message));

    /// <summary>Runs a call; what a person can mend ends in a status with the message, anything else is logged and ends in INTERNAL.</summary>
    private async Task<T> Guard<T>(ServerCallContext context, Func<CancellationToken, Task<T>> call)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, _stop.Token);
        try
        {
            return await call(ended.Token);
        }
        catch (OperationCanceledException)
        {
            throw new RpcException(new Grpc.Core.Status(_stop.IsCancellationRequested ? StatusCode.Unavailable : StatusCode.Cancelled, _stop.IsCancellationRequested ? "The gateway is stopping." : "The call was ended."));
        }
        catch (Exception e) when (StatusOf(e) is { } status)
        {
            throw new RpcException(new Grpc.Core.Status(status, e.Message));
        }
        catch (Exception e) when (e is not RpcException)
        {
            ControlLog.Fault(_logger, context.Method, e);
            throw new RpcException(new Grpc.Core.Status(StatusCode.Internal, string.Create(CultureInfo.InvariantCulture, $"A fault of the gateway's own ({e.GetType().Name}); its log has the rest.")));
        }
    }

    private static StatusCode? StatusOf(Exception exception) => exception switch
    {
        TargetException target => target.Status,
        ConfigurationException => StatusCode.InvalidArgument,
        VolumeException { Kind: VolumeErrorKind.NotFound } => StatusCode.NotFound,
        VolumeException { Kind: VolumeErrorKind.AlreadyExists } => StatusCode.AlreadyExists,
        VolumeException { Kind: VolumeErrorKind.InvalidArgument } => StatusCode.InvalidArgument,
        VolumeException => StatusCode.FailedPrecondition,
        BlobStoreException { Kind: BlobErrorKind.AccessDenied } => StatusCode.PermissionDenied,
        BlobStoreException { IsTransient: true } => StatusCode.Unavailable,
        BlobStoreException => StatusCode.FailedPrecondition,
        _ => null,
    };
}
