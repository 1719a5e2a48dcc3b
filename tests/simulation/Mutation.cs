namespace Gateway.Volumes;

/// <summary>The deliberate bugs of this build of the engine; at most one is on at a time, in the thread that asks. None is unless a test says so.</summary>
internal static class Mutation
{
    [ThreadStatic]
    private static string? _active;

    /// <summary>Names of all of them.</summary>
    public static IEnumerable<string> All =>
        typeof(Mutation).GetProperties().Where(p => p.PropertyType == typeof(bool)).Select(p => p.Name);

    /// <summary>The one that is on in this thread, or null.</summary>
    public static string? Active
    {
        get => _active;
        set => _active = value is null || All.Contains(value) ? value : throw new ArgumentException($"There is no mutation '{value}'.");
    }

    public static bool SkipFlush => _active is nameof(SkipFlush);

    public static bool AcknowledgeBeforeAppend => _active is nameof(AcknowledgeBeforeAppend);

    public static bool ForceUnitAccessIgnored => _active is nameof(ForceUnitAccessIgnored);

    public static bool FlushCoversLaterWrites => _active is nameof(FlushCoversLaterWrites);

    public static bool SegmentNamesReused => _active is nameof(SegmentNamesReused);

    public static bool NewerEpochIgnored => _active is nameof(NewerEpochIgnored);

    public static bool ReplayedBackwards => _active is nameof(ReplayedBackwards);

    public static bool TornBatchAccepted => _active is nameof(TornBatchAccepted);

    public static bool SpaceFreedBeforeCount => _active is nameof(SpaceFreedBeforeCount);

    public static bool SpaceFreedBeforeSuperblock => _active is nameof(SpaceFreedBeforeSuperblock);

    public static bool CountedOutOfOrder => _active is nameof(CountedOutOfOrder);

    public static bool TakeoverEndIgnored => _active is nameof(TakeoverEndIgnored);

    public static bool LogReadOnceOnly => _active is nameof(LogReadOnceOnly);

    public static bool BucketBeforeJournal => _active is nameof(BucketBeforeJournal);

    public static bool TakenEpochIsOurs => _active is nameof(TakenEpochIsOurs);

    public static bool NewerWritesForgotten => _active is nameof(NewerWritesForgotten);

    public static bool ForeignJournalReplayed => _active is nameof(ForeignJournalReplayed);

    public static bool FrameUnchecked => _active is nameof(FrameUnchecked);

    public static bool OlderSuperblockTaken => _active is nameof(OlderSuperblockTaken);

    public static bool ResetInPlace => _active is nameof(ResetInPlace);

    public static bool RootBeforeLeaves => _active is nameof(RootBeforeLeaves);

    public static bool CheckpointCoversLater => _active is nameof(CheckpointCoversLater);

    public static bool DeadRemovedWithoutCheckpoint => _active is nameof(DeadRemovedWithoutCheckpoint);

    public static bool LiveMapBlobSwept => _active is nameof(LiveMapBlobSwept);

    public static bool RemovedAtOnce => _active is nameof(RemovedAtOnce);

    public static bool MovedOverNewer => _active is nameof(MovedOverNewer);

    public static bool TombstoneLost => _active is nameof(TombstoneLost);

    public static bool DirtyLeafEvicted => _active is nameof(DirtyLeafEvicted);

    public static bool ListingTrusted => _active is nameof(ListingTrusted);

    public static bool HeadPlaceIgnored => _active is nameof(HeadPlaceIgnored);

    public static bool JournalSpaceUnchecked => _active is nameof(JournalSpaceUnchecked);

    public static bool AcknowledgedPastLease => _active is nameof(AcknowledgedPastLease);

    public static bool LeaseNotWaitedOut => _active is nameof(LeaseNotWaitedOut);

    public static bool HeartbeatDebtIgnored => _active is nameof(HeartbeatDebtIgnored);

    public static bool GrownBeforeRecord => _active is nameof(GrownBeforeRecord);

    public static bool GrownWithoutLook => _active is nameof(GrownWithoutLook);

    public static bool SizeReadOnce => _active is nameof(SizeReadOnce);
}
