namespace Gateway.Tcmu;

/// <summary>Counts since a device was started.</summary>
/// <param name="Commands">Commands taken off the ring.</param>
/// <param name="Completed">Commands answered.</param>
/// <param name="InFlight">Commands taken and not answered.</param>
/// <param name="Faults">Commands whose execution threw, ended in ABORTED COMMAND.</param>
/// <param name="TaskManagement">TMR entries.</param>
/// <param name="UnknownEntries">Entries not understood.</param>
/// <param name="Doorbells">Doorbell writes: batches of answers.</param>
/// <param name="Wakes">Times the thread woke from sleep.</param>
/// <param name="UsedBytes">Bytes of the ring with entries that are not answered.</param>
/// <param name="LengthBytes">Bytes of the ring.</param>
public readonly record struct RingStatistics(
    long Commands, long Completed, int InFlight, long Faults, long TaskManagement, long UnknownEntries, long Doorbells, long Wakes, int UsedBytes, int LengthBytes);
