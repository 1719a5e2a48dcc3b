namespace Gateway.Volumes.Journal;

/// <summary>
/// How long a write is held back because the journal fills faster than the store empties it. Above the high-water mark the hold grows with
/// the excess: at half of the way to the end writes come in as fast as segments leave, so that a steady overload settles there, and the
/// journal fills up only when the store is away.
/// </summary>
/// <remarks>Not thread safe: the appender's gate guards it.</remarks>
internal sealed class BackPressure(long capacityBytes, int highWaterPercent, TimeProvider time)
{
    /// <summary>No write is held back longer than this; it waits longer only for space that there is not.</summary>
    public static readonly TimeSpan DelayMax = TimeSpan.FromSeconds(1);

    /// <summary>Weight of the latest measurement of the rate.</summary>
    private const double RateWeight = 0.3;

    /// <summary>A store that has taken nothing for so long is away, whatever it did before.</summary>
    private static readonly TimeSpan SilenceMax = TimeSpan.FromSeconds(10);

    private readonly long _highWaterBytes = capacityBytes * highWaterPercent / 100;
    private double _bytesPerSecond;
    private long _releasedAt = time.GetTimestamp();

    /// <summary>True above the high-water mark.</summary>
    public bool IsOn(long usedBytes) => usedBytes > _highWaterBytes;

    /// <summary>Takes note that the journal was empty until now: idleness says nothing about the store.</summary>
    public void Begin() => _releasedAt = time.GetTimestamp();

    /// <summary>Takes note of space that was given back.</summary>
    public void Released(long bytes)
    {
        var now = time.GetTimestamp();
        var seconds = time.GetElapsedTime(_releasedAt, now).TotalSeconds;
        if (seconds <= 0) return; // Its bytes are missing in the rate; the next measurement tells more.
        _releasedAt = now;
        var rate = bytes / seconds;
        _bytesPerSecond = _bytesPerSecond == 0 ? rate : (_bytesPerSecond * (1 - RateWeight)) + (rate * RateWeight);
    }

    /// <summary>How long after its arrival a write may go into the journal, at the earliest.</summary>
    /// <param name="usedBytes">What the journal holds, the write included.</param>
    /// <param name="waitingBytes">What waits to go into it, the write included.</param>
    public TimeSpan Delay(long usedBytes, long waitingBytes)
    {
        if (!IsOn(usedBytes)) return TimeSpan.Zero;
        var excess = Math.Min(1, (double)(usedBytes - _highWaterBytes) / Math.Max(1, capacityBytes - _highWaterBytes));

        var known = _bytesPerSecond > 0 && time.GetElapsedTime(_releasedAt) < SilenceMax;
        var seconds = known ? 2 * excess * waitingBytes / _bytesPerSecond : double.PositiveInfinity;
        return Math.Min(seconds, excess * DelayMax.TotalSeconds) * TimeSpan.FromSeconds(1);
    }
}
