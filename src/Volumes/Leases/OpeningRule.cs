using System.Globalization;
using Gateway.Scsi;
using Gateway.Volumes.Formats;

namespace Gateway.Volumes.Leases;

/// <summary>Flushed writes that the bucket may lack.</summary>
/// <param name="Owner">Whose journal has them, for people.</param>
/// <param name="LastWrite">The last of them that is known of; 0: how far they go is not known.</param>
internal readonly record struct LeftBehind(string Owner, long LastWrite);

/// <summary>What an opening knows of who may still serve the volume.</summary>
internal sealed record OpeningFacts
{
    public required string Volume { get; init; }

    /// <summary>The newest epoch; 0: the volume was never opened.</summary>
    public required long NewestEpoch { get; init; }

    /// <summary>The newest epoch that served; 0: none did.</summary>
    public required long ServedEpoch { get; init; }

    /// <summary>The release of the newest epoch.</summary>
    public required ReleaseRecord? Release { get; init; }

    /// <summary>
    /// The newest release of a writer from <see cref="ServedEpoch"/> on, but of the newest epoch: of one that closed late, when somebody else had
    /// claimed the volume already. It says what is left behind, and not that nobody is left.
    /// </summary>
    public ReleaseRecord? EarlierRelease { get; init; }

    /// <summary>Writers from <see cref="ServedEpoch"/> on that did not use our journal: nothing proves that they are dead.</summary>
    public required IReadOnlyList<EpochRecord> Others { get; init; }

    /// <summary>True if our journal is that of the newest epoch that served: its lock proves that the process is dead, and it holds all there is.</summary>
    public required bool HasJournal { get; init; }

    public required HeartbeatRecord? Heartbeat { get; init; }

    /// <summary>The sign of life of whoever waits to take over, or did.</summary>
    public required HandoverRecord? Handover { get; init; }

    /// <summary>How long nobody was seen to give a sign of life.</summary>
    public required TimeSpan SilentFor { get; init; }

    /// <summary>True if somebody was.</summary>
    public required bool SeenAlive { get; init; }

    /// <summary>The last write in the bucket.</summary>
    public required long LastWriteInBucket { get; init; }

    /// <summary>How long after our claim another writer may acknowledge.</summary>
    public TimeSpan WaitAfterClaim => Release is not null || HasJournal || Others.Count == 0 || Mutation.LeaseNotWaitedOut ? TimeSpan.Zero : Others.Max(w => Terms(w).SuccessorWait);

    /// <summary>Flushed writes that may be in the last owner's journal alone; null: it said that there are none.</summary>
    /// <remarks>
    /// A release says exactly how far its writer got. A heartbeat is older than the last flush: one that speaks of missing writes may mean later
    /// ones, too, so that it is no comfort if the bucket has those it names. One of an earlier owner says nothing: the last one gives its first
    /// before it serves, so its own was overwritten by a request that was long on its way.
    /// </remarks>
    public LeftBehind? LeftBehind
    {
        get
        {
            if (HasJournal || ServedEpoch == 0) return null;
            if ((Release ?? EarlierRelease) is { } release)
                return !release.Abandoned && release.JournalEpoch >= ServedEpoch && release.LastWriteFlushed > LastWriteInBucket ? new LeftBehind(release.JournalOwner, release.LastWriteFlushed) : null;
            if (Heartbeat is { } beat && beat.Epoch >= ServedEpoch)
                return beat.LastWriteFlushed > beat.LastWriteInBucket && !Mutation.HeartbeatDebtIgnored ? new LeftBehind(beat.Owner, beat.LastWriteFlushed > LastWriteInBucket ? beat.LastWriteFlushed : 0) : null;
            return !Mutation.HeartbeatDebtIgnored && Others.Count > 0 && Others[0].Epoch == ServedEpoch && Terms(Others[0]).HasLease ? new LeftBehind(Others[0].Owner, 0) : null;
        }
    }

    public static LeaseTerms Terms(EpochRecord writer) => new(TimeSpan.FromSeconds(writer.LeaseSeconds));
}

/// <summary>What an opening may do.</summary>
internal abstract record OpeningDecision
{
    /// <summary>Claims the volume now.</summary>
    public sealed record Claim : OpeningDecision;

    /// <summary>Looks again, after <see cref="Left"/> at most.</summary>
    /// <param name="Left">When it may claim, if nothing changes until then.</param>
    /// <param name="Error">What initiators are told meanwhile.</param>
    /// <param name="Reason">What people are told.</param>
    public sealed record Wait(TimeSpan Left, BlockError Error, string Reason) : OpeningDecision;

    /// <summary>Leaves it to a person.</summary>
    public sealed record Refuse(string Reason) : OpeningDecision;
}

/// <summary>When a volume may be taken over: a function of what is known, and of the configuration. See docs/semantics.md, "Ownership".</summary>
internal static class OpeningRule
{
    public static OpeningDecision Decide(OpeningFacts facts, VolumeOptions options)
    {
        // Whoever declares a single gateway vouches for everything that would be looked at here.
        if (facts.NewestEpoch == 0 || facts.HasJournal || options.LeaseLength == TimeSpan.Zero) return new OpeningDecision.Claim();
        if (facts.Release is not null || facts.Others.Count == 0)
            return facts.LeftBehind is { } released ? RefuseToLeave(facts, released) : new OpeningDecision.Claim();

        var last = facts.Others[^1];
        if (facts.Others.Any(w => !OpeningFacts.Terms(w).HasLease))
            return new OpeningDecision.Refuse($"Volume '{facts.Volume}' was opened by {last.Owner} (epoch {last.Epoch}) without a lease, so that nothing tells whether it is still served there. Stop that gateway; if it is gone for good, run 'tcmu-gateway volume takeover STORE/{facts.Volume} --force', then try again.");
        if (options.Takeover == TakeoverPolicy.Never)
            return new OpeningDecision.Refuse($"Volume '{facts.Volume}' was opened by {last.Owner} (epoch {last.Epoch}), which did not release it, and its takeover setting is 'never'. Stop that gateway; if it is gone for good, run 'tcmu-gateway volume takeover STORE/{facts.Volume}', then try again.");

        var silence = facts.Others.Max(w => OpeningFacts.Terms(w).SuccessorWait);
        if (facts.SilentFor < silence)
        {
            var left = silence - facts.SilentFor;
            return facts.SeenAlive
                ? new OpeningDecision.Wait(left, BlockError.Standby, $"{last.Owner} serves it (epoch {last.Epoch}{Seen(facts, last)}). This gateway takes over when that one has given no sign of life for {Seconds(silence)} and left no flushed writes in its journal; 'tcmu-gateway volume takeover STORE/{facts.Volume}' fences it and waits for its lease alone.")
                : new OpeningDecision.Wait(left, BlockError.BecomingReady, $"{last.Owner} opened it (epoch {last.Epoch}{Seen(facts, last)}) and did not release it. If it gives no sign of life for {Seconds(left)} and left no flushed writes in its journal, the volume is taken over; 'tcmu-gateway volume takeover STORE/{facts.Volume}' waits for its lease alone.");
        }

        return facts.LeftBehind is { } left2 ? RefuseToLeave(facts, left2) : new OpeningDecision.Claim();
    }

    /// <summary>Why a takeover would lose data.</summary>
    public static OpeningDecision.Refuse RefuseToLeave(OpeningFacts facts, LeftBehind left) => new(string.Create(
        CultureInfo.InvariantCulture,
        $"Volume '{facts.Volume}' was last served by {left.Owner}, {Debt(facts, left)}. Start tcmu-gateway there again: it sends them. If that journal is lost, 'tcmu-gateway volume takeover STORE/{facts.Volume} --force' gives these writes up."));

    public static string Seconds(TimeSpan span) => string.Create(CultureInfo.InvariantCulture, $"{Math.Ceiling(span.TotalSeconds)} s");

    /// <summary>When the writer was last seen, by the clock of its host; the watch itself goes by ours.</summary>
    private static string Seen(OpeningFacts facts, EpochRecord last)
    {
        var beat = facts.Heartbeat is { } h && h.Epoch == last.Epoch ? h.At : (DateTimeOffset?)null;
        var waiting = facts.Handover is { } w && w.Epoch == last.Epoch ? w.At : (DateTimeOffset?)null;
        return (beat > waiting || waiting is null ? beat : waiting) is { } seen ? string.Create(CultureInfo.InvariantCulture, $", last sign of life {seen:u} by its clock") : "";
    }

    private static string Debt(OpeningFacts facts, LeftBehind left) => left.LastWrite > 0
        ? string.Create(CultureInfo.InvariantCulture, $"whose journal holds flushed writes that never reached the bucket: {facts.LastWriteInBucket + 1} to {left.LastWrite}")
        : string.Create(CultureInfo.InvariantCulture, $"whose journal may hold flushed writes that never reached the bucket: those after {facts.LastWriteInBucket}");
}
