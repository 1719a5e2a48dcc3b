namespace Gateway.Volumes;

/// <summary>The deliberate bugs of this build of the engine; at most one is on at a time, in the thread that asks. None is unless a test says so.</summary>
internal static class Mutation
{
    [ThreadStatic]
    private static string? s_active;

    /// <summary>Names of all of them.</summary>
    public static IEnumerable<string> All =>
        typeof(Mutation).GetProperties().Where(p => p.PropertyType == typeof(bool)).Select(p => p.Name);

    /// <summary>The one that is on in this thread, or null.</summary>
    public static string? Active
    {
        get => s_active;
        set => s_active = value is null || All.Contains(value) ? value : throw new ArgumentException($"There is no mutation '{value}'.");
    }

    public static bool SkipFlush => s_active is nameof(SkipFlush);

    public static bool AcknowledgeBeforeAppend => s_active is nameof(AcknowledgeBeforeAppend);

    public static bool ForceUnitAccessIgnored => s_active is nameof(ForceUnitAccessIgnored);

    public static bool FlushCoversLaterWrites => s_active is nameof(FlushCoversLaterWrites);

    public static bool SegmentNamesReused => s_active is nameof(SegmentNamesReused);

    public static bool NewerEpochIgnored => s_active is nameof(NewerEpochIgnored);

    public static bool ReplayedBackwards => s_active is nameof(ReplayedBackwards);

    public static bool TornBatchAccepted => s_active is nameof(TornBatchAccepted);

    public static bool SpaceFreedBeforeCount => s_active is nameof(SpaceFreedBeforeCount);

    public static bool SpaceFreedBeforeSuperblock => s_active is nameof(SpaceFreedBeforeSuperblock);

    public static bool CountedOutOfOrder => s_active is nameof(CountedOutOfOrder);

    public static bool TakeoverEndIgnored => s_active is nameof(TakeoverEndIgnored);

    public static bool LogReadOnceOnly => s_active is nameof(LogReadOnceOnly);

    public static bool BucketBeforeJournal => s_active is nameof(BucketBeforeJournal);

    public static bool TakenEpochIsOurs => s_active is nameof(TakenEpochIsOurs);

    public static bool NewerWritesForgotten => s_active is nameof(NewerWritesForgotten);

    public static bool ForeignJournalReplayed => s_active is nameof(ForeignJournalReplayed);

    public static bool FrameUnchecked => s_active is nameof(FrameUnchecked);

    public static bool OlderSuperblockTaken => s_active is nameof(OlderSuperblockTaken);

    public static bool ResetInPlace => s_active is nameof(ResetInPlace);

    public static bool RootBeforeLeaves => s_active is nameof(RootBeforeLeaves);

    public static bool CheckpointCoversLater => s_active is nameof(CheckpointCoversLater);

    public static bool DeadRemovedWithoutCheckpoint => s_active is nameof(DeadRemovedWithoutCheckpoint);

    public static bool LiveMapBlobSwept => s_active is nameof(LiveMapBlobSwept);

    public static bool RemovedAtOnce => s_active is nameof(RemovedAtOnce);

    public static bool MovedOverNewer => s_active is nameof(MovedOverNewer);

    public static bool TombstoneLost => s_active is nameof(TombstoneLost);

    public static bool DirtyLeafEvicted => s_active is nameof(DirtyLeafEvicted);

    public static bool ListingTrusted => s_active is nameof(ListingTrusted);

    public static bool HeadPlaceIgnored => s_active is nameof(HeadPlaceIgnored);

    public static bool JournalSpaceUnchecked => s_active is nameof(JournalSpaceUnchecked);

    public static bool AcknowledgedPastLease => s_active is nameof(AcknowledgedPastLease);

    public static bool LeaseNotWaitedOut => s_active is nameof(LeaseNotWaitedOut);

    public static bool HeartbeatDebtIgnored => s_active is nameof(HeartbeatDebtIgnored);
}
