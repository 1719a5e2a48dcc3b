namespace Gateway.Serving;

/// <summary>How one volume is served here, from best to worst.</summary>
internal enum VolumeCondition
{
    Serving,

    /// <summary>Another gateway serves it, or did until now: this one waits for its turn, as it should.</summary>
    Standby,

    /// <summary>Open, but its lease has run out since the store is away: commands are held until the store answers.</summary>
    LeaseRunOut,

    /// <summary>Not open, since its store is away.</summary>
    StoreAway,

    /// <summary>Being opened for the first time.</summary>
    Opening,

    /// <summary>Not open, for a reason that will not go away by itself: no such volume, say, or another block size.</summary>
    NotOpen,

    /// <summary>It was open, and its local disk failed.</summary>
    Offline,

    /// <summary>Its device's ring is not served: it broke and could not be opened again.</summary>
    RingLost,

    /// <summary>Commands that were taken off its device's ring are not answered.</summary>
    Stuck,
}
