using Gateway.Backends.Core;
using Gateway.Volumes.Cache;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Interop;
using Gateway.Volumes.Journal;
using Gateway.Volumes.Log;
using Gateway.Volumes.Map;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes;

/// <summary>
/// Opens a volume for writing. 1. Read the bucket's log and replay the journal: what a person must mend shows here, before anything is
/// changed. 2. Claim the next epoch: from now on nothing that an earlier writer sends counts. 3. Read the log again, since that writer may
/// have got a segment in between. 4. Record where the log before us ends. 5. Look that nobody claimed after us. Then serve.
/// </summary>
/// <remarks>
/// A segment counts only after a look, made after its put, that finds no newer epoch (<see cref="SegmentUploader"/>). So each segment that
/// counted was there before the claim and is in the listing of step 3. An opener that dies before step 4 leaves a claim that fences and
/// nothing else: the next one takes over from the same writer. Two openers at a time: whoever claimed first either finds the other's claim
/// in step 5 and gives up, or had recorded its takeover before that claim, where the other's step 3 finds it.
/// </remarks>
public sealed class VolumeOpener
{
    private readonly IBlobStore _store;
    private readonly VolumeOptions _options;
    private readonly JournalOptions _journalOptions;
    private readonly IJournalDirectory _journals;
    private readonly ICacheDirectory? _caches;
    private readonly string _owner;
    private readonly TimeProvider _time;
    private readonly Random _random;
    private readonly Func<Guid> _newNonce;
    private readonly ILogger _logger;

    /// <param name="store">Where the volumes are.</param>
    /// <param name="options">How they are served.</param>
    /// <param name="journalOptions">Where their journals are.</param>
    /// <param name="owner">How this gateway names itself to people: host and process.</param>
    /// <param name="time">The clock.</param>
    /// <param name="random">Spreads retries.</param>
    /// <param name="logger">Lifecycle and failures.</param>
    public VolumeOpener(IBlobStore store, VolumeOptions options, JournalOptions journalOptions, string owner, TimeProvider time, Random random, ILogger logger)
        : this(store, options, journalOptions, DirectoryOf(journalOptions, time, logger), owner, time, random, logger, null, new LocalCacheDirectory(options.CacheDirectory))
    {
    }

    /// <param name="caches">Where cache files are; null: there are none.</param>
    /// <param name="newNonce">Where nonces come from; null: from the operating system's cryptographic source, as they must outside simulations.</param>
    internal VolumeOpener(
        IBlobStore store,
        VolumeOptions options,
        JournalOptions journalOptions,
        IJournalDirectory journals,
        string owner,
        TimeProvider time,
        Random random,
        ILogger logger,
        Func<Guid>? newNonce = null,
        ICacheDirectory? caches = null)
    {
        _store = store;
        _options = journals.IsVolatile ? options with { Durability = Durability.Bucket } : options;
        _journalOptions = journalOptions;
        _journals = journals;
        _caches = caches;
        _owner = owner;
        _time = time;
        _random = random;
        _newNonce = newNonce ?? Guid.NewGuid;
        _logger = logger;
    }

    /// <exception cref="VolumeException">The volume cannot be opened; the message says what to do.</exception>
    /// <exception cref="BlobStoreException">The store failed; a later attempt may succeed.</exception>
    public async Task<Volume> OpenAsync(string name, CancellationToken cancellationToken)
    {
        VolumeCatalog.CheckName(name);
        var state = await LogState.LoadAsync(_store, name, cancellationToken);
        var recovered = await RecoverAsync(state, cancellationToken);
        try
        {
            var claim = await ClaimAsync(recovered, cancellationToken);
            var after = await LogState.LoadAsync(_store, name, cancellationToken);
            // It may have served already: a takeover of its segments by us would make no sense to anyone.
            if (Math.Max(after.NewestEpoch, after.NewestTakeover?.Epoch ?? 0) is var newest && newest > claim.Epoch) throw ClaimedElsewhere(name, newest);
            if (!Mutation.LogReadOnceOnly && (after.NewestTakeover != state.NewestTakeover || after.End != state.End || after.Root?.Id != state.Root?.Id))
            {
                recovered.Dispose();
                recovered = await RecoverAsync(after, cancellationToken);
            }

            await RefuseSupersededRootAsync(recovered.State, cancellationToken);
            await TakeOverAsync(recovered, claim, cancellationToken);
            VolumeLog.Opened(_logger, name, state.Volume.Id, claim.Epoch, recovered.Bucket.Segments.Count, recovered.BucketWrite, recovered.NextWrite - 1 - recovered.BucketWrite);
            return new Volume(recovered, claim.Epoch, _store, _options, _time, _random, _newNonce, _logger, NewCacheFile(state, claim));
        }
        catch
        {
            recovered.Dispose();
            throw;
        }
    }

    /// <summary>The second tier of reads, if there is to be one.</summary>
    private CacheFile? NewCacheFile(LogState state, EpochRecord claim)
    {
        if (_options.CacheFileBytes == 0 || _caches is null) return null;
        var history = new CacheHistory(claim.Epoch, claim.Nonce, (epoch, cancellation) => ReadNonceAsync(state, epoch, cancellation));
        return new CacheFile(_caches, state.Volume.Id, state.Volume.Name, history, _options, _newNonce(), _time, _logger);
    }

    private async Task<Guid?> ReadNonceAsync(LogState state, long epoch, CancellationToken cancellationToken)
    {
        var key = state.Keys.Epoch(epoch);
        try
        {
            var record = await _store.ReadWholeAsync(key, RecordEnvelope.RecordLengthMaxBytes, cancellationToken);
            return RecordCodec.DecodeEpoch(record, key.Value, state.Volume.Id, epoch).Nonce;
        }
        catch (Exception e) when (e is VolumeException or BlobStoreException { Kind: BlobErrorKind.NotFound })
        {
            return null;
        }
    }

    private static IJournalDirectory DirectoryOf(JournalOptions options, TimeProvider time, ILogger logger) => options.Directory is { } directory
        ? new LocalJournalDirectory(directory, options.AllowUnsafeFileSystem, time, logger)
        : new MemoryJournalDirectory();

    private async Task<RecoveredVolume> RecoverAsync(LogState state, CancellationToken cancellationToken)
    {
        JournalFile? journal = null;
        try
        {
            await _journals.ProbeAsync();
            var (opened, isNew) = await OpenJournalAsync(state.Volume.Id);
            journal = opened;
            var recovered = new RecoveredVolume(state, journal, _store);
            await recovered.LoadAsync(cancellationToken);
            if (isNew)
            {
                await journal.ResetAsync(recovered.BucketWrite, state.End.Epoch);
                if (_journals.IsVolatile) VolumeLog.NoJournal(_logger, state.Volume.Name, journal.CapacityBytes);
                else VolumeLog.JournalCreated(_logger, state.Volume.Name, recovered.BucketWrite, journal.Path, journal.CapacityBytes);
            }
            else
            {
                await ReplayAsync(recovered);
            }

            return recovered;
        }
        catch (BlobStoreException e) when (e.Kind == BlobErrorKind.NotFound)
        {
            journal?.Dispose();
            await RefuseOutdatedAsync(state, cancellationToken);
            throw;
        }
        catch (IOException e)
        {
            journal?.Dispose();
            throw new VolumeException(VolumeErrorKind.LocalDisk, $"The journal of volume '{state.Volume.Name}' cannot be used: {e.Message} Check the disk and the permissions of '{_journals.Name}', and that no other tcmu-gateway serves the volume on this host.", e);
        }
        catch (UnauthorizedAccessException e)
        {
            journal?.Dispose();
            throw new VolumeException(VolumeErrorKind.LocalDisk, $"The journal of volume '{state.Volume.Name}' cannot be used: {e.Message} Check the permissions of '{_journals.Name}'.", e);
        }
        catch
        {
            journal?.Dispose();
            throw;
        }
    }

    private async Task<(JournalFile Journal, bool IsNew)> OpenJournalAsync(Guid volumeId)
    {
        var name = $"{volumeId}.journal";
        if (_journals.Exists(name)) return (await JournalFile.OpenAsync(_journals.Open(name), volumeId), false);

        // Under another name until it is whole: a crash in between leaves no file that looks like a journal and is none.
        var unfinished = name + ".new";
        var disk = _journals.Create(unfinished, _journalOptions.CapacityBytes);
        try
        {
            var journal = await JournalFile.CreateAsync(disk, volumeId, _newNonce(), 0);
            _journals.Rename(unfinished, name);
            return (journal, true);
        }
        catch
        {
            disk.Dispose(); // With its lock, which would keep the next attempt out.
            throw;
        }
    }

    /// <summary>Replays what the bucket does not have yet, after proof that the journal continues the bucket's history.</summary>
    private async Task ReplayAsync(RecoveredVolume recovered)
    {
        var (state, journal) = (recovered.State, recovered.Journal);
        var superblock = journal.Superblock;
        var ours = Mutation.ForeignJournalReplayed || ContinuesOurEpoch(superblock, state);
        var lastJournaled = superblock.TailWrite;
        JournalBatchHeader first = default;
        await foreach (var (batch, content) in journal.RecoverAsync())
        {
            lastJournaled = batch.Header.LastWrite;
            if (ours ? lastJournaled <= recovered.BucketWrite : recovered.Holds(batch.Header, superblock.Epoch)) continue;
            if (first == default) first = batch.Header;
            if (ours) recovered.AddBatch(batch, content.Span);
        }

        if (!ours)
        {
            // Write numbers alone prove nothing here: whoever came after us without our journal gave ours to other writes.
            if (first != default || superblock.TailWrite > recovered.Bucket.Epochs.LastWriteUpTo(superblock.Epoch))
                throw new VolumeException(
                    VolumeErrorKind.JournalMismatch,
                    $"Journal '{journal.Path}' ends in epoch {superblock.Epoch}, but volume '{state.Volume.Name}' was opened elsewhere since ({state.NewestRecord?.Owner}, epoch {state.NewestEpoch}). Its writes {first.FirstWrite} to {lastJournaled} never reached the bucket and cannot be merged with what was written there. Keep the file if you need them: move it out of '{_journals.Name}', and the volume opens without it.");
            VolumeLog.JournalOutdated(_logger, state.Volume.Name, journal.Path, recovered.BucketWrite);
            await journal.ResetAsync(recovered.BucketWrite, state.End.Epoch);
            return;
        }

        if (superblock.TailWrite > recovered.BucketWrite || (first != default && first.FirstWrite != recovered.BucketWrite + 1))
            throw new VolumeException(
                VolumeErrorKind.JournalMismatch,
                $"The bucket's log of volume '{state.Volume.Name}' ends at write {recovered.BucketWrite}, but journal '{journal.Path}' starts behind write {superblock.TailWrite}: segments that were in the bucket are gone. Nothing was changed. Restore the missing objects below '{state.Keys.LogPrefix}' from a backup or older object versions; or move the journal away to open the volume at the older state.");

        // All of it is in the bucket, which may even know more: a power cut can take from the disk what had already been sent.
        if (first == default) await journal.ResetAsync(recovered.BucketWrite, state.End.Epoch);
    }

    /// <summary>True if nobody served the volume since the journal was last used: claims that never took over do not matter.</summary>
    private static bool ContinuesOurEpoch(in JournalSuperblock superblock, LogState state)
    {
        if ((state.NewestTakeover?.Epoch ?? 0) == superblock.Epoch) return true;
        return superblock.ClaimEpoch > 0 && state.NewestTakeover?.Nonce == superblock.ClaimNonce;
    }

    /// <summary>Claims the next epoch. The journal learns of the intention first, so that after a crash it is known whose the epoch is.</summary>
    private async Task<EpochRecord> ClaimAsync(RecoveredVolume recovered, CancellationToken cancellationToken)
    {
        var (state, journal) = (recovered.State, recovered.Journal);
        var claim = new EpochRecord
        {
            Epoch = state.NewestEpoch + 1,
            Owner = _owner,
            Nonce = journal.Superblock.ClaimEpoch > 0 ? journal.Superblock.ClaimNonce : _newNonce(),
            CreatedAt = _time.GetUtcNow(),
        };
        await StampAsync(journal, journal.Superblock with { ClaimEpoch = claim.Epoch, ClaimNonce = claim.Nonce });
        var key = state.Keys.Epoch(claim.Epoch);
        try
        {
            await _store.PutAsync(key, RecordCodec.Encode(claim, state.Volume.Id), Precondition.Absent, cancellationToken);
        }
        catch (BlobStoreException e) when (e.Kind == BlobErrorKind.PreconditionFailed)
        {
            var existing = RecordCodec.DecodeEpoch(await _store.ReadWholeAsync(key, RecordEnvelope.RecordLengthMaxBytes, cancellationToken), key.Value, state.Volume.Id, claim.Epoch);
            if (existing.Nonce != claim.Nonce && !Mutation.TakenEpochIsOurs)
                throw new VolumeException(VolumeErrorKind.Fenced, $"Volume '{state.Volume.Name}' was opened by {existing.Owner} at the same moment (epoch {claim.Epoch}). Serve it from one gateway only.");
        }

        return claim;
    }

    /// <summary>Records where the log before us ends, and looks that nobody claimed after us.</summary>
    private async Task TakeOverAsync(RecoveredVolume recovered, EpochRecord claim, CancellationToken cancellationToken)
    {
        var (state, journal) = (recovered.State, recovered.Journal);
        var takeover = new TakeoverRecord { Epoch = claim.Epoch, Nonce = claim.Nonce, LastEpoch = state.End.Epoch, LastSequence = state.End.Sequence };
        var key = state.Keys.Takeover(claim.Epoch);
        try
        {
            await _store.PutAsync(key, RecordCodec.Encode(takeover, state.Volume.Id), Precondition.Absent, cancellationToken);
        }
        catch (BlobStoreException e) when (e.Kind == BlobErrorKind.PreconditionFailed)
        {
            var existing = RecordCodec.DecodeTakeover(await _store.ReadWholeAsync(key, RecordEnvelope.RecordLengthMaxBytes, cancellationToken), key.Value, state.Volume.Id, claim.Epoch);
            if (existing != takeover) throw RecordEnvelope.Damaged(key.Value, "only its epoch's owner can have made it, but it is not what was put");
        }

        if (await _store.GetLengthAsync(state.Keys.Epoch(claim.Epoch + 1), cancellationToken) is not null)
            throw ClaimedElsewhere(state.Volume.Name, claim.Epoch + 1);
        await StampAsync(journal, journal.Superblock with { Epoch = claim.Epoch, ClaimEpoch = 0, ClaimNonce = default });
    }

    /// <summary>
    /// A listing from a moment ago may have shown an older checkpoint than the newest. The writer before us removes a root first, and what only
    /// it referred to after one more look for our claim: if the root is there now, all that it needs is there to stay.
    /// </summary>
    private async Task RefuseSupersededRootAsync(LogState state, CancellationToken cancellationToken)
    {
        if (state.Root is { } root && await _store.GetLengthAsync(state.Keys.Checkpoint(root.Id), cancellationToken) is null)
            throw Outdated(state);
    }

    /// <summary>What the log says may be gone because its writer is at work, and has written a newer checkpoint: then it was no damage.</summary>
    private async Task RefuseOutdatedAsync(LogState state, CancellationToken cancellationToken)
    {
        var now = await LogState.LoadAsync(_store, state.Keys.VolumeName, cancellationToken);
        if (now.Root?.Id != state.Root?.Id) throw Outdated(state);
    }

    private BlobStoreException Outdated(LogState state) => new(
        BlobErrorKind.Unavailable,
        $"{_store.Description}: the checkpoint that volume '{state.Volume.Name}' was being opened from was superseded meanwhile. Opening it again will find the newer one.");

    private static VolumeException ClaimedElsewhere(string volumeName, long epoch) => new(
        VolumeErrorKind.Fenced,
        $"Volume '{volumeName}' was claimed by another gateway (epoch {epoch}) while it was being opened here. Serve it from one gateway only.");

    private async Task StampAsync(JournalFile journal, JournalSuperblock superblock)
    {
        try
        {
            await journal.WriteSuperblockAsync(superblock);
        }
        catch (IOException e)
        {
            throw new VolumeException(VolumeErrorKind.LocalDisk, $"Journal '{journal.Path}' cannot be written: {e.Message} Check the disk under '{_journals.Name}'.", e);
        }
    }
}
