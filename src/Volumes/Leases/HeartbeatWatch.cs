namespace Gateway.Volumes.Leases;

/// <summary>Measures, by our own clock, how long the signs of life have not changed. Not thread safe.</summary>
/// <remarks>
/// Only time in which we could read it counts: while the store is away for us it may be so for the owner, too. A change of any byte is a sign
/// of life, also one that a request which was long on its way makes; that only costs time.
/// </remarks>
internal sealed class HeartbeatWatch(TimeProvider time, TimeSpan gapMax)
{
    private long _epoch = -1;
    private byte[] _bytes = [];
    private long _since;
    private long _seenAt;

    /// <summary>True if it changed while we watched.</summary>
    public bool SeenAlive { get; private set; }

    public TimeSpan SilentFor => _epoch < 0 ? TimeSpan.Zero : time.GetElapsedTime(_since, _seenAt);

    /// <summary>Takes note of what a read returned that was sent at <paramref name="sentAt"/>.</summary>
    public void Observe(long epoch, ReadOnlySpan<byte> signs, long sentAt)
    {
        if (epoch != _epoch || !signs.SequenceEqual(_bytes))
        {
            // The first sight says nothing yet; a new epoch is another owner.
            SeenAlive = _epoch >= 0;
            (_epoch, _bytes, _since) = (epoch, signs.ToArray(), time.GetTimestamp());
        }
        else if (time.GetElapsedTime(_seenAt, sentAt) > gapMax)
        {
            _since = sentAt;
        }

        _seenAt = Math.Max(_since, sentAt);
    }
}
