namespace Gateway.Volumes;

/// <summary>What an open volume holds and has done since it was opened.</summary>
/// <param name="DirtyBytes">Bytes of its journal that are not in the bucket yet.</param>
/// <param name="JournalCapacityBytes">Bytes that its journal can hold.</param>
/// <param name="BlocksAtOnce">Blocks read by initiators that were in memory, or were never written.</param>
/// <param name="BlocksFetched">Blocks read by initiators that had to be fetched: from the journal, the cache file or the store.</param>
/// <param name="CachedBytes">Bytes of blocks in memory.</param>
/// <param name="GarbageShare">As <see cref="Volume.GarbageShare"/>.</param>
public readonly record struct VolumeStatistics(long DirtyBytes, long JournalCapacityBytes, long BlocksAtOnce, long BlocksFetched, long CachedBytes, double GarbageShare);
