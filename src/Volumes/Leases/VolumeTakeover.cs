using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Log;
using Gateway.Volumes.Names;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Leases;

/// <summary>What taking a volume from its last writer has come to.</summary>
/// <param name="Epoch">The epoch whose release lets any gateway open the volume; 0: it was never opened.</param>
/// <param name="From">Its last writer, as it named itself; null if there was none.</param>
/// <param name="WasReleased">True if there was nothing to do.</param>
/// <param name="FirstWriteLost">First flushed write that was given up; 0 for none.</param>
/// <param name="LastWriteLost">Last of them that is known of; 0: it is not known how far they went.</param>
public sealed record TakeoverOutcome(long Epoch, string? From, bool WasReleased, long FirstWriteLost, long LastWriteLost);

/// <summary>
/// Takes a volume from its last writer on an operator's word: claims the next epoch, which fences that writer at its next look, waits until
/// its lease is surely over, and releases the volume on its behalf. Opens nothing and needs no journal.
/// </summary>
public sealed class VolumeTakeover
{
    private static readonly TimeSpan LeaseDefault = new VolumeOptions().LeaseLength;

    /// <summary>What a claim says that only fences: nobody who claims so ever serves, so if it is cut off nobody need wait for it for longer than this.</summary>
    private static readonly TimeSpan FenceLease = TimeSpan.FromSeconds(1);

    private readonly IBlobStore _store;
    private readonly VolumeOptions _options;
    private readonly string _owner;
    private readonly TimeProvider _time;
    private readonly Func<Guid> _newNonce;
    private readonly Handover _handover;

    /// <param name="store">Where the volume is.</param>
    /// <param name="options">Its lease length is that of the claim.</param>
    /// <param name="owner">Who does this, for people.</param>
    /// <param name="time">A clock that counts suspension.</param>
    /// <param name="waits">Told how long it still takes.</param>
    /// <param name="logger">Lifecycle and failures.</param>
    public VolumeTakeover(IBlobStore store, VolumeOptions options, string owner, TimeProvider time, Action<OpeningWait> waits, ILogger logger)
        : this(store, options, owner, time, waits, Guid.NewGuid, logger)
    {
    }

    /// <param name="newNonce">Where nonces come from.</param>
    internal VolumeTakeover(IBlobStore store, VolumeOptions options, string owner, TimeProvider time, Action<OpeningWait> waits, Func<Guid> newNonce, ILogger logger)
    {
        _store = store;
        _options = options.LeaseLength > TimeSpan.Zero ? options : options with { LeaseLength = LeaseDefault }; // Who serves without a lease may be asked to wait for one that does not.
        _owner = owner;
        _time = time;
        _newNonce = newNonce;
        _handover = new Handover(store, _options, owner, time, _newNonce, logger) { Waits = waits };
    }

    /// <summary>Runs to the end, which takes the last writer's lease and a tenth of it.</summary>
    /// <param name="name">The volume.</param>
    /// <param name="force">Gives up flushed writes that only the last writer's journal holds, and vouches that a writer without a lease has stopped.</param>
    /// <param name="cancellationToken">Ends the wait: the last writer stays fenced; running it again goes on.</param>
    /// <exception cref="VolumeException">Refused, or another gateway was faster; the message says what to do.</exception>
    /// <exception cref="BlobStoreException">The store failed; it can be run again.</exception>
    public async Task<TakeoverOutcome> RunAsync(string name, bool force, CancellationToken cancellationToken)
    {
        VolumeCatalog.CheckName(name);
        var state = await VolumeNames.LoadAsync(_store, name, cancellationToken);
        if (state.NewestEpoch == 0) return new TakeoverOutcome(0, null, true, 0, 0);
        var facts = await _handover.ReadFactsAsync(state, state.NewestEpoch, null, null, cancellationToken);
        var last = facts.Release?.JournalOwner ?? facts.Others[0].Owner;
        if (facts.Release is not null && facts.LeftBehind is null) return new TakeoverOutcome(state.NewestEpoch, last, true, 0, 0);
        if (!force) Refuse(facts);
        return await TakeAsync(state, "volume takeover", last, _options.LeaseLength, mayLeave: force, givesUp: true, cancellationToken);
    }

    /// <summary>Has every writer of the volume up to now fenced, also one that just opens it, and its lease over. Gives up nothing: what a journal holds alone is still known.</summary>
    /// <param name="state">The volume.</param>
    /// <param name="purpose">For people: what for.</param>
    /// <param name="cancellationToken">Ends the wait: the last writer stays fenced; running it again goes on.</param>
    internal async Task FenceAsync(LogState state, string purpose, CancellationToken cancellationToken)
    {
        var facts = await _handover.ReadFactsAsync(state, state.NewestEpoch, null, null, cancellationToken);
        var last = facts.Release?.JournalOwner ?? (facts.Others.Count > 0 ? facts.Others[0].Owner : _owner);
        await TakeAsync(state, purpose, last, FenceLease, mayLeave: true, givesUp: false, cancellationToken);
    }

    private async Task<TakeoverOutcome> TakeAsync(LogState state, string purpose, string last, TimeSpan lease, bool mayLeave, bool givesUp, CancellationToken cancellationToken)
    {
        var claim = new EpochRecord
        {
            Epoch = state.NewestEpoch + 1,
            Owner = $"{_owner}, {purpose}",
            Nonce = _newNonce(),
            LeaseSeconds = lease.TotalSeconds,
            JournalId = _newNonce(), // There is none: nobody can have it.
            CreatedAt = _time.GetUtcNow(),
        };
        await ClaimAsync(state, claim, cancellationToken);
        var claimedAt = _time.GetTimestamp();
        var after = await LogState.LoadAsync(_store, state.Keys.VolumeName, cancellationToken);
        (after, var known) = await _handover.WaitOutAsync(after, claim.Epoch, claimedAt, null, mayLeave, cancellationToken);
        return await ReleaseAsync(after, claim, known!, last, givesUp, cancellationToken);
    }

    private static void Refuse(OpeningFacts facts)
    {
        if (facts.LeftBehind is { } left) throw new VolumeException(VolumeErrorKind.OwnedElsewhere, OpeningRule.RefuseToLeave(facts, left).Reason);
        if (facts.Others.FirstOrDefault(w => !OpeningFacts.Terms(w).HasLease) is { } unbound)
            throw new VolumeException(VolumeErrorKind.OwnedElsewhere, $"{unbound.Owner} opened volume '{facts.Volume}' without a lease (epoch {unbound.Epoch}): it may go on acknowledging writes for any time. Make sure that it has stopped, then add --force.");
    }

    private async Task ClaimAsync(LogState state, EpochRecord claim, CancellationToken cancellationToken)
    {
        var key = state.Keys.Epoch(claim.Epoch);
        try
        {
            await _store.PutAsync(key, RecordCodec.Encode(claim, state.Volume.Id), Precondition.Absent, cancellationToken);
        }
        catch (BlobStoreException e) when (e.Kind == BlobErrorKind.PreconditionFailed)
        {
            var existing = RecordCodec.DecodeEpoch(await RecordEnvelope.ReadAsync(_store, key, cancellationToken), key.Value, state.Volume.Id, claim.Epoch);
            if (existing.Nonce != claim.Nonce)
                throw new VolumeException(VolumeErrorKind.Fenced, $"Volume '{state.Volume.Name}' was claimed by {existing.Owner} at the same moment (epoch {claim.Epoch}). Look at 'tcmu-gateway volume info', then try again if need be.");
        }
    }

    private async Task<TakeoverOutcome> ReleaseAsync(LogState state, EpochRecord claim, OpeningFacts facts, string from, bool givesUp, CancellationToken cancellationToken)
    {
        var lost = facts.LeftBehind;
        var beat = facts.Heartbeat;
        await Heartbeat.ReleaseAsync(_store, state.Keys, state.Volume.Id, new ReleaseRecord
        {
            Epoch = claim.Epoch,
            Owner = claim.Owner,
            Nonce = claim.Nonce,
            At = _time.GetUtcNow(),
            JournalEpoch = facts.ServedEpoch,
            JournalOwner = from,
            JournalId = beat?.Epoch == facts.ServedEpoch ? beat.JournalId : default,
            LastWriteFlushed = Math.Max(lost is { } left && !givesUp ? Math.Max(left.LastWrite, facts.LastWriteInBucket + 1) : lost?.LastWrite ?? 0, facts.LastWriteInBucket),
            LastWriteInBucket = facts.LastWriteInBucket,
            Abandoned = givesUp && lost is not null,
        }, cancellationToken);
        return new TakeoverOutcome(claim.Epoch, from, false, lost is null ? 0 : facts.LastWriteInBucket + 1, lost?.LastWrite ?? 0);
    }
}
