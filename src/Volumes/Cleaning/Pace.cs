namespace Gateway.Volumes.Cleaning;

/// <summary>A token bucket: lets so many bytes through in a second, and a second's worth at once. One user at a time.</summary>
internal sealed class Pace(long bytesPerSecond, TimeProvider time)
{
    private long _updatedAt = time.GetTimestamp();
    private double _tokens = bytesPerSecond;

    /// <summary>Takes <paramref name="bytes"/>, which have been moved already, and returns when that many would have come in.</summary>
    public async ValueTask TakeAsync(long bytes, CancellationToken cancellationToken)
    {
        var now = time.GetTimestamp();
        _tokens = Math.Min(bytesPerSecond, _tokens + (time.GetElapsedTime(_updatedAt, now).TotalSeconds * bytesPerSecond)) - bytes;
        _updatedAt = now;
        if (_tokens < 0) await Task.Delay(TimeSpan.FromSeconds(-_tokens / bytesPerSecond), time, cancellationToken);
    }
}
