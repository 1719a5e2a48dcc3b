using System.Globalization;
using Gateway.Serving;

namespace Gateway.Health;

/// <summary>Tells the service manager, in time, that we live: sd_watchdog_enabled(3). Without a word for WatchdogSec= it restarts us. Not thread safe.</summary>
internal sealed class Watchdog : IDisposable
{
    private readonly ServiceStatus _manager;
    private readonly TimeSpan? _interval;
    private readonly TimeProvider _time;
    private long? _pingedAt;

    /// <param name="variables">Value of an environment variable by its name; null if it is not set.</param>
    /// <param name="time">Clock of the intervals.</param>
    public Watchdog(Func<string, string?> variables, TimeProvider time)
    {
        _time = time;
        _interval = IntervalOf(variables("WATCHDOG_USEC"), variables("WATCHDOG_PID"));
        _manager = new ServiceStatus(_interval is null ? null : variables("NOTIFY_SOCKET"));
    }

    /// <summary>Says that we live, if it is time to: twice, at least, for each time that the manager waits.</summary>
    public void Ping()
    {
        if (!_manager.IsHeard || (_pingedAt is { } at && _time.GetElapsedTime(at) < _interval)) return;
        _pingedAt = _time.GetTimestamp();
        _manager.Ping();
    }

    public void Dispose() => _manager.Dispose();

    /// <summary>A third of what the manager waits for; null if it does not, or waits for another process.</summary>
    private static TimeSpan? IntervalOf(string? microseconds, string? processId) =>
        long.TryParse(microseconds, NumberStyles.None, CultureInfo.InvariantCulture, out var wait) && wait > 0
        && (string.IsNullOrEmpty(processId) || processId == Environment.ProcessId.ToString(CultureInfo.InvariantCulture))
            ? TimeSpan.FromMicroseconds(wait / 3.0)
            : null;
}
