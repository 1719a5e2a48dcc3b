#if !MUTATIONS
namespace Gateway.Volumes;

/// <summary>
/// Deliberate bugs that prove that the simulation finds such bugs. It compiles this code a second time with a class of this name whose members
/// can be switched on; here they are constants, and the compiler leaves nothing of them. docs/simulation.md has the list.
/// </summary>
internal static class Mutation
{
    public const bool SkipFlush = false;
    public const bool AcknowledgeBeforeAppend = false;
    public const bool ForceUnitAccessIgnored = false;
    public const bool FlushCoversLaterWrites = false;
    public const bool SegmentNamesReused = false;
    public const bool NewerEpochIgnored = false;
    public const bool ReplayedBackwards = false;
    public const bool TornBatchAccepted = false;
    public const bool SpaceFreedBeforeCount = false;
    public const bool SpaceFreedBeforeSuperblock = false;
    public const bool CountedOutOfOrder = false;
    public const bool TakeoverEndIgnored = false;
    public const bool LogReadOnceOnly = false;
    public const bool BucketBeforeJournal = false;
    public const bool TakenEpochIsOurs = false;
    public const bool NewerWritesForgotten = false;
    public const bool ForeignJournalReplayed = false;
    public const bool FrameUnchecked = false;
    public const bool OlderSuperblockTaken = false;
    public const bool ResetInPlace = false;
    public const bool RootBeforeLeaves = false;
    public const bool CheckpointCoversLater = false;
    public const bool DeadRemovedWithoutCheckpoint = false;
    public const bool LiveMapBlobSwept = false;
    public const bool RemovedAtOnce = false;
    public const bool MovedOverNewer = false;
    public const bool TombstoneLost = false;
    public const bool DirtyLeafEvicted = false;
    public const bool ListingTrusted = false;
    public const bool HeadPlaceIgnored = false;
    public const bool JournalSpaceUnchecked = false;
    public const bool AcknowledgedPastLease = false;
    public const bool LeaseNotWaitedOut = false;
    public const bool HeartbeatDebtIgnored = false;
    public const bool GrownBeforeRecord = false;
    public const bool GrownWithoutLook = false;
    public const bool SizeReadOnce = false;
}
#endif
