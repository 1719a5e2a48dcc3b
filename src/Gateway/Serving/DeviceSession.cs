using Gateway.Tcmu;
using Microsoft.Extensions.Logging;

namespace Gateway.Serving;

/// <summary>One TCMU device being served: its ring and its target, from attach to detach. Reopens the ring when it breaks.</summary>
/// <param name="device">The device.</param>
/// <param name="target">Its volume.</param>
/// <param name="opener">Opens its ring.</param>
/// <param name="stopTimeout">What commands in flight have at a stop.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">Lifecycle.</param>
/// <param name="newTracing">Decides, for each ring, which commands are traced; null: none are.</param>
internal sealed class DeviceSession(UioDevice device, VolumeTarget target, TcmuDeviceOpener opener, TimeSpan stopTimeout, TimeProvider time, ILogger logger, Func<DeviceTracing>? newTracing = null) : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private Task _supervision = Task.CompletedTask;
    private volatile RingDevice? _ring;
    private long _breaks;

    public UioDevice Device => device;

    public VolumeTarget Target => target;

    /// <summary>The ring that is being served; null before the first. Its counts begin anew when it breaks and is opened again.</summary>
    public RingDevice? Ring => _ring;

    /// <summary>How often the ring broke and was opened anew.</summary>
    public long RingBreaks => Volatile.Read(ref _breaks);

    /// <summary>Opens the ring and starts to serve it.</summary>
    /// <exception cref="IOException">The device cannot be opened.</exception>
    /// <exception cref="RingBrokenException">Its mailbox is not one that this version serves.</exception>
    public async Task StartAsync(CancellationToken cancellationToken) => _supervision = SuperviseAsync(await OpenRingAsync(cancellationToken));

    /// <summary>Stops taking commands, lets those in flight end, closes the ring, then the volume.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _supervision;
        await target.DisposeAsync();
        _stop.Dispose();
        ServingLog.Detached(logger, device.Name);
    }

    private async Task<RingDevice> OpenRingAsync(CancellationToken cancellationToken)
    {
        var port = await opener.OpenAsync(device, cancellationToken);
        var ring = new RingDevice(device.Name.ToString(), port, target, new RingDeviceOptions { Tracing = newTracing?.Invoke() }, null, time, logger);
        await ring.StartAsync(cancellationToken);
        _ring = ring;
        return ring;
    }

    private async Task StopAsync(RingDevice ring)
    {
        using var limit = new CancellationTokenSource(stopTimeout, time);
        try
        {
            await ring.StopAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            await ring.Ended; // The ring cancels what is left, and closes when the last of it is done.
        }
    }

    private async Task SuperviseAsync(RingDevice ring)
    {
        while (true)
        {
            var stopped = Task.Delay(Timeout.InfiniteTimeSpan, time, _stop.Token);
            var ended = await Task.WhenAny(stopped, ring.RingBroken);
            await StopAsync(ring);
            if (ended == stopped) return;
            try
            {
                var reason = await ring.RingBroken;
                Interlocked.Increment(ref _breaks);
                ring = await OpenRingAsync(_stop.Token);
                ServingLog.RingReopened(logger, device.Name, reason);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (Exception e) when (e is IOException or RingBrokenException)
            {
                ServingLog.Refused(logger, device.Name, e.Message, e);
                return;
            }
        }
    }
}
