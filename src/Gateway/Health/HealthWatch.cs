using System.Globalization;
using Gateway.Configuration;
using Gateway.Serving;
using Gateway.Tcmu;
using Grpc.Health.V1;
using Grpc.HealthCheck;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Gateway.Health;

/// <summary>
/// Looks at every device and store once a second: what /livez, /readyz and the health service say, and whether the service manager is told that we live.
/// </summary>
/// <remarks>
/// Alive is a process whose loop here goes round, with no ring that has been stuck for <see cref="StuckIsDeadAfter"/>: such a ring was given time, only a restart resets it, and
/// its initiators are about to give up. Whatever else is wrong, a restart would interrupt the volumes that work and mend nothing.
/// </remarks>
/// <param name="gateway">The devices.</param>
/// <param name="stores">The stores.</param>
/// <param name="service">The standard health service, kept up to date: "" for the gateway, STORE/VOLUME for each volume.</param>
/// <param name="watchdog">The service manager's.</param>
/// <param name="time">A clock that counts suspension.</param>
/// <param name="loggers">The daemon's.</param>
internal sealed class HealthWatch(GatewayService gateway, StoreSet stores, HealthServiceImpl service, Watchdog watchdog, TimeProvider time, ILoggerFactory loggers) : BackgroundService
{
    /// <summary>Linux repeats a command for about three minutes: by then a restart can still save it.</summary>
    public static readonly TimeSpan StuckIsDeadAfter = TimeSpan.FromMinutes(2);

    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    /// <summary>A loop that has not gone round for so long hangs, or has no thread to run on.</summary>
    private static readonly TimeSpan LoopHangsAfter = TimeSpan.FromSeconds(20);

    private readonly ILogger _logger = loggers.CreateLogger("Gateway.Health");
    private readonly Dictionary<DeviceSession, RingWatch> _watches = [];
    private readonly Dictionary<string, HealthCheckResponse.Types.ServingStatus> _told = new(StringComparer.Ordinal);
    private long _lookedAt = time.GetTimestamp();
    private HealthReport _latest = HealthReport.BeforeFirst;
    private string? _fault;

    /// <summary>As of the last look, a second ago at most if the process lives.</summary>
    public HealthReport Latest
    {
        get
        {
            var report = Volatile.Read(ref _latest);
            var age = time.GetElapsedTime(Volatile.Read(ref _lookedAt));
            return age < LoopHangsAfter ? report : report with { NotLive = string.Create(CultureInfo.InvariantCulture, $"nothing has looked after the devices for {age.TotalSeconds:0} s") };
        }
    }

    /// <summary>Looks now. One caller at a time.</summary>
    public void Look()
    {
        var isStarted = gateway.Started.IsCompletedSuccessfully; // Before the devices: those that come after this are in the next report.
        var sessions = gateway.Sessions;
        foreach (var gone in _watches.Keys.Except(sessions).ToArray()) _watches.Remove(gone);
        var volumes = sessions.Select(Look).ToArray();
        var dead = sessions.FirstOrDefault(s => _watches[s].StuckFor >= StuckIsDeadAfter);
        var report = new HealthReport(
            volumes,
            [.. stores.Health.Select(s => ConditionOfStore.Of(s.Name, s.Health))],
            dead is null ? null : string.Create(CultureInfo.InvariantCulture, $"the ring of {dead.Device.Name} has been stuck for {_watches[dead].Waiting.TotalSeconds:0} s: only a restart resets it"),
            !isStarted);
        if (report.NotLive is { } reason && Volatile.Read(ref _latest).NotLive is null) HealthLog.NotLive(_logger, reason);
        Volatile.Write(ref _latest, report);
        Volatile.Write(ref _lookedAt, time.GetTimestamp());
        Tell(report);
        if (report.NotLive is null) watchdog.Ping();
    }

    public override void Dispose()
    {
        watchdog.Dispose();
        base.Dispose();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Period, time);
        try
        {
            do LookSafely();
            while (await timer.WaitForNextTickAsync(stoppingToken));
        }
        catch (OperationCanceledException)
        {
            // Asked to stop.
        }
    }

    /// <summary>A device may go while it is looked at; and a fault here must not end the daemon.</summary>
    private void LookSafely()
    {
        try
        {
            Look();
            _fault = null;
        }
        catch (Exception e)
        {
            if (e.Message != _fault) HealthLog.LookFailed(_logger, e);
            _fault = e.Message;
            Volatile.Write(ref _lookedAt, time.GetTimestamp()); // The loop goes round: a restart would not mend a fault of ours.
            watchdog.Ping();
        }
    }

    private VolumeHealth Look(DeviceSession session)
    {
        if (!_watches.TryGetValue(session, out var watch)) _watches.Add(session, watch = new RingWatch(time));
        var wasStuck = watch.StuckFor is not null;
        var ring = session.Ring;
        if (ring is not null) watch.Look(ring, session.Target.CommandTimeout);
        var isStuck = watch.StuckFor is not null;
        if (isStuck && !wasStuck) HealthLog.Stuck(_logger, session.Device.Name, watch.Waiting);
        if (wasStuck && !isStuck) HealthLog.Unstuck(_logger, session.Device.Name);
        var (condition, reason) = (session.Target.Condition, session.Target.State.Reason);
        if (isStuck) (condition, reason) = (VolumeCondition.Stuck, string.Create(CultureInfo.InvariantCulture, $"its commands are not answered: one has been waiting for {watch.Waiting.TotalSeconds:0} s. The journal's disk may hang; if nothing else helps, restart this gateway"));
        else if (ring is null) (condition, reason) = (VolumeCondition.Opening, "its device is being opened");
        else if (ring.State is RingDeviceState.RingBroken or RingDeviceState.Stopped) (condition, reason) = (VolumeCondition.RingLost, "its device's ring is not served; the log says why. Restart this gateway");
        else if (condition == VolumeCondition.LeaseRunOut) reason = "its lease has run out, as the store is away: commands are held until the store answers";
        return new VolumeHealth(session.Target.State.Volume, session.Device.Name.ToString(), condition, reason, ring?.OldestInFlight ?? TimeSpan.Zero, session.Target.Volume?.LeaseLeft);
    }

    private void Tell(HealthReport report)
    {
        var now = report.Volumes.GroupBy(v => v.Volume, StringComparer.Ordinal).ToDictionary(g => g.Key, g => StatusOf(g.Max(v => v.Status)), StringComparer.Ordinal);
        now[""] = StatusOf(report.Status);
        foreach (var gone in _told.Keys.Except(now.Keys).ToArray())
        {
            service.ClearStatus(gone);
            _told.Remove(gone);
        }

        foreach (var (name, status) in now)
        {
            if (_told.TryGetValue(name, out var told) && told == status) continue;
            service.SetStatus(name, status);
            _told[name] = status;
        }
    }

    private static HealthCheckResponse.Types.ServingStatus StatusOf(HealthStatus status) =>
        status == HealthStatus.Unready ? HealthCheckResponse.Types.ServingStatus.NotServing : HealthCheckResponse.Types.ServingStatus.Serving;
}

/// <summary>Log events of health, 820 to 839.</summary>
internal static partial class HealthLog
{
    [LoggerMessage(EventId = 820, EventName = "RingStuck", Level = LogLevel.Error,
        Message = "Device {Device}: its ring is stuck: a command has been waiting for {Waiting}. See whether the journal's disk hangs (dmesg, iostat); a restart of this gateway resets the ring, and initiators repeat their commands.")]
    public static partial void Stuck(ILogger logger, TcmuDeviceName device, TimeSpan waiting);

    [LoggerMessage(EventId = 821, EventName = "RingMoves", Level = LogLevel.Warning, Message = "Device {Device}: its ring makes progress again.")]
    public static partial void Unstuck(ILogger logger, TcmuDeviceName device);

    [LoggerMessage(EventId = 823, EventName = "HealthNotKnown", Level = LogLevel.Error, Message = "The devices' health could not be looked at, by a fault of ours; what is told of it is old.")]
    public static partial void LookFailed(ILogger logger, Exception exception);

    [LoggerMessage(EventId = 822, EventName = "NotLive", Level = LogLevel.Critical, Message = "This process counts as dead from now on, so that it is restarted: {Reason}.")]
    public static partial void NotLive(ILogger logger, string reason);
}
