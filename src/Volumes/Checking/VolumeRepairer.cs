using Gateway.Backends.Core;
using Gateway.Volumes.Checkpoints;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Log;
using Gateway.Volumes.Names;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Checking;

/// <summary>
/// Mends the map of a volume that nobody serves. 1. Read everything, make the damaged parts again, prove them; nothing is changed so far.
/// 2. Claim the next epoch, so that nothing that an earlier writer still sends counts. 3. Read again if the log moved. 4. Put a new
/// checkpoint under that epoch. Nothing is ever deleted or replaced. See docs/decisions/0020-repair.md.
/// </summary>
/// <remarks>
/// The claim has no takeover: for openings and journals the last writer is who it was, and its journal is still replayed. A repair that dies
/// leaves a claim, which means nothing, or map blobs that nobody refers to.
/// </remarks>
public sealed class VolumeRepairer
{
    private readonly IBlobStore _store;
    private VolumeKeys _keys;
    private readonly string _owner;
    private readonly TimeProvider _time;
    private readonly Random _random;
    private readonly ILogger _logger;
    private readonly Func<Guid> _newNonce;
    private readonly List<string> _lines = [];

    /// <param name="store">Where the volume is.</param>
    /// <param name="name">The volume.</param>
    /// <param name="owner">How this process names itself to people: host and process.</param>
    /// <param name="time">The clock.</param>
    /// <param name="random">Spreads retries.</param>
    /// <param name="logger">Failures of the store that are tried again.</param>
    public VolumeRepairer(IBlobStore store, string name, string owner, TimeProvider time, Random random, ILogger logger)
        : this(store, name, owner, time, random, logger, null)
    {
    }

    internal VolumeRepairer(IBlobStore store, string name, string owner, TimeProvider time, Random random, ILogger logger, Func<Guid>? newNonce)
    {
        VolumeCatalog.CheckName(name);
        _store = store;
        _keys = new VolumeKeys(name);
        _owner = owner;
        _time = time;
        _random = random;
        _logger = logger;
        _newNonce = newNonce ?? Guid.NewGuid;
    }

    /// <summary>What was found: the log, the checkpoint that is damaged as a whole, and the map to store.</summary>
    private sealed record Finding(LogState State, CheckpointId? DamagedRoot, MapRebuilder Rebuilder, BucketIndex? Index);

    /// <summary>Repairs the volume if that can be proven to change none of its content.</summary>
    /// <param name="forceOffline">True: somebody has made sure that no gateway serves the volume. One that does is fenced.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="VolumeException">There is no such volume.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public async Task<RepairReport> RunAsync(bool forceOffline, CancellationToken cancellationToken)
    {
        _keys = new VolumeKeys(await VolumeNames.ResolveAsync(_store, _keys.VolumeName, cancellationToken));
        long claimed = 0;
        try
        {
            var finding = await ProveAsync(cancellationToken);
            if (finding.Index is null) return Report(RepairOutcome.NothingToRepair, "The checkpoint and its map are whole: there is nothing to repair. What 'volume check' names besides are blocks that only their owner can write again.");
            _lines.AddRange(finding.Rebuilder.Damage);
            if (!forceOffline && !await IsReleasedAsync(finding.State, cancellationToken))
            {
                return Report(RepairOutcome.Refused, $"Volume '{_keys.VolumeName}' may be served: its last writer ({finding.State.NewestRecord?.Owner}, epoch {finding.State.NewestEpoch}) has not released it. Stop the gateway that serves it; if none does, say so with --force-offline. Nothing was changed.");
            }

            var epoch = finding.State.NewestEpoch + 1;
            await ClaimAsync(finding.State, epoch, cancellationToken);
            claimed = epoch;
            finding = await ProveAgainAsync(finding, cancellationToken);
            if (finding.Index is not { } index) return Report(RepairOutcome.Refused, $"The volume changed while it was looked at, and its map is whole now: it is served. Epoch {claimed} was claimed; nothing else was changed.");
            var root = await PutCheckpointAsync(finding, index, epoch, cancellationToken);
            return Report(RepairOutcome.Repaired, $"Checkpoint {root} holds the whole map, up to segment {index.Position}; the live blocks of every segment are as many as before. Nothing was deleted.");
        }
        catch (VolumeException e) when (e.Kind is not VolumeErrorKind.NotFound)
        {
            return Report(RepairOutcome.Refused, e.Message + (claimed > 0 ? $" Epoch {claimed} was claimed; nothing else was changed." : " Nothing was changed."));
        }
        catch (FencedException e)
        {
            return Report(RepairOutcome.Refused, $"Another gateway claimed the volume meanwhile (epoch {e.Epoch}). What was written here is not in use.");
        }
    }

    private RepairReport Report(RepairOutcome outcome, string line)
    {
        _lines.Add(line);
        return new RepairReport(outcome, _lines);
    }

    private async Task<Finding> ProveAsync(CancellationToken cancellationToken)
    {
        try
        {
            var state = await LogState.LoadAsync(_store, _keys.VolumeName, cancellationToken);
            var rebuilder = new MapRebuilder(_store, state);
            return new Finding(state, null, rebuilder, await rebuilder.RunAsync(always: false, cancellationToken));
        }
        catch (VolumeException e) when (e.Kind is VolumeErrorKind.Damaged or VolumeErrorKind.Foreign)
        {
            var roots = await ListRootsAsync(cancellationToken);
            if (roots.Count == 0 || !await IsDamagedAsync(roots[^1], cancellationToken)) throw;
            return await ProveWithoutAsync(roots, e.Message, cancellationToken);
        }
    }

    /// <summary>
    /// Goes back to the checkpoint before a damaged one, or to the start of the log. That is the same volume only if nothing behind it was
    /// removed, which a gap shows, except for a gap at the very end.
    /// </summary>
    private async Task<Finding> ProveWithoutAsync(List<CheckpointId> roots, string damage, CancellationToken cancellationToken)
    {
        var damaged = roots[^1];
        var without = new HidingBlobStore(_store, _keys.Checkpoint(damaged));
        var state = await LogState.LoadAsync(without, _keys.VolumeName, cancellationToken);
        // A writer removes the root before a new one first, and what only that referred to after it: with that root there, all of its log is.
        var isBeforeThere = roots.Count > 1 && roots[^2] == damaged with { Number = damaged.Number - 1 };
        // Or the newest writer made no checkpoint, so it removed nothing, and its takeover says where the log before it ended.
        var hasRemovedNothing = damaged.Epoch < state.NewestTakeover?.Epoch;
        if (!isBeforeThere && !hasRemovedNothing)
            throw new VolumeException(VolumeErrorKind.Damaged, $"{damage} Without it nobody can prove where the log of volume '{_keys.VolumeName}' ends: the checkpoint before it was removed, and segments may have been.");
        await RefuseGapAsync(state, cancellationToken);
        var rebuilder = new MapRebuilder(without, state);
        var index = await rebuilder.RunAsync(always: true, cancellationToken);
        rebuilder.Damage.Insert(0, $"Checkpoint {damaged} cannot be read: {damage} Its map was made again from {(state.Root is { } root ? $"checkpoint {root.Id}" : "the start of the log")} on.");
        return new Finding(state, damaged, rebuilder, index);
    }

    private async Task RefuseGapAsync(LogState state, CancellationToken cancellationToken)
    {
        var newest = state.NewestTakeover?.Epoch ?? 0;
        await foreach (var blob in _store.ListAsync(_keys.LogPrefix, null, cancellationToken))
        {
            if (VolumeKeys.TryParseSegment(blob.Name.AsSpan(_keys.LogPrefix.Length), out var id) && id.Epoch == newest && id.Sequence > state.End.Sequence)
                throw new VolumeException(VolumeErrorKind.Damaged, $"The log ends at segment {state.End}, but '{blob.Name}' is behind it: segments between them were removed, or never arrived. What they held cannot be proven.");
        }
    }

    private async Task<List<CheckpointId>> ListRootsAsync(CancellationToken cancellationToken)
    {
        var roots = new List<CheckpointId>();
        await foreach (var blob in _store.ListAsync(_keys.CheckpointPrefix, null, cancellationToken))
            if (VolumeKeys.TryParseCheckpoint(blob.Name.AsSpan(_keys.CheckpointPrefix.Length), out var id)) roots.Add(id);
        roots.Sort((a, b) => (a.Epoch, a.Number).CompareTo((b.Epoch, b.Number)));
        return roots;
    }

    private async Task<bool> IsDamagedAsync(CheckpointId id, CancellationToken cancellationToken)
    {
        var key = _keys.Checkpoint(id);
        try
        {
            return CheckpointRoot.Decode(await _store.ReadWholeAsync(key, CheckpointRoot.LengthMaxBytes, cancellationToken), key.Value).Id != id;
        }
        catch (VolumeException e) when (e.Kind is VolumeErrorKind.Damaged or VolumeErrorKind.Foreign)
        {
            return true;
        }
    }

    /// <summary>True if the last writer has said that it will write nothing more, and nobody has claimed since.</summary>
    private async Task<bool> IsReleasedAsync(LogState state, CancellationToken cancellationToken) =>
        state.NewestTakeover is { } last && last.Epoch == state.NewestEpoch && await _store.GetLengthAsync(_keys.Release(last.Epoch), cancellationToken) is not null;

    private async Task ClaimAsync(LogState state, long epoch, CancellationToken cancellationToken)
    {
        var claim = new EpochRecord { Epoch = epoch, Owner = _owner + ", repair", Nonce = _newNonce(), CreatedAt = _time.GetUtcNow() };
        var key = _keys.Epoch(epoch);
        try
        {
            await _store.PutAsync(key, RecordCodec.Encode(claim, state.Volume.Id), Precondition.Absent, cancellationToken);
        }
        catch (BlobStoreException e) when (e.Kind == BlobErrorKind.PreconditionFailed)
        {
            var existing = RecordCodec.DecodeEpoch(await RecordEnvelope.ReadAsync(_store, key, cancellationToken), key.Value, state.Volume.Id, epoch);
            if (existing.Nonce != claim.Nonce)
                throw new VolumeException(VolumeErrorKind.Fenced, $"Volume '{_keys.VolumeName}' was opened by {existing.Owner} at the same moment (epoch {epoch}). Stop that gateway first.");
        }
    }

    /// <summary>What counted before the claim is in the bucket now, and nothing counts after it.</summary>
    private async Task<Finding> ProveAgainAsync(Finding before, CancellationToken cancellationToken)
    {
        IBlobStore view = before.DamagedRoot is { } damaged ? new HidingBlobStore(_store, _keys.Checkpoint(damaged)) : _store;
        var now = await LogState.LoadAsync(view, _keys.VolumeName, cancellationToken);
        var same = now.End == before.State.End && now.Root?.Id == before.State.Root?.Id && now.NewestTakeover == before.State.NewestTakeover;
        return same ? before : await ProveAsync(cancellationToken);
    }

    private async Task<CheckpointId> PutCheckpointAsync(Finding finding, BucketIndex index, long epoch, CancellationToken cancellationToken)
    {
        var volume = finding.State.Volume;
        var writer = new StoreWriter(_store, volume, _keys, epoch, new VolumeOptions(), _time, _random, _logger);
        var commits = new AsyncMutex();
        var checkpointer = new Checkpointer(writer, volume, _keys, epoch, index, finding.Rebuilder.Gate, commits, finding.Rebuilder.TargetLoader, _newNonce, _logger);
        await checkpointer.RunAsync(cancellationToken);
        return index.Root!.Id;
    }
}
