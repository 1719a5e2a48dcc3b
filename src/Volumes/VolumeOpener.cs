using Gateway.Backends.Core;
using Gateway.Volumes.Cache;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Interop;
using Gateway.Volumes.Journal;
using Gateway.Volumes.Leases;
using Gateway.Volumes.Log;
using Gateway.Volumes.Map;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes;

/// <summary>
/// Opens a volume for writing. 1. Read the bucket's log and replay the journal: what a person must mend shows here, before anything is
/// changed. 2. Claim the next epoch: from now on nothing that an earlier writer sends counts. 3. Read the log again, since that writer may
/// have got a segment in between. 4. Record where the log before us ends. 5. Look that nobody claimed after us. Then serve.
/// Before all this, and again between 2 and 3, <see cref="Handover"/> waits for a writer that may still be at work elsewhere.
/// </summary>
/// <remarks>
/// A segment counts only after a look, made after its put, that finds no newer epoch (<see cref="SegmentUploader"/>). So each segment that
/// counted was there before the claim and is in the listing of step 3. An opener that dies before step 4 leaves a claim that fences and
/// nothing else: the next one takes over from the same writer. Two openers at a time: whoever claimed first either finds the other's claim
/// in step 5 and gives up, or had recorded its takeover before that claim, where the other's step 3 finds it.
/// </remarks>
public sealed class VolumeOpener
{
    /// <summary>Of a put that fails for a moment; then the opening fails, and is tried anew by whoever wants it.</summary>
    private const int PutAttempts = 4;

    /// <summary>A store that wants to be left alone for longer has the opening fail.</summary>
    private static readonly TimeSpan RetryAfterMax = TimeSpan.FromSeconds(1);

    private readonly IBlobStore _store;
    private readonly IBlobStore _background;
    private readonly VolumeOptions _options;
    private readonly JournalOptions _journalOptions;
    private readonly IJournalDirectory _journals;
    private readonly ICacheDirectory? _caches;
    private readonly string _owner;
    private readonly TimeProvider _time;
    private readonly Random _random;
    private readonly Func<Guid> _newNonce;
    private readonly ILogger _logger;
    private readonly StoreTrust? _trust;

    /// <param name="store">Where the volumes are.</param>
    /// <param name="options">How they are served.</param>
    /// <param name="journalOptions">Where their journals are.</param>
    /// <param name="owner">How this gateway names itself to people: host and process.</param>
    /// <param name="time">The clock.</param>
    /// <param name="random">Spreads retries.</param>
    /// <param name="logger">Lifecycle and failures.</param>
    /// <param name="background">The same volumes, for uploads, checkpoints, cleaning and leases: no command waits for these. Null: <paramref name="store"/>.</param>
    public VolumeOpener(
        IBlobStore store, VolumeOptions options, JournalOptions journalOptions, string owner, TimeProvider time, Random random, ILogger logger, IBlobStore? background = null)
        : this(
            store, options, journalOptions, DirectoryOf(journalOptions, time, logger), owner, time, random, logger, null, new LocalCacheDirectory(options.CacheDirectory),
            StoreTrust.OfThisProcess, background)
    {
    }

    /// <param name="caches">Where cache files are; null: there are none.</param>
    /// <param name="newNonce">Where nonces come from; null: from the operating system's cryptographic source, as they must outside simulations.</param>
    /// <param name="trust">Tests a store before its first volume is opened; null: it is taken for good.</param>
    /// <param name="background">For what no command waits for; null: <paramref name="store"/>.</param>
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
        ICacheDirectory? caches = null,
        StoreTrust? trust = null,
        IBlobStore? background = null)
    {
        _store = store;
        _background = background ?? store;
        _options = journals.IsVolatile ? options with { Durability = Durability.Bucket } : options;
        _journalOptions = journalOptions;
        _journals = journals;
        _caches = caches;
        _owner = owner;
        _time = time;
        _random = random;
        _newNonce = newNonce ?? Guid.NewGuid;
        _logger = logger;
        _trust = trust;
    }

    /// <summary>Called when the opening must wait for another gateway, and while it does.</summary>
    public Action<OpeningWait>? Waits { get; init; }

    /// <summary>What is imported into the volume, as <see cref="VolumeImports"/> was told; null: nothing, and a volume that is being imported is refused.</summary>
    public string? ImportOf { get; init; }

    /// <exception cref="VolumeException">The volume cannot be opened; the message says what to do.</exception>
    /// <exception cref="BlobStoreException">The store failed; a later attempt may succeed.</exception>
    public async Task<Volume> OpenAsync(string name, CancellationToken cancellationToken)
    {
        VolumeCatalog.CheckName(name);
        Task? trusted = null;
        var handover = new Handover(_store, _options, _owner, _time, _newNonce, _logger) { Waits = Waits, ImportOf = ImportOf };
        var state = await handover.AwaitTurnAsync(name, LookAtJournalAsync, cancellationToken);
        if (_options.LeaseLength <= TimeSpan.Zero) await LookAtJournalAsync(state.Volume.Id); // Without a lease nobody has yet.
        if (trusted is not null) await trusted;
        var recovered = await RecoverAsync(state, cancellationToken);
        try
        {
            var claim = await ClaimAsync(recovered, cancellationToken);
            var claimedAt = _time.GetTimestamp();
            var after = await LogState.LoadAsync(_store, state.Keys.VolumeName, cancellationToken);
            // It may have served already: a takeover of its segments by us would make no sense to anyone.
            if (Math.Max(after.NewestEpoch, after.NewestTakeover?.Epoch ?? 0) is var newest && newest > claim.Epoch) throw ClaimedElsewhere(name, newest);
            (after, _) = await handover.WaitOutAsync(after, claim.Epoch, claimedAt, recovered.Journal.Superblock, mayLeave: false, cancellationToken);
            // Whoever removes a volume puts its record first and claims an epoch then: either this finds the record, or that claim fences us.
            after.Volume.RefuseUnusable(ImportOf);
            if (after.Volume.Name != name) throw new VolumeException(VolumeErrorKind.NotFound, $"Volume '{name}' was renamed to '{after.Volume.Name}' while it was being opened. Open it by that name.");
            if (!Mutation.LogReadOnceOnly && ((after.VolumeNumber != state.VolumeNumber && !Mutation.SizeReadOnce) || after.NewestTakeover != state.NewestTakeover || after.End != state.End || after.Root?.Id != state.Root?.Id))
            {
                recovered.Dispose();
                recovered = await RecoverAsync(after, cancellationToken);
            }

            await RefuseSupersededRootAsync(recovered.State, cancellationToken);
            var authority = new WriterAuthority(new LeaseTerms(_options.LeaseLength), _time);
            if (authority.Terms.HasLease) await GiveSignOfLifeAsync(recovered, claim, cancellationToken);
            await TakeOverAsync(recovered, claim, authority, cancellationToken);
            VolumeLog.Opened(_logger, name, state.Volume.Id, claim.Epoch, recovered.Bucket.Segments.Count, recovered.BucketWrite, recovered.NextWrite - 1 - recovered.BucketWrite);
            var volume = new Volume(recovered, claim.Epoch, _store, _background, authority, _owner, _options, _time, _random, _newNonce, _logger, NewCacheFile(state, claim));
            if (_trust is not null && trusted is null) _ = TestLaterAsync(_trust, cancellationToken);
            return volume;
        }
        catch
        {
            recovered.Dispose();
            throw;
        }

        Task TestAsync(StoreTrust trust) => trust.CheckAsync(_store, _options, _newNonce, _logger, cancellationToken);

        // The test of the store costs several requests: beside what is only read.
        async Task<JournalSuperblock?> LookAtJournalAsync(Guid volumeId)
        {
            if (trusted is { IsFaulted: true }) await trusted;
            var superblock = await ReadSuperblockAsync(volumeId);
            if (_trust is not null && trusted is null && NeedsTest(_trust, superblock)) trusted = TestAsync(_trust);
            return superblock;
        }
    }

    /// <summary>
    /// A journal that has served the volume: the store passed its test before, and initiators wait. It is tested all the same, later: what answers at
    /// that address may be another program today.
    /// </summary>
    private bool NeedsTest(StoreTrust trust, JournalSuperblock? superblock) => superblock is not { Epoch: > 0 } || trust.HasFailed(_store);

    private async Task TestLaterAsync(StoreTrust trust, CancellationToken cancellationToken)
    {
        try
        {
            await trust.CheckAsync(_store, _options, _newNonce, _logger, cancellationToken);
        }
        catch (VolumeException e)
        {
            VolumeLog.StoreNotTrustedAnyMore(_logger, e.Message);
        }
        catch (Exception e) when (e is BlobStoreException or OperationCanceledException or ObjectDisposedException)
        {
            // Not known this time; nothing rests on it that did not before.
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
            var record = await RecordEnvelope.ReadAsync(_store, key, cancellationToken);
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
            else if (await ReplayAsync(recovered) is { } kept)
            {
                // Not ours to replay, and not ours to drop: on with a new one.
                var path = journal.Path;
                journal.Dispose();
                journal = null;
                var aside = JournalShelf.KeepAside(_journals, state.Volume.Id, kept.Epoch);
                VolumeLog.JournalKeptAside(_logger, state.Volume.Name, path, kept.Epoch, kept.FirstWrite, kept.LastWrite, aside);
                return await RecoverAsync(state, cancellationToken);
            }

            return recovered;
        }
        catch (BlobStoreException e) when (e.Kind == BlobErrorKind.NotFound)
        {
            journal?.Dispose();
            await RefuseOutdatedAsync(state, cancellationToken);
            throw;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            journal?.Dispose();
            throw JournalUnusable(state.Volume.Id, e);
        }
        catch
        {
            journal?.Dispose();
            throw;
        }
    }

    /// <summary>The superblock of the volume's journal; null if there is no journal here.</summary>
    private async Task<JournalSuperblock?> ReadSuperblockAsync(Guid volumeId)
    {
        var name = JournalShelf.NameOf(volumeId);
        try
        {
            if (!_journals.Exists(name)) return null;
            using var journal = await JournalFile.OpenAsync(_journals.Open(name), volumeId);
            return journal.Superblock;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw JournalUnusable(volumeId, e);
        }
    }

    private VolumeException JournalUnusable(Guid volumeId, Exception e) => new(
        VolumeErrorKind.LocalDisk,
        $"The journal of volume {volumeId} cannot be used: {e.Message} Check the disk and the permissions of '{_journals.Name}', and that no other tcmu-gateway serves the volume on this host.",
        e);

    private async Task<(JournalFile Journal, bool IsNew)> OpenJournalAsync(Guid volumeId)
    {
        var name = JournalShelf.NameOf(volumeId);
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

    /// <summary>
    /// Replays what the bucket does not have yet, after proof that the journal continues the bucket's history. If it does not, and holds writes
    /// that are in no other place: says which, and leaves it as it is.
    /// </summary>
    private async Task<KeptAside?> ReplayAsync(RecoveredVolume recovered)
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
                return new KeptAside(superblock.Epoch, first.FirstWrite, lastJournaled);
            VolumeLog.JournalOutdated(_logger, state.Volume.Name, journal.Path, recovered.BucketWrite);
            await journal.ResetAsync(recovered.BucketWrite, state.End.Epoch);
            return null;
        }

        if (superblock.TailWrite > recovered.BucketWrite || (first != default && first.FirstWrite != recovered.BucketWrite + 1))
            throw new VolumeException(
                VolumeErrorKind.JournalMismatch,
                $"The bucket's log of volume '{state.Volume.Name}' ends at write {recovered.BucketWrite}, but journal '{journal.Path}' starts behind write {superblock.TailWrite}: segments that were in the bucket are gone. Nothing was changed. Restore the missing objects below '{state.Keys.LogPrefix}' from a backup or older object versions; or move the journal away to open the volume at the older state.");

        // All of it is in the bucket, which may even know more: a power cut can take from the disk what had already been sent.
        if (first == default) await journal.ResetAsync(recovered.BucketWrite, state.End.Epoch);
        return null;
    }

    /// <summary>True if nobody served the volume since the journal was last used: claims that never took over do not matter.</summary>
    internal static bool ContinuesOurEpoch(in JournalSuperblock superblock, LogState state)
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
            LeaseSeconds = _options.LeaseLength.TotalSeconds,
            JournalId = journal.Superblock.JournalId,
            CreatedAt = _time.GetUtcNow(),
        };
        await StampAsync(journal, journal.Superblock with { ClaimEpoch = claim.Epoch, ClaimNonce = claim.Nonce });
        var key = state.Keys.Epoch(claim.Epoch);
        try
        {
            await PutAsync(key, RecordCodec.Encode(claim, state.Volume.Id), Precondition.Absent, cancellationToken);
        }
        catch (BlobStoreException e) when (e.Kind == BlobErrorKind.PreconditionFailed)
        {
            var existing = RecordCodec.DecodeEpoch(await RecordEnvelope.ReadAsync(_store, key, cancellationToken), key.Value, state.Volume.Id, claim.Epoch);
            if (existing.Nonce != claim.Nonce && !Mutation.TakenEpochIsOurs)
                throw new VolumeException(VolumeErrorKind.Fenced, $"Volume '{state.Volume.Name}' was opened by {existing.Owner} at the same moment (epoch {claim.Epoch}). Serve it from one gateway only.");
        }

        return claim;
    }

    /// <summary>
    /// Says what our journal holds before the volume is ours: whoever finds us gone knows it then, and not only what the owner before us said.
    /// </summary>
    private async Task GiveSignOfLifeAsync(RecoveredVolume recovered, EpochRecord claim, CancellationToken cancellationToken)
    {
        var state = recovered.State;
        var writer = new WriterIdentity(state.Keys, state.Volume.Id, claim.Epoch, _owner, recovered.Journal.Superblock.JournalId);
        var beat = HeartbeatRecord.Of(writer, FlushLedger.Of(recovered, _options.Durability).Progress, _newNonce(), _time.GetUtcNow());
        await PutAsync(state.Keys.HeartbeatKey, LeaseCodec.Encode(beat, state.Volume.Id), Precondition.None, cancellationToken);
    }

    /// <summary>Records where the log before us ends, and looks that nobody claimed after us.</summary>
    private async Task TakeOverAsync(RecoveredVolume recovered, EpochRecord claim, WriterAuthority authority, CancellationToken cancellationToken)
    {
        var (state, journal) = (recovered.State, recovered.Journal);
        var takeover = new TakeoverRecord { Epoch = claim.Epoch, Nonce = claim.Nonce, LastEpoch = state.End.Epoch, LastSequence = state.End.Sequence };
        var key = state.Keys.Takeover(claim.Epoch);
        try
        {
            await PutAsync(key, RecordCodec.Encode(takeover, state.Volume.Id), Precondition.Absent, cancellationToken);
        }
        catch (BlobStoreException e) when (e.Kind == BlobErrorKind.PreconditionFailed)
        {
            var existing = RecordCodec.DecodeTakeover(await RecordEnvelope.ReadAsync(_store, key, cancellationToken), key.Value, state.Volume.Id, claim.Epoch);
            if (existing != takeover) throw RecordEnvelope.Damaged(key.Value, "only its epoch's owner can have made it, but it is not what was put");
        }

        var lookSentAt = _time.GetTimestamp();
        if (await EpochLook.IsSupersededAsync(_store, state.Keys, claim.Epoch, null, cancellationToken)) throw ClaimedElsewhere(state.Volume.Name, claim.Epoch + 1);
        authority.Extend(lookSentAt);
        await StampAsync(journal, journal.Superblock with { Epoch = claim.Epoch, ClaimEpoch = 0, ClaimNonce = default });
    }

    /// <summary>
    /// Puts a record of this opening, up to a few times. What stands before a store repeats reads and no puts; and one that fails would have the opening
    /// begin anew, with initiators waiting. Whether an attempt that failed had its effect does not matter: all have the same content, by which the next knows it.
    /// </summary>
    private async Task PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await _store.PutAsync(key, content, precondition, cancellationToken);
                return;
            }
            catch (BlobStoreException e) when (e.IsTransient && attempt < PutAttempts && (e.RetryAfter ?? default) <= RetryAfterMax)
            {
                TimeSpan delay;
                lock (_random) delay = _options.RetryDelayMin * attempt * (0.5 + (_random.NextDouble() / 2));
                await Task.Delay(e.RetryAfter > delay ? e.RetryAfter.Value : delay, _time, cancellationToken);
            }
        }
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
