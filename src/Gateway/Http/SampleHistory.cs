using Gateway.Serving;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Gateway.Http;

/// <summary>The last minutes of every device and of all together, so that charts are full as soon as somebody looks. Thread safe.</summary>
/// <remarks>One sample a second, <see cref="KeptMax"/> of them: 36 KB a device. A device that goes takes its samples along.</remarks>
internal sealed class SampleHistory(GatewayService gateway, TimeProvider time, ILoggerFactory loggers) : BackgroundService
{
    public const int KeptMax = 300;
    public static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    private readonly ILogger _logger = loggers.CreateLogger("Gateway.Http");
    private readonly Lock _gate = new();
    private readonly Dictionary<DeviceSession, VolumeSampler> _samplers = [];
    private readonly Dictionary<string, Queue<Sample>> _kept = new(StringComparer.Ordinal);
    private readonly Queue<Sample> _all = new();
    private long _sequence;
    private long _lookedAt = time.GetTimestamp();

    /// <summary>The samples after one of them, oldest first; none of a device that is not there.</summary>
    /// <param name="device">As the kernel names it; null: all together.</param>
    /// <param name="sequence">Of the last one that is known; 0: all that are kept.</param>
    public IReadOnlyList<Sample> After(string? device, long sequence)
    {
        lock (_gate)
        {
            var kept = device is null ? _all : _kept.GetValueOrDefault(device);
            return [.. (kept ?? []).Where(s => s.Sequence > sequence)];
        }
    }

    /// <summary>The last sample; null before the first one.</summary>
    public Sample? Last(string? device)
    {
        lock (_gate)
        {
            var kept = device is null ? _all : _kept.GetValueOrDefault(device);
            return kept is { Count: > 0 } ? kept.Last() : null;
        }
    }

    /// <summary>Takes a sample of everything now. One caller at a time.</summary>
    public void Look()
    {
        var sessions = gateway.Sessions;
        foreach (var gone in _samplers.Keys.Except(sessions).ToArray()) _samplers.Remove(gone);
        var (before, now) = (_lookedAt, time.GetTimestamp());
        _lookedAt = now;
        var (at, seconds) = (TimeProvider.System.GetUtcNow(), Math.Max(0.001, time.GetElapsedTime(before, now).TotalSeconds));
        var all = new Activity();
        lock (_gate)
        {
            _sequence++;
            foreach (var gone in _kept.Keys.Except(sessions.Select(s => s.Device.Name.ToString())).ToArray()) _kept.Remove(gone);
            foreach (var session in sessions)
            {
                if (!_samplers.TryGetValue(session, out var sampler)) _samplers.Add(session, sampler = new VolumeSampler());
                var activity = sampler.Look(session);
                all.Add(activity);
                var name = session.Device.Name.ToString();
                if (!_kept.TryGetValue(name, out var kept)) _kept.Add(name, kept = new Queue<Sample>());
                Keep(kept, activity.ToSample(_sequence, at, seconds));
            }

            Keep(_all, all.ToSample(_sequence, at, seconds));
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Period, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken)) LookSafely();
        }
        catch (OperationCanceledException)
        {
            // Asked to stop.
        }
    }

    /// <summary>A device may go while it is looked at; then this second is missing in the charts, and nothing else happens.</summary>
    private void LookSafely()
    {
        try
        {
            Look();
        }
        catch (Exception e)
        {
            HttpLog.NoSample(_logger, e);
        }
    }

    private static void Keep(Queue<Sample> kept, Sample sample)
    {
        if (kept.Count == KeptMax) kept.Dequeue();
        kept.Enqueue(sample);
    }
}
