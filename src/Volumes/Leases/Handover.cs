using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Journal;
using Gateway.Volumes.Log;
using Gateway.Volumes.Names;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Leases;

/// <summary>Why a volume is not open yet.</summary>
/// <param name="Error">What initiators are told meanwhile.</param>
/// <param name="Reason">What people are told.</param>
/// <param name="Left">How much longer it takes, if nothing changes.</param>
/// <param name="Geometry">The volume's shape, as far as it is known: a standby describes itself by it.</param>
public readonly record struct OpeningWait(BlockError Error, string Reason, TimeSpan Left, BlockGeometry? Geometry = null);

/// <summary>
/// The steps around a claim that keep two gateways from serving one volume: before it, wait for our turn (<see cref="OpeningRule"/>); after
/// it, wait until the writer before us has surely stopped.
/// </summary>
internal sealed class Handover(IBlobStore store, VolumeOptions options, string owner, TimeProvider time, Func<Guid> newNonce, ILogger logger)
{
    private const int RequestsAtOnce = 16;

    /// <summary>How often somebody else's heartbeat is read.</summary>
    private static readonly TimeSpan PollMax = TimeSpan.FromSeconds(10);

    private readonly LeaseTerms _terms = new(options.LeaseLength);

    /// <summary>Called whenever there is something new to say about the wait.</summary>
    public Action<OpeningWait>? Waits { get; init; }

    /// <summary>What the opener imports into the volume; null: nothing.</summary>
    public string? ImportOf { get; init; }

    /// <summary>Returns the volume's state once the rule lets us claim it.</summary>
    /// <param name="name">The volume.</param>
    /// <param name="readJournal">The superblock of our journal for a volume; null: there is none.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="VolumeException">It is left to a person.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public async Task<LogState> AwaitTurnAsync(string name, Func<Guid, Task<JournalSuperblock?>> readJournal, CancellationToken cancellationToken)
    {
        HeartbeatWatch? watch = null;
        var told = "";
        while (true)
        {
            var state = await VolumeNames.LoadAsync(store, name, cancellationToken);
            state.Volume.RefuseUnusable(ImportOf);
            if (!_terms.HasLease) return state;
            var facts = await ReadFactsAsync(state, state.NewestEpoch, await readJournal(state.Volume.Id), watch, cancellationToken);
            switch (OpeningRule.Decide(facts, options))
            {
                case OpeningDecision.Claim:
                    return state;
                case OpeningDecision.Refuse refuse:
                    throw new VolumeException(VolumeErrorKind.OwnedElsewhere, refuse.Reason);
                case OpeningDecision.Wait wait:
                    var text = $"{wait.Error} {state.NewestEpoch}";
                    if (text != told) VolumeLog.OpeningWaits(logger, name, wait.Reason);
                    told = text;
                    Waits?.Invoke(new OpeningWait(wait.Error, wait.Reason, wait.Left, state.Volume.ToGeometry()));
                    var poll = Min(facts.Others.Min(w => OpeningFacts.Terms(w).BeatEvery) / 2, PollMax);
                    watch ??= new HeartbeatWatch(time, poll * 4);
                    await WatchAsync(state, watch, poll, facts.WaitAfterClaim, cancellationToken);
                    break;
            }
        }
    }

    /// <summary>
    /// Waits, after our claim of <paramref name="claimed"/>, until the writers before it may acknowledge nothing more. Then reads the volume's
    /// state again: all that counted until then is in it.
    /// </summary>
    /// <param name="state">Read after the claim.</param>
    /// <param name="claimed">Our epoch.</param>
    /// <param name="claimedAt">A timestamp taken after the claim was in the store.</param>
    /// <param name="journal">The superblock of our journal; null: we have none.</param>
    /// <param name="mayLeave">True if flushed writes may be left behind in another journal.</param>
    /// <param name="cancellationToken">Ends the wait; the claim stays.</param>
    /// <returns>The state, and what was known of the last writer; null facts without a lease.</returns>
    /// <exception cref="VolumeException">Another gateway claimed the volume meanwhile, or flushed writes would be left behind.</exception>
    public async Task<(LogState State, OpeningFacts? Facts)> WaitOutAsync(
        LogState state, long claimed, long claimedAt, JournalSuperblock? journal, bool mayLeave, CancellationToken cancellationToken)
    {
        if (!_terms.HasLease) return (state, null);
        var facts = await ReadFactsAsync(state, claimed - 1, journal, null, cancellationToken);
        var wait = facts.WaitAfterClaim;
        if (wait == TimeSpan.Zero) return (state, facts);

        var last = facts.Others[^1];
        var reason = $"epoch {claimed} is claimed; the lease of {last.Owner} ends in {OpeningRule.Seconds(wait)}.";
        VolumeLog.OpeningWaits(logger, facts.Volume, reason);
        for (var left = wait; left > TimeSpan.Zero; left = wait - time.GetElapsedTime(claimedAt))
        {
            Waits?.Invoke(new OpeningWait(BlockError.HandingOver, reason, left, state.Volume.ToGeometry()));
            await BeatAsync(state, claimed, cancellationToken);
            await Task.Delay(Min(left, Min(_terms.BeatEvery / 2, PollMax)) + TimeSpan.FromMilliseconds(1), time, cancellationToken);
            await RefuseIfSupersededAsync(state, claimed, cancellationToken);
        }

        var after = await LogState.LoadAsync(store, state.Keys.VolumeName, cancellationToken);
        if (after.NewestEpoch != claimed) throw Superseded(facts.Volume, after.NewestEpoch);
        facts = await ReadFactsAsync(after, claimed - 1, journal, null, cancellationToken);
        if (!mayLeave && facts.LeftBehind is { } left2) throw new VolumeException(VolumeErrorKind.OwnedElsewhere, OpeningRule.RefuseToLeave(facts, left2).Reason);
        return (after, facts);
    }

    /// <summary>Collects what the bucket and our journal say of the writers up to <paramref name="newestEpoch"/>.</summary>
    public async Task<OpeningFacts> ReadFactsAsync(LogState state, long newestEpoch, JournalSuperblock? journal, HeartbeatWatch? watch, CancellationToken cancellationToken)
    {
        var served = Math.Min(state.NewestTakeover?.Epoch ?? 0, newestEpoch);
        // At once: a release stays, so one that is not there was not there either when the signs of life were read.
        var releaseRead = newestEpoch == 0 ? Task.FromResult<ReleaseRecord?>(null) : Heartbeat.ReadReleaseAsync(store, state.Keys, state.Volume.Id, newestEpoch, cancellationToken).AsTask();
        var sentAt = time.GetTimestamp();
        var heartbeatRead = Heartbeat.ReadBytesAsync(store, state.Keys.HeartbeatKey, cancellationToken).AsTask();
        var handoverRead = Heartbeat.ReadBytesAsync(store, state.Keys.HandoverKey, cancellationToken).AsTask();
        await Task.WhenAll(releaseRead, heartbeatRead, handoverRead);
        var (release, heartbeat, handover) = (await releaseRead, await heartbeatRead, await handoverRead);
        watch?.Observe(newestEpoch, [.. heartbeat, .. handover], sentAt);
        var others = new List<EpochRecord>();
        ReleaseRecord? earlier = null;
        for (var epoch = Math.Max(served, 1); epoch <= newestEpoch; epoch += RequestsAtOnce)
        {
            var numbers = Enumerable.Range(0, (int)Math.Min(RequestsAtOnce, newestEpoch - epoch + 1)).Select(i => epoch + i);
            others.AddRange(await Task.WhenAll(numbers.Select(n => ReadEpochAsync(state, n, cancellationToken))));
            if (release is not null) continue; // It speaks for all before it.
            var releases = await Task.WhenAll(numbers.Where(n => n < newestEpoch).Select(n => Heartbeat.ReadReleaseAsync(store, state.Keys, state.Volume.Id, n, cancellationToken).AsTask()));
            earlier = releases.LastOrDefault(r => r is not null) ?? earlier;
        }

        var hasJournal = journal is { } own && served > 0 && IsOfJournal(others[0], own, state);
        others.RemoveAll(w => journal is { } j && IsOfJournal(w, j, state));
        return new OpeningFacts
        {
            Volume = state.Volume.Name,
            NewestEpoch = newestEpoch,
            ServedEpoch = served,
            Release = release,
            EarlierRelease = earlier,
            Others = others,
            HasJournal = hasJournal,
            Heartbeat = Heartbeat.TryDecode(heartbeat, state.Keys, state.Volume.Id),
            Handover = Heartbeat.TryDecodeHandover(handover, state.Keys, state.Volume.Id),
            SilentFor = watch?.SilentFor ?? TimeSpan.Zero,
            SeenAlive = watch?.SeenAlive ?? false,
            LastWriteInBucket = await LastWriteAsync(state, cancellationToken),
        };
    }

    /// <summary>Watches the heartbeat until it was silent for long enough, or something else changes.</summary>
    private async Task WatchAsync(LogState state, HeartbeatWatch watch, TimeSpan poll, TimeSpan silence, CancellationToken cancellationToken)
    {
        var wasAlive = watch.SeenAlive;
        while (true)
        {
            await Task.Delay(poll, time, cancellationToken);
            try
            {
                var sentAt = time.GetTimestamp();
                var heartbeat = await Heartbeat.ReadBytesAsync(store, state.Keys.HeartbeatKey, cancellationToken);
                var handover = await Heartbeat.ReadBytesAsync(store, state.Keys.HandoverKey, cancellationToken);
                watch.Observe(state.NewestEpoch, [.. heartbeat, .. handover], sentAt);
                if (watch.SilentFor >= silence || watch.SeenAlive != wasAlive) return;
                if (await store.GetLengthAsync(state.Keys.Release(state.NewestEpoch), cancellationToken) is not null) return;
                if (await store.GetLengthAsync(state.Keys.Epoch(state.NewestEpoch + 1), cancellationToken) is not null) return;
            }
            catch (BlobStoreException e) when (e.IsTransient)
            {
                VolumeLog.OpeningWaits(logger, state.Volume.Name, e.Message);
            }
        }
    }

    /// <summary>Gives a sign of life while we wait: otherwise a second taker would claim, we give up and claim again, for ever.</summary>
    private async Task BeatAsync(LogState state, long claimed, CancellationToken cancellationToken)
    {
        var record = new HandoverRecord { Epoch = claimed, Owner = owner, Beat = newNonce(), At = time.GetUtcNow() };
        try
        {
            await store.PutAsync(state.Keys.HandoverKey, LeaseCodec.Encode(record, state.Volume.Id), Precondition.None, cancellationToken);
        }
        catch (BlobStoreException e)
        {
            VolumeLog.HeartbeatFailed(logger, state.Volume.Name, e.Message);
        }
    }

    private async Task RefuseIfSupersededAsync(LogState state, long claimed, CancellationToken cancellationToken)
    {
        try
        {
            if (await EpochLook.IsSupersededAsync(store, state.Keys, claimed, null, cancellationToken)) throw Superseded(state.Volume.Name, claimed + 1);
        }
        catch (BlobStoreException e) when (e.IsTransient)
        {
            // The look that counts comes at the end.
        }
    }

    private static VolumeException Superseded(string name, long epoch) =>
        new(VolumeErrorKind.Fenced, $"Volume '{name}' was claimed by another gateway (epoch {epoch}) while it was being taken over here.");

    private async Task<EpochRecord> ReadEpochAsync(LogState state, long epoch, CancellationToken cancellationToken)
    {
        if (epoch == state.NewestEpoch && state.NewestRecord is { } newest) return newest;
        var key = state.Keys.Epoch(epoch);
        return RecordCodec.DecodeEpoch(await RecordEnvelope.ReadAsync(store, key, cancellationToken), key.Value, state.Volume.Id, epoch);
    }

    private async Task<long> LastWriteAsync(LogState state, CancellationToken cancellationToken) =>
        state.Segments.Length > 0 ? (await state.ReadMetadataAsync(store, state.Segments[^1], cancellationToken)).Header.LastWrite : state.Root?.LastWrite ?? 0;

    /// <summary>True if a writer used this journal, which we have locked: so its process is dead.</summary>
    private static bool IsOfJournal(EpochRecord writer, in JournalSuperblock journal, LogState state)
    {
        if (writer.JournalId is { } id) return id == journal.JournalId;

        // Written before records named the journal.
        return (journal.ClaimEpoch > 0 && writer.Nonce == journal.ClaimNonce) || (writer.Epoch == state.NewestTakeover?.Epoch && VolumeOpener.ContinuesOurEpoch(journal, state));
    }

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;
}
