namespace Gateway.Scsi;

/// <summary>
/// Implemented by targets and devices that do better when they know that several commands come at once: a transport says so around
/// those that it takes in one go. Only a hint: what a command does, and when it may complete, is the same with and without.
/// </summary>
/// <remarks>Thread safe. Every begin is followed by its end soon, whatever becomes of the commands between them.</remarks>
public interface IBurstTarget
{
    /// <summary>More commands follow at once: what can wait for them may wait for <see cref="EndBurst"/>.</summary>
    void BeginBurst();

    /// <summary>No more commands follow: what has waited starts now, on the caller's thread where that costs little.</summary>
    void EndBurst();
}
