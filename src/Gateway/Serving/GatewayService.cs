using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Gateway.Backends.Core;
using Gateway.Configuration;
using Gateway.Tcmu;
using Gateway.Volumes;
using Gateway.Volumes.Leases;
using Gateway.Volumes.Trash;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Gateway.Serving;

/// <summary>Where the kernel shows its objects.</summary>
internal sealed record KernelRoots(string Sysfs = "/sys", string Configfs = "/sys/kernel/config", string Dev = "/dev")
{
    /// <summary>Opens the ring of a node, given the length of its region; null: by UIO. A seam: tests play the kernel.</summary>
    public Func<string, long, IRingPort>? OpenRing { get; init; }

    /// <summary>Where the kernel's events come from; null: netlink. A seam, too.</summary>
    public Func<INetlinkTransport>? Netlink { get; init; }
}

/// <summary>The daemon: attaches to every TCMU device of our subtype, those that are there at the start and those that come later.</summary>
internal sealed class GatewayService(
    GatewayConfiguration configuration,
    StoreSet stores,
    KernelRoots roots,
    ServeArguments arguments,
    TimeProvider time,
    IHostApplicationLifetime lifetime,
    ILoggerFactory loggers,
    CommandTracing? tracing = null) : BackgroundService
{
    // Errno values that the writer of configfs' "enable" sees, negative as netlink carries them (asm-generic/errno-base.h, errno.h).
    private const int StatusNotFound = -2;
    private const int StatusIoError = -5;
    private const int StatusBusy = -16;
    private const int StatusInvalid = -22;
    private const int StatusNotSupported = -95;

    /// <summary>Commands in flight at a stop may take this long: those that wait for a store then end in BUSY, which initiators repeat to the successor.</summary>
    internal static readonly TimeSpan DrainTimeout = TimeSpan.FromSeconds(1);

    /// <summary>How soon a change of the configuration file is seen.</summary>
    private static readonly TimeSpan LookAtFileEvery = TimeSpan.FromSeconds(2);

    /// <summary>How soon the service manager learns of a change.</summary>
    private static readonly TimeSpan StatusEvery = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<uint, DeviceSession> _sessions = new();
    private readonly KernelFiles _files = new();
    private readonly ILogger _logger = loggers.CreateLogger("Gateway.Serving");
    private readonly ILogger _ringLogger = loggers.CreateLogger("Gateway.Tcmu");
    private readonly ILogger _volumeLogger = loggers.CreateLogger("Gateway.Volumes");
    private readonly Lock _reloadGate = new();
    private volatile GatewayConfiguration _configuration = configuration;
    private volatile byte[]? _contentRead; // Of the configuration file, when it was last read.
    /// <summary>What can wait, waits so long for the volumes of a start to be opened: a store that is away must not keep it off.</summary>
    private static readonly TimeSpan SettleTimeMax = TimeSpan.FromSeconds(3);

    private readonly TaskCompletionSource _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _settled = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private UioDiscovery _discovery = null!;
    private TcmuDeviceOpener _opener = null!;

    /// <summary>Completes when every device that was there at the start is attached. Never, if none can be served.</summary>
    public Task Started => _started.Task;

    /// <summary>
    /// Completes after <see cref="Started"/>, when the volumes of those devices are open or wait for another gateway, or have taken too long: until then the
    /// processor is theirs, since initiators wait for them.
    /// </summary>
    public Task Settled => _settled.Task;

    /// <summary>The devices, by name.</summary>
    public IReadOnlyList<DeviceSession> Sessions => [.. _sessions.Values.OrderBy(s => s.Device.Name.ToString(), StringComparer.Ordinal)];

    /// <summary>What holds now.</summary>
    public GatewayConfiguration Configuration => _configuration;

    /// <summary>Raised, on any thread, after another configuration holds.</summary>
    public event Action? ConfigurationChanged;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var status = TellStatusAsync(stoppingToken);
        using var reload = arguments.ConfigurationFile is not null ? PosixSignalRegistration.Create(PosixSignal.SIGHUP, signal =>
        {
            signal.Cancel = true; // The default would end us.
            ReloadOnSignal();
        }) : null;
        var watch = arguments.ConfigurationFile is { } watched ? WatchFileAsync(watched, stoppingToken) : Task.CompletedTask;
        try
        {
            await RunAsync(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // Asked to stop.
        }
        catch (IOException e)
        {
            ServingLog.CannotServe(_logger, e.Message);
            Environment.ExitCode = 1;
            lifetime.StopApplication();
        }
        finally
        {
            ServingLog.Stopping(_logger, _sessions.Count);
            await Task.WhenAll(_sessions.Values.Select(s => s.DisposeAsync().AsTask()));
            await status;
            await watch;
        }
    }

    /// <summary>Keeps the service manager's line about us up to date until we stop.</summary>
    private async Task TellStatusAsync(CancellationToken stoppingToken)
    {
        using var status = new ServiceStatus(Environment.GetEnvironmentVariable("NOTIFY_SOCKET"));
        if (!status.IsHeard) return;
        using var timer = new PeriodicTimer(StatusEvery, time);
        try
        {
            do status.Tell(StatusLine.Of(_sessions.Values.Select(s => s.Target.State), stores.Health));
            while (await timer.WaitForNextTickAsync(stoppingToken));
        }
        catch (OperationCanceledException)
        {
            status.Tell("Stopping: devices are drained and their volumes closed.");
        }
    }

    private async Task RunAsync(CancellationToken stoppingToken)
    {
        _discovery = new UioDiscovery(_files, roots.Sysfs, roots.Dev, time);
        _opener = new TcmuDeviceOpener(_files, roots.Configfs, _discovery, time, _ringLogger, roots.OpenRing);
        var module = new TcmuModule(_files, roots.Sysfs);
        if (module.CanReleaseNetlinkWaiters) module.ReleaseNetlinkWaiters(); // Those that a killed predecessor left without an answer.
        await using var monitor = roots.Netlink is { } netlink ? TcmuMonitor.Start(netlink(), _ringLogger) : TcmuMonitor.Start(_ringLogger);
        await RescanAsync(stoppingToken);
        if (arguments.ReadyFile is { } ready) await File.WriteAllTextAsync(ready, Environment.ProcessId.ToString(System.Globalization.CultureInfo.InvariantCulture) + "\n", stoppingToken);
        ServingLog.Serving(_logger, ThisProgram.Version, _sessions.Count);
        _started.TrySetResult();
        var settling = SettleAsync(stoppingToken);

        // Events of different devices do not wait for each other; those of one device come one at a time, since the kernel waits for each reply.
        var handling = new ConcurrentDictionary<Task, bool>();
        await foreach (var change in monitor.Events.ReadAllAsync(stoppingToken))
        {
            var task = HandleAsync(change, stoppingToken);
            if (task.IsCompleted) continue;
            handling.TryAdd(task, true);
            _ = task.ContinueWith(t => handling.TryRemove(t, out _), TaskScheduler.Default);
        }

        await Task.WhenAll(handling.Keys);
        await settling;
    }

    private async Task SettleAsync(CancellationToken stoppingToken)
    {
        try
        {
            await Task.WhenAll(_sessions.Values.Select(s => s.Target.FirstOutcome)).WaitAsync(SettleTimeMax, time, stoppingToken);
        }
        catch (Exception e) when (e is TimeoutException or OperationCanceledException)
        {
            // The rest need not wait any longer.
        }

        _settled.TrySetResult();
    }

    /// <summary>Takes over what of the file can be had without a restart; all of it, or nothing if it has a fault.</summary>
    /// <returns>What changed and needs a restart.</returns>
    /// <exception cref="ConfigurationException">The file is missing or wrong. Nothing changed.</exception>
    public IReadOnlyList<string> Reload()
    {
        IReadOnlyList<string> needsRestart;
        lock (_reloadGate)
        {
            _contentRead = ContentOf(arguments.ConfigurationFile!);
            var next = ConfigurationReload.Read(arguments.ConfigurationFile!, _configuration, _logger, out needsRestart);
            stores.Change(next);
            _configuration = next;
            foreach (var session in _sessions.Values)
            {
                if (ConfigurationReload.PathOf(session.Device.Name) is { } path) session.Target.Change(next.ToOutageOptions(path));
                session.Target.RefreshInBackground();
            }
        }

        ConfigurationChanged?.Invoke();
        return needsRestart;
    }

    private void ReloadOnSignal()
    {
        try
        {
            Reload();
        }
        catch (ConfigurationException)
        {
            // It was logged.
        }
    }

    /// <summary>Reads the file again whenever its content is another: editors replace it, Kubernetes turns a symbolic link.</summary>
    private async Task WatchFileAsync(string file, CancellationToken stoppingToken)
    {
        _contentRead ??= ContentOf(file);
        byte[]? last = null;
        using var timer = new PeriodicTimer(LookAtFileEvery, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                var content = ContentOf(file);
                // Twice the same, so that nothing is read that is half written.
                if (content is not null && !AreSame(content, _contentRead) && AreSame(content, last)) ReloadOnSignal();
                last = content;
            }
        }
        catch (OperationCanceledException)
        {
            // Asked to stop.
        }
    }

    private static bool AreSame(byte[] one, byte[]? other) => other is not null && one.AsSpan().SequenceEqual(other);

    private static byte[]? ContentOf(string file)
    {
        try
        {
            return File.ReadAllBytes(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null; // It is being replaced, or gone: what was read holds.
        }
    }

    private async Task HandleAsync(TcmuEvent change, CancellationToken stoppingToken)
    {
        switch (change)
        {
            case DeviceAdded added:
                try
                {
                    added.Reply(await AddAsync(added, stoppingToken));
                }
                catch (OperationCanceledException)
                {
                    added.Reply(StatusBusy); // We are stopping; whoever enables the device must not wait for ever.
                }

                break;
            case DeviceRemoved removed:
                if (_sessions.TryRemove(removed.Minor, out var session)) await session.DisposeAsync();
                removed.Reply(0);
                break;
            case DeviceReconfigured reconfigured:
                reconfigured.Reply(await ReconfigureAsync(reconfigured));
                break;
            case RescanNeeded:
                await RescanAsync(stoppingToken);
                break;
        }
    }

    /// <summary>Attaches to what is there and unknown, and detaches from what is gone.</summary>
    private async Task RescanAsync(CancellationToken stoppingToken)
    {
        var present = _discovery.Scan().Where(d => d.Name.IsGateway).ToArray();
        foreach (var gone in _sessions.Keys.Except(present.Select(d => d.Minor)).ToArray())
            if (_sessions.TryRemove(gone, out var session)) await session.DisposeAsync();
        await Task.WhenAll(present.Where(d => !_sessions.ContainsKey(d.Minor)).Select(async device =>
        {
            var (session, isNew) = AddSession(device);
            if (!isNew)
            {
                await session.Target.DisposeAsync(); // Its event was faster.
                return;
            }

            session.Target.OpenInBackground();
            try
            {
                await StartAsync(session, stoppingToken);
            }
            catch (Exception e) when (e is IOException or RingBrokenException)
            {
                await RefuseAsync(session, e);
            }
        }));
    }

    /// <summary>Serves a new device; whoever enables it is told whether its volume could be opened.</summary>
    private async Task<int> AddAsync(DeviceAdded added, CancellationToken stoppingToken)
    {
        var device = _discovery.Find(added.Minor);
        if (device is null)
        {
            ServingLog.Refused(_logger, added.Name, $"uio{added.Minor} is not in sysfs.", null);
            return StatusIoError;
        }

        var (session, isNew) = AddSession(device.Value);
        if (!isNew)
        {
            await session.Target.DisposeAsync(); // The scan was faster.
            return 0;
        }

        try
        {
            await session.Target.OpenAsync(stoppingToken);
            await StartAsync(session, stoppingToken);
            return 0;
        }
        catch (Exception e) when (e is VolumeException or BlobStoreException or ConfigurationException or IOException or RingBrokenException)
        {
            await RefuseAsync(session, e);
            return e switch
            {
                VolumeException { Kind: VolumeErrorKind.NotFound } or ConfigurationException => StatusNotFound,
                VolumeException { Kind: VolumeErrorKind.InvalidArgument or VolumeErrorKind.Unsupported } => StatusInvalid,
                VolumeException { Kind: VolumeErrorKind.Fenced or VolumeErrorKind.OwnedElsewhere } => StatusBusy,
                _ => StatusIoError,
            };
        }
        catch (OperationCanceledException)
        {
            await RefuseAsync(session, null);
            throw;
        }
    }

    /// <summary>A session that is in the table, or is to be disposed of, since there is one. No reload comes between its configuration and that.</summary>
    private (DeviceSession Session, bool IsNew) AddSession(UioDevice device)
    {
        lock (_reloadGate)
        {
            var session = new DeviceSession(device, NewTarget(device.Name), _opener, DrainTimeout, time, _ringLogger, NewTracing(device));
            return (session, _sessions.TryAdd(device.Minor, session));
        }
    }

    private Func<DeviceTracing>? NewTracing(UioDevice device) => tracing is null ? null : () => new DeviceTracing(tracing, device.Name.Path, new Random(HashCode.Combine(Environment.TickCount, device.Minor)));

    private async Task StartAsync(DeviceSession session, CancellationToken stoppingToken)
    {
        await session.StartAsync(stoppingToken);
        ServingLog.Attached(_logger, session.Device.Name, session.Device.Name.Path);
    }

    private async Task RefuseAsync(DeviceSession session, Exception? reason)
    {
        if (reason is not null) ServingLog.Refused(_logger, session.Device.Name, reason.Message, null);
        _sessions.TryRemove(session.Device.Minor, out _);
        await session.DisposeAsync();
    }

    private async Task<int> ReconfigureAsync(DeviceReconfigured change)
    {
        if (change.CapacityBytes is { } sizeBytes) return await FollowSizeAsync(change.Name, sizeBytes);

        if (change.Config is not null)
        {
            ServingLog.Reconfigured(_logger, change.Name, "its volume cannot be changed while it is there; dev_config was refused.");
            return StatusNotSupported;
        }

        if (change.WriteCache is not { } enabled) return 0;
        foreach (var session in _sessions.Values.Where(s => s.Device.Name == change.Name)) await session.Target.SetWriteCacheAsync(enabled);
        ServingLog.Reconfigured(_logger, change.Name, enabled ? "its write cache is on." : "its write cache is off: every write is durable before it completes.");
        return 0;
    }

    /// <summary>Makes a volume larger, whether it is served here or not.</summary>
    /// <inheritdoc cref="ResizeAsync"/>
    public Task GrowAsync(VolumePath path, long sizeBytes, CancellationToken cancellationToken) =>
        _sessions.Values.Any(s => ConfigurationReload.PathOf(s.Device.Name) == path && s.Target.Volume is not null)
            ? ResizeAsync(path, sizeBytes, cancellationToken)
            : new VolumeCatalog(stores.Get(path.Store), TimeProvider.System).ResizeAsync(path.Volume, sizeBytes, cancellationToken);

    /// <summary>Makes a volume that is served here larger: in the bucket, for initiators, who get UNIT ATTENTION CAPACITY DATA HAS CHANGED, and in the kernel. Asked for again, it does what is left.</summary>
    /// <exception cref="VolumeException">The volume is not open here, or the size cannot be; the message says what to do.</exception>
    /// <exception cref="BlobStoreException">The store failed; it can be asked for again.</exception>
    /// <exception cref="IOException">The kernel refuses the new dev_size; initiators see the new size all the same.</exception>
    public async Task ResizeAsync(VolumePath path, long sizeBytes, CancellationToken cancellationToken)
    {
        var session = _sessions.Values.Where(s => ConfigurationReload.PathOf(s.Device.Name) == path).MinBy(s => s.Target.State.Reason is null ? 0 : 1)
            ?? throw new VolumeException(VolumeErrorKind.NotFound, $"Volume {path} has no device here. Where no gateway serves it, 'tcmu-gateway volume resize {path} SIZE' resizes it in the bucket.");
        await session.Target.ResizeAsync(sizeBytes, cancellationToken);
    }

    /// <summary>Removes for good, in all stores, what has been in the trash for as long as it was to be kept. Call it from time to time, one at a time.</summary>
    /// <exception cref="BlobStoreException">A store failed; it can be called again.</exception>
    public async Task PurgeExpiredAsync(CancellationToken cancellationToken)
    {
        foreach (var store in stores.Names)
        {
            var trash = new VolumeTrash(stores.GetBackground(store), _configuration.ToVolumeOptions(), ThisProgram.Owner, time, _ => { }, _logger);
            foreach (var volume in await trash.PurgeExpiredAsync(all: false, null, cancellationToken))
            {
                LocalRemains.Remove(volume.Id, _configuration.Journal.Directory, _configuration.Volumes.CacheDirectory);
                ServingLog.Purged(_logger, store, volume.Name, volume.Id);
            }
        }
    }

    /// <summary>Somebody writes dev_size, perhaps we: whoever does waits for this answer.</summary>
    private async Task<int> FollowSizeAsync(TcmuDeviceName name, long sizeBytes)
    {
        try
        {
            using var limit = new CancellationTokenSource(_configuration.ToVolumeOptions().CommandTimeout, time);
            foreach (var session in _sessions.Values.Where(s => s.Device.Name == name)) await session.Target.FollowSizeAsync(sizeBytes, limit.Token);
            return 0;
        }
        catch (Exception e) when (e is VolumeException or BlobStoreException or OperationCanceledException)
        {
            ServingLog.NotResized(_logger, name, e is OperationCanceledException ? "dev_size was refused: the store did not answer in time." : $"dev_size was refused: {e.Message}");
            return e switch
            {
                VolumeException { Kind: VolumeErrorKind.InvalidArgument } => StatusInvalid,
                VolumeException { Kind: VolumeErrorKind.Fenced or VolumeErrorKind.OwnedElsewhere } => StatusBusy,
                _ => StatusIoError,
            };
        }
    }

    /// <summary>Read when the device is attached: the kernel refuses changes while it is exported.</summary>
    private TimeSpan ReadDeadline(TcmuDeviceName name, TcmuBackstore backstore)
    {
        var kernel = backstore.ReadAttributes().CommandTimeout;
        var deadline = DeviceDeadline.Of(_configuration.ToVolumeOptions().CommandTimeout, kernel);
        ServingLog.Deadline(_logger, name, deadline);
        if (kernel > TimeSpan.Zero) ServingLog.KernelTimesOut(_logger, name, kernel.Value, deadline);
        return deadline;
    }

    private VolumeTarget NewTarget(TcmuDeviceName name)
    {
        var backstore = new TcmuBackstore(_files, roots.Configfs, name);
        var deadline = ReadDeadline(name, backstore);
        return new VolumeTarget(name, OpenAsync, backstore, _configuration.ToVolumeOptions() with { CommandTimeout = deadline }, time, _logger, NewOutageWatch(name));

        async Task<Volume> OpenAsync(Action<OpeningWait> waits, CancellationToken cancellationToken)
        {
            var path = VolumePath.Parse(name.Path);
            var opener = new VolumeOpener(stores.Get(path.Store), _configuration.ToVolumeOptions(path) with { CommandTimeout = deadline }, _configuration.Journal, ThisProgram.Owner, time, new Random(Environment.ProcessId), _volumeLogger, stores.GetBackground(path.Store)) { Waits = waits };
            var volume = await opener.OpenAsync(path.Volume, cancellationToken);
            var attributes = backstore.ReadAttributes();
            var fault = (attributes.BlockLengthBytes, attributes.CapacityBytes) switch
            {
                ({ } block, _) when block != volume.Geometry.BlockLengthBytes => $"hw_block_size is {block}, but the volume has blocks of {volume.Geometry.BlockLengthBytes} bytes",
                (_, { } size) when size > volume.SizeBytes => $"dev_size is {size}, but the volume has {volume.SizeBytes} bytes", // A smaller one is of before a resize.
                _ => null,
            };
            if (fault is null) return volume;
            await volume.DisposeAsync();
            throw new VolumeException(VolumeErrorKind.InvalidArgument, $"The device's {fault}. Make the device anew with the volume's values.");
        }
    }

    /// <summary>None for a device whose volume's store is not known: it is never opened, and its log says why.</summary>
    private OutageWatch? NewOutageWatch(TcmuDeviceName name)
    {
        try
        {
            var path = VolumePath.Parse(name.Path);
            return new OutageWatch(name, stores.GetResilient(path.Store), _configuration.ToOutageOptions(path), time, _logger);
        }
        catch (ConfigurationException)
        {
            return null;
        }
    }
}

/// <summary>What 'serve' was started with.</summary>
/// <param name="ReadyFile">Written once all devices are attached.</param>
/// <param name="ConfigurationFile">Read again on SIGHUP.</param>
internal sealed record ServeArguments(string? ReadyFile, string? ConfigurationFile = null);

/// <summary>How this process names itself.</summary>
internal static class ThisProgram
{
    public static string Version { get; } = typeof(ThisProgram).Assembly.GetName().Version?.ToString(3) ?? "0";

    /// <summary>For epoch records: people find the gateway by it.</summary>
    public static string Owner { get; } = $"{Environment.MachineName} (process {Environment.ProcessId})";
}
