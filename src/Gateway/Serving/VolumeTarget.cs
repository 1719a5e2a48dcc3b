using Gateway.Backends.Core;
using Gateway.Configuration;
using Gateway.Scsi;
using Gateway.Tcmu;
using Gateway.Volumes;
using Gateway.Volumes.Leases;
using Microsoft.Extensions.Logging;

namespace Gateway.Serving;

/// <summary>
/// The SCSI target of one device, there before its volume is: commands that come while the volume is being opened wait a while and then
/// end in NOT READY, so that a restart looks like a pause to initiators. While another gateway serves the volume, the device is there all the same,
/// as a path in standby: it tells what it is (INQUIRY, MODE SENSE and the like), and answers what needs the volume with the reason.
/// </summary>
internal sealed class VolumeTarget(
    TcmuDeviceName device,
    Func<Action<OpeningWait>, CancellationToken, Task<Volume>> open,
    TcmuBackstore backstore,
    VolumeOptions options,
    TimeProvider time,
    ILogger logger,
    OutageWatch? outages = null) : IScsiTarget, IBurstTarget, IAsyncDisposable
{
    /// <summary>What every unit must take, whatever hw_max_sectors says.</summary>
    private const int TransferLengthMinBytes = 64 << 10;

    private static readonly TimeSpan RetryDelayMin = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan RetryDelayMax = TimeSpan.FromSeconds(10);

    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource<Volume> _opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile LogicalUnit? _unit;
    private LogicalUnit? _standby; // Over no volume, while another gateway serves it.
    private BlockGeometry? _geometry; // Of the volume that we wait for; read under the lock.
    private readonly TaskCompletionSource _mustWait = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _needsPerson;
    private volatile BlockError _waitsFor;
    private volatile string _reason = "it is being opened"; // For people, while it is not open.
    private volatile VolumeCondition _whileClosed = VolumeCondition.Opening;
    private bool _writeCacheEnabled = true;
    private Task _opening = Task.CompletedTask;
    private Task _refreshing = Task.CompletedTask;

    /// <summary>
    /// Opens the volume once, for somebody who waits for the outcome. If another gateway must be waited for first, returns without one: the
    /// opening goes on in the background, and commands are told so.
    /// </summary>
    /// <exception cref="VolumeException">It cannot be opened.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; <see cref="DisposeAsync"/> ends the rest.</exception>
    public async Task OpenAsync(CancellationToken cancellationToken)
    {
        var attempt = open(Waits, _stop.Token);
        try
        {
            await Task.WhenAny(attempt, _mustWait.Task).WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            _opening = CloseWhenOpenAsync(attempt);
            throw;
        }

        if (attempt.IsCompleted) Opened(await attempt);
        else _opening = KeepOpeningAsync(attempt);
    }

    /// <summary>How the volume is served, for people.</summary>
    public ServedVolume State => Volume is null ? new ServedVolume(device.Path, _reason, _waitsFor != BlockError.None) : Condition switch
    {
        VolumeCondition.Standby => new ServedVolume(device.Path, "another gateway has taken it over", true),
        VolumeCondition.Offline => new ServedVolume(device.Path, "it is offline, as its local disk failed; the log says how. Mend the disk, and restart this gateway", false),
        _ => new ServedVolume(device.Path, null, false),
    };

    /// <summary>The same, for machines.</summary>
    public VolumeCondition Condition => Volume is not { } volume ? (_waitsFor != BlockError.None ? VolumeCondition.Standby : _whileClosed) : volume.Readiness.Error switch
    {
        BlockError.None => volume.LeaseLeft == TimeSpan.Zero ? VolumeCondition.LeaseRunOut : VolumeCondition.Serving,
        BlockError.Standby => VolumeCondition.Standby,
        _ => VolumeCondition.Offline,
    };

    /// <summary>How long a command may wait for one thing: the volume's opening, journal space, or the store.</summary>
    public TimeSpan CommandTimeout => options.CommandTimeout;

    /// <summary>The volume, once it is open.</summary>
    public Volume? Volume => _opened.Task.IsCompletedSuccessfully ? _opened.Task.GetAwaiter().GetResult() : null;

    /// <summary>Completes when the volume is open, or is known to wait for another gateway.</summary>
    public Task FirstOutcome => Task.WhenAny(_opened.Task, _mustWait.Task);

    /// <summary>Opens the volume in the background, as often as it takes.</summary>
    public void OpenInBackground() => _opening = KeepOpeningAsync(null);

    public ValueTask ExecuteAsync(ScsiCommand command, CancellationToken cancellationToken) =>
        _unit is { } unit ? unit.ExecuteAsync(command, cancellationToken) : ExecuteWhenOpenAsync(command, cancellationToken);

    /// <remarks>Until the first command has made the unit, nothing is gained by bursts.</remarks>
    public void BeginBurst() => _unit?.BeginBurst();

    public void EndBurst() => _unit?.EndBurst();

    /// <summary>Sets what is done about a long outage, from the next command on.</summary>
    public void Change(OutageOptions options) => outages?.Change(options);

    /// <summary>Switches the write cache, as a write of emulate_write_cache asks for.</summary>
    public async Task SetWriteCacheAsync(bool enabled)
    {
        lock (_gate)
        {
            // Before the first command the unit must not be made yet: its serial number may still change.
            _writeCacheEnabled = enabled;
            if (_unit is { } unit) unit.WriteCacheEnabled = enabled;
        }

        if (!enabled && _opened.Task.IsCompletedSuccessfully) await (await _opened.Task).FlushAsync(CancellationToken.None);
    }

    /// <summary>Makes the volume larger, tells initiators, and has the kernel know it. Asked for again, it does what is left.</summary>
    /// <exception cref="VolumeException">The size cannot be, or the volume is not open here.</exception>
    /// <exception cref="BlobStoreException">The store failed; initiators see the size from before.</exception>
    /// <exception cref="IOException">The kernel refuses the new dev_size: initiators see the new size all the same.</exception>
    public async Task ResizeAsync(long sizeBytes, CancellationToken cancellationToken)
    {
        await FollowSizeAsync(sizeBytes, cancellationToken);
        await TellKernelAsync(sizeBytes).WaitAsync(cancellationToken);
    }

    /// <summary>Makes the volume as large as the kernel is told that its device is, and tells initiators. Waits for nothing that waits for a reply of ours.</summary>
    /// <inheritdoc cref="ResizeAsync"/>
    public async Task FollowSizeAsync(long sizeBytes, CancellationToken cancellationToken)
    {
        var volume = OpenVolume();
        if (volume.SizeBytes == sizeBytes) return; // The echo of our own write: it must not depend on the store.
        if (await volume.ResizeAsync(sizeBytes, cancellationToken)) Grew(volume.SizeBytes);
    }

    /// <summary>Takes on, in the background, what 'volume resize' has made of the volume in the bucket.</summary>
    public void RefreshInBackground()
    {
        if (_opened.Task.IsCompletedSuccessfully && _refreshing.IsCompleted) _refreshing = RefreshAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _opening;
        await _refreshing;
        if (outages is not null) await outages.DisposeAsync();
        if (_opened.Task.IsCompletedSuccessfully) await (await _opened.Task).DisposeAsync();
        _stop.Dispose();
    }

    /// <summary>Closes what an attempt opens that nobody waits for any more.</summary>
    private static async Task CloseWhenOpenAsync(Task<Volume> attempt)
    {
        try
        {
            await (await attempt).DisposeAsync();
        }
        catch (Exception)
        {
            // It opened nothing.
        }
    }

    private void Waits(OpeningWait wait)
    {
        _reason = wait.Reason;
        _waitsFor = wait.Error;
        if (wait.Error != BlockError.BecomingReady) _needsPerson = false; // Somebody serves it, or we are about to.
        lock (_gate)
        {
            if (_geometry is { } before && wait.Geometry is { } now && now.CapacityBlocks != before.CapacityBlocks) _standby?.RaiseUnitAttention(UnitAttention.CapacityDataChanged);
            _geometry = wait.Geometry ?? _geometry;
        }

        _mustWait.TrySetResult();
    }

    private async ValueTask ExecuteWhenOpenAsync(ScsiCommand command, CancellationToken cancellationToken)
    {
        try
        {
            if (!_opened.Task.IsCompleted && GetStandby() is { } standby)
            {
                await standby.ExecuteAsync(command, cancellationToken);
                return;
            }

            if (!_opened.Task.IsCompleted && outages?.Verdict == BlockError.PathUnavailable) throw new TimeoutException();
            var volume = (_needsPerson || _waitsFor != BlockError.None) && !_opened.Task.IsCompleted ? throw new TimeoutException() : await _opened.Task.WaitAsync(options.CommandTimeout, time, cancellationToken);
            await GetUnit(volume).ExecuteAsync(command, cancellationToken);
        }
        catch (TimeoutException)
        {
            SenseMapping.Complete(command, ReasonNotOpen());
        }
        catch (OperationCanceledException)
        {
            command.Complete(ScsiStatus.TaskAborted);
        }
    }

    private BlockError ReasonNotOpen() => outages?.Verdict == BlockError.PathUnavailable ? BlockError.PathUnavailable : _needsPerson ? BlockError.Offline : _waitsFor is not BlockError.None and var reason ? reason : BlockError.BecomingReady;

    /// <summary>Made with the first command: by then the device's serial number is set for good, since LIO refuses changes once it is exported.</summary>
    private LogicalUnit GetUnit(Volume volume)
    {
        lock (_gate)
        {
            if (_unit is { } unit) return unit;
            unit = new LogicalUnit(outages is null ? volume : new OutageDevice(volume, outages), UnitOptions(volume.Geometry));
            if (_standby is not null && _geometry is { } told && told.CapacityBlocks != volume.Geometry.CapacityBlocks) unit.RaiseUnitAttention(UnitAttention.CapacityDataChanged);
            return _unit = unit;
        }
    }

    /// <summary>Null while nothing is known of the volume.</summary>
    private LogicalUnit? GetStandby()
    {
        lock (_gate) return _standby ??= _geometry is { } geometry ? new LogicalUnit(new AbsentDevice(KnownGeometry, ReasonNotOpen), UnitOptions(geometry)) : null;
    }

    private BlockGeometry KnownGeometry()
    {
        lock (_gate) return _geometry!.Value;
    }

    private Volume OpenVolume() => _opened.Task is { IsCompletedSuccessfully: true } opened
        ? opened.GetAwaiter().GetResult()
        : throw new VolumeException(VolumeErrorKind.OwnedElsewhere, $"Volume {device.Path} is not open here: {_reason} Nothing was resized.");

    /// <summary>The volume is open. A device made, or resized, before the volume was last made larger is told of it.</summary>
    private void Opened(Volume volume)
    {
        _opened.SetResult(volume);
        if (backstore.ReadAttributes().CapacityBytes < volume.SizeBytes) _refreshing = TellKernelOrLogAsync(volume.SizeBytes);
    }

    private async Task RefreshAsync()
    {
        try
        {
            var volume = OpenVolume();
            if (!await volume.RefreshAsync(_stop.Token)) return;
            Grew(volume.SizeBytes);
            await TellKernelOrLogAsync(volume.SizeBytes);
        }
        catch (Exception e) when (e is VolumeException or BlobStoreException)
        {
            ServingLog.NotResized(logger, device, e.Message);
        }
        catch (OperationCanceledException)
        {
            // Closed.
        }
    }

    /// <summary>The volume says its new size by now: whoever is told of a change reads that.</summary>
    private void Grew(long sizeBytes)
    {
        lock (_gate) _unit?.RaiseUnitAttention(UnitAttention.CapacityDataChanged);
        ServingLog.Resized(logger, device, sizeBytes);
    }

    private async Task TellKernelOrLogAsync(long sizeBytes)
    {
        try
        {
            await TellKernelAsync(sizeBytes).WaitAsync(_stop.Token);
        }
        catch (IOException e)
        {
            ServingLog.NotResized(logger, device, $"The kernel was to know that it has {sizeBytes} bytes: {e.Message} Initiators see that size all the same.");
        }
        catch (OperationCanceledException)
        {
            // Closed.
        }
    }

    /// <summary>Writes dev_size, on a thread of its own: the kernel holds the write until it has our reply to the event that it makes of it.</summary>
    private Task TellKernelAsync(long sizeBytes)
    {
        if (backstore.ReadAttributes().CapacityBytes is not { } present || present == sizeBytes) return Task.CompletedTask;
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() =>
        {
            try
            {
                backstore.WriteAttribute("dev_size", sizeBytes.ToString(System.Globalization.CultureInfo.InvariantCulture));
                done.SetResult();
            }
            catch (IOException e)
            {
                done.SetException(e);
            }
        })
        { Name = "dev-size", IsBackground = true }.Start();
        return done.Task;
    }

    private LogicalUnitOptions UnitOptions(BlockGeometry geometry)
    {
        var attributes = backstore.ReadAttributes();
        var unitOptions = new LogicalUnitOptions { UnitSerial = attributes.UnitSerial, WriteCacheEnabled = _writeCacheEnabled };
        if (attributes.TransferMaxBlocks * geometry.BlockLengthBytes is { } bytes && bytes < unitOptions.MaximumTransferLengthBytes)
            unitOptions.MaximumTransferLengthBytes = (int)Math.Max(bytes, TransferLengthMinBytes);
        return unitOptions;
    }

    private async Task KeepOpeningAsync(Task<Volume>? attempt)
    {
        for (var delay = RetryDelayMin; ; delay = delay * 2 < RetryDelayMax ? delay * 2 : RetryDelayMax)
        {
            try
            {
                Opened(await (attempt ?? open(Waits, _stop.Token)));
                return;
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (Exception e) when (e is VolumeException or BlobStoreException or ConfigurationException)
            {
                // The local disk may just not have been let go of yet by a predecessor that is dying.
                attempt = null;
                _waitsFor = BlockError.None;
                _needsPerson = e is not BlobStoreException { IsTransient: true } and not VolumeException { Kind: VolumeErrorKind.LocalDisk };
                _whileClosed = e is BlobStoreException { IsTransient: true } ? VolumeCondition.StoreAway : VolumeCondition.NotOpen;
                _reason = e.Message;
                ServingLog.NotOpen(logger, device, delay, e.Message);
            }

            try
            {
                await Task.Delay(delay, time, _stop.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }
}
