namespace Gateway.Volumes.Frames;

/// <summary>Remembers whether a volume's recent data shrank, so that data which does not is hardly looked at.</summary>
/// <remarks>
/// Builds of one volume may share it without a lock: it decides only how much is tried, and an update that gets lost costs a try.
/// </remarks>
internal sealed class CompressionHistory
{
    /// <summary>While nothing shrinks, one frame in so many is compressed in earnest: what a sample cannot show is found all the same.</summary>
    public const int RetryInterval = 16;

    private int _framesUntilRetry;

    /// <summary>True if the last frame that was tried did not shrink.</summary>
    public bool IsIncompressible { get; private set; }

    /// <summary>Counts a frame of incompressible data; true if it is one to try in earnest.</summary>
    public bool IsRetryDue() => --_framesUntilRetry <= 0;

    public void Record(bool shrank)
    {
        IsIncompressible = !shrank;
        _framesUntilRetry = RetryInterval;
    }
}
