using Gateway.Tcmu;

namespace Gateway.Health;

/// <summary>Tells whether the ring of one device makes progress. It is looked at from outside, so that commands cost nothing more. Not thread safe.</summary>
/// <remarks>
/// Stuck is a ring with a command that has been in flight for longer than it may wait, or whose thread has been in one pass for as long. It must be seen so several times
/// in a row: for a moment, a machine that was suspended looks the same.
/// </remarks>
internal sealed class RingWatch(TimeProvider time)
{
    /// <summary>Looks in a row that must find it so.</summary>
    public const int LooksMin = 3;

    /// <summary>The least that is added to a command's limit: for the wait of a local disk, which that does not count.</summary>
    public static readonly TimeSpan MarginMin = TimeSpan.FromSeconds(10);

    private RingDevice? _ring;
    private long? _mark;
    private long _markSince;
    private int _looks;
    private long _stuckSince;

    /// <summary>For how long it has been known to be stuck; null if it is not.</summary>
    public TimeSpan? StuckFor => _looks >= LooksMin ? time.GetElapsedTime(_stuckSince) : null;

    /// <summary>For how long the oldest command, or the pass of the ring's thread, has lasted, as of the last look.</summary>
    public TimeSpan Waiting { get; private set; }

    /// <summary>After what time a command must have been answered: it may wait for two things in turn, for its volume to open and for the store, say.</summary>
    public static TimeSpan LimitOf(TimeSpan commandTimeout) => commandTimeout + (commandTimeout > MarginMin ? commandTimeout : MarginMin);

    /// <summary>To be called about once a second.</summary>
    public void Look(RingDevice ring, TimeSpan commandTimeout)
    {
        var now = time.GetTimestamp();
        var mark = ring.PassMark;
        if (mark is null || mark != _mark || ring != _ring) (_ring, _mark, _markSince) = (ring, mark, now);
        var (pass, oldest) = (time.GetElapsedTime(_markSince, now), ring.OldestInFlight);
        Waiting = pass > oldest ? pass : oldest;
        if (Waiting <= LimitOf(commandTimeout)) _looks = 0;
        else if (++_looks == LooksMin) _stuckSince = now;
    }
}
