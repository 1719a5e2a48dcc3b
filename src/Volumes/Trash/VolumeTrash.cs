using System.Globalization;
using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Leases;
using Gateway.Volumes.Log;
using Gateway.Volumes.Names;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Trash;

/// <summary>A volume in the trash.</summary>
/// <param name="Name">Its name, which stays its own until it is purged.</param>
/// <param name="Id">Identity.</param>
/// <param name="SizeBytes">Capacity in bytes.</param>
/// <param name="RemovedAt">When it was moved there.</param>
/// <param name="PurgeAfter">From when on it may be purged with all that are expired.</param>
/// <param name="Purging">True if its blobs are being removed: it cannot be restored.</param>
public sealed record TrashedVolume(string Name, Guid Id, long SizeBytes, DateTimeOffset RemovedAt, DateTimeOffset PurgeAfter, bool Purging);

/// <summary>How far a purge has come.</summary>
/// <param name="Volume">The volume.</param>
/// <param name="Blobs">Blobs removed so far by this run.</param>
/// <param name="Bytes">Their bytes.</param>
public readonly record struct PurgeProgress(string Volume, long Blobs, long Bytes);

/// <summary>Moves volumes to the trash, brings them back, and removes them for good.</summary>
/// <remarks>
/// A removal puts the volume's next record, which nobody opens, and claims an epoch then, which fences whoever had opened it before. A restoration puts the
/// next record without that. A purge first puts a record that says so, then removes blobs: the records last, the newest at the very end. So what is left of a
/// volume at any moment is healthy, or in the trash, or being purged, or gone; and each step can be run again.
/// </remarks>
public sealed class VolumeTrash
{
    private const int RemovalsAtOnce = 16;

    private readonly IBlobStore _store;
    private readonly TimeProvider _time;
    private readonly VolumeTakeover _takeover;

    /// <param name="store">Where the volumes are.</param>
    /// <param name="options">The lease length is that of the epoch that a removal claims.</param>
    /// <param name="owner">Who does this, for people.</param>
    /// <param name="time">A clock that counts suspension.</param>
    /// <param name="waits">Told how long a removal still waits for a lease.</param>
    /// <param name="logger">Lifecycle and failures.</param>
    public VolumeTrash(IBlobStore store, VolumeOptions options, string owner, TimeProvider time, Action<OpeningWait> waits, ILogger logger)
        : this(store, options, owner, time, waits, Guid.NewGuid, logger)
    {
    }

    /// <param name="newNonce">Where nonces come from.</param>
    internal VolumeTrash(IBlobStore store, VolumeOptions options, string owner, TimeProvider time, Action<OpeningWait> waits, Func<Guid> newNonce, ILogger logger)
    {
        _store = store;
        _time = time;
        _takeover = new VolumeTakeover(store, options, owner, time, waits, newNonce, logger);
    }

    /// <summary>Moves a volume to the trash. When this returns, nobody writes to it any more. For one that is there already: makes sure of that.</summary>
    /// <param name="name">The volume.</param>
    /// <param name="keep">How long it is kept at least.</param>
    /// <param name="force">Also if a gateway serves it, or it is damaged.</param>
    /// <param name="cancellationToken">Ends the wait for a lease; the volume is in the trash then, and running it again goes on.</param>
    /// <exception cref="VolumeException">No such volume, it is being purged, or a gateway serves it.</exception>
    /// <exception cref="BlobStoreException">The store failed; it can be run again.</exception>
    public async Task<TrashedVolume> RemoveAsync(string name, TimeSpan keep, bool force, CancellationToken cancellationToken)
    {
        VolumeCatalog.CheckName(name);
        LogState? state = null;
        try
        {
            state = await VolumeNames.LoadAsync(_store, name, cancellationToken);
        }
        catch (VolumeException e) when (e.Kind == VolumeErrorKind.Damaged)
        {
            if (!force) throw new VolumeException(VolumeErrorKind.Damaged, $"{e.Message} With --force it is moved to the trash all the same.", e);
        }

        var keys = state?.Keys ?? new VolumeKeys(await VolumeNames.ResolveAsync(_store, name, cancellationToken));
        if (state is not null && !force) await RefuseServedAsync(state, cancellationToken);
        var now = _time.GetUtcNow();
        var (_, record) = await VolumeRecords.ChangeAsync(_store, keys, before => before switch
        {
            { Purging: true } => throw BeingPurged(before),
            { IsRemoved: true } => null,
            _ => before with { RemovedAt = now, PurgeAfter = now + keep, Features = [.. before.Features, RecordCodec.RemovedFeature] },
        }, cancellationToken);
        await FenceAsync(keys, force, cancellationToken);
        return Describe(record);
    }

    /// <summary>Brings a volume back from the trash, as it was.</summary>
    /// <exception cref="VolumeException">No such volume, it is not in the trash, or it is being purged.</exception>
    /// <exception cref="BlobStoreException">The store failed; it can be run again.</exception>
    public async Task RestoreAsync(string name, CancellationToken cancellationToken)
    {
        VolumeCatalog.CheckName(name);
        var keys = new VolumeKeys(await VolumeNames.ResolveAsync(_store, name, cancellationToken));
        await VolumeRecords.ChangeAsync(_store, keys, before => before switch
        {
            { Purging: true } => throw BeingPurged(before),
            { IsRemoved: true } => before with { RemovedAt = null, PurgeAfter = null, Features = [.. before.Features.Where(f => f != RecordCodec.RemovedFeature)] },
            _ => null,
        }, cancellationToken);
    }

    /// <summary>The volumes in the trash, in order of their names.</summary>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public async Task<IReadOnlyList<TrashedVolume>> ListAsync(CancellationToken cancellationToken) =>
        [.. (await FindAsync(cancellationToken)).Select(found => Describe(found.Record)).OrderBy(v => v.Name, StringComparer.Ordinal)];

    /// <summary>Removes a volume of the trash for good. Interrupted, it can be run again, and goes on.</summary>
    /// <returns>The volume that is gone.</returns>
    /// <exception cref="VolumeException">No such volume, or it is not in the trash.</exception>
    /// <exception cref="BlobStoreException">The store failed; it can be run again.</exception>
    public async Task<TrashedVolume> PurgeAsync(string name, IProgress<PurgeProgress>? progress, CancellationToken cancellationToken)
    {
        VolumeCatalog.CheckName(name);
        var keys = new VolumeKeys(await VolumeNames.ResolveAsync(_store, name, cancellationToken));
        return (await PurgeAsync(keys, DateTimeOffset.MaxValue, mustBeInTrash: true, progress, cancellationToken))!;
    }

    /// <summary>Removes for good what is in the trash: what has expired and what a purge has begun with, or all of it. A daemon may call this from time to time.</summary>
    /// <param name="all">True: also what has not expired yet.</param>
    /// <param name="progress">Hears how far it is, or null.</param>
    /// <param name="cancellationToken">Ends it between two blobs; running it again goes on.</param>
    /// <returns>The volumes that are gone.</returns>
    /// <exception cref="BlobStoreException">The store failed; it can be run again.</exception>
    public async Task<IReadOnlyList<TrashedVolume>> PurgeExpiredAsync(bool all, IProgress<PurgeProgress>? progress, CancellationToken cancellationToken)
    {
        var purged = new List<TrashedVolume>();
        var now = all ? DateTimeOffset.MaxValue : _time.GetUtcNow();
        foreach (var (folder, record) in await FindAsync(cancellationToken))
        {
            if (!record.Purging && record.PurgeAfter > now) continue;
            // It may have been restored, or removed anew, since it was listed.
            if (await PurgeAsync(new VolumeKeys(folder), now, mustBeInTrash: false, progress, cancellationToken) is { } gone) purged.Add(gone);
        }

        return purged;
    }

    private async Task<List<(string Folder, VolumeRecord Record)>> FindAsync(CancellationToken cancellationToken)
    {
        var found = new List<(string, VolumeRecord)>();
        await foreach (var (folder, record) in new VolumeCatalog(_store, _time).FoldersAsync(cancellationToken))
            if (record is { IsRemoved: true }) found.Add((folder, record));
        return found;
    }

    private async Task RefuseServedAsync(LogState state, CancellationToken cancellationToken)
    {
        var ownership = await VolumeOwnership.ReadAsync(_store, state, _time, cancellationToken);
        if (!ownership.IsServed(_time.GetUtcNow())) return;
        throw new VolumeException(VolumeErrorKind.OwnedElsewhere, string.Create(
            CultureInfo.InvariantCulture,
            $"Volume '{state.Volume.Name}' is served by {ownership.Owner} (epoch {ownership.Epoch}). Stop serving it there; if that gateway is gone, or its initiators may lose the disk, add --force."));
    }

    /// <summary>Fences whoever has the volume open, and waits its lease out. Of a damaged volume it is not known who that is.</summary>
    private async Task FenceAsync(VolumeKeys keys, bool force, CancellationToken cancellationToken)
    {
        LogState state;
        try
        {
            state = await LogState.LoadAsync(_store, keys.VolumeName, cancellationToken);
        }
        catch (VolumeException e) when (force && e.Kind == VolumeErrorKind.Damaged)
        {
            return; // Nobody opens it; who has it open keeps what it has until the purge.
        }

        await _takeover.FenceAsync(state, "volume rm", cancellationToken);
    }

    /// <summary>A removal that was interrupted may have fenced nobody yet.</summary>
    private async Task FenceUnlessReleasedAsync(VolumeKeys keys, CancellationToken cancellationToken)
    {
        try
        {
            var state = await LogState.LoadAsync(_store, keys.VolumeName, cancellationToken);
            if (!(await VolumeOwnership.ReadAsync(_store, state, _time, cancellationToken)).Released) await _takeover.FenceAsync(state, "volume purge", cancellationToken);
        }
        catch (VolumeException e) when (e.Kind == VolumeErrorKind.Damaged)
        {
            // It can be purged all the same, and nobody opens it.
        }
    }

    /// <summary>Null: it is not in the trash, or not for long enough.</summary>
    private async Task<TrashedVolume?> PurgeAsync(VolumeKeys keys, DateTimeOffset now, bool mustBeInTrash, IProgress<PurgeProgress>? progress, CancellationToken cancellationToken)
    {
        if (await LogState.ReadVolumeAsync(_store, keys, cancellationToken) is { IsRemoved: true, Purging: false }) await FenceUnlessReleasedAsync(keys, cancellationToken);
        var (newest, record) = await VolumeRecords.ChangeAsync(_store, keys, before => before switch
        {
            { Purging: true } => null,
            { IsRemoved: true } when (before.PurgeAfter ?? before.RemovedAt) <= now => before with { Purging = true },
            _ when mustBeInTrash => throw new VolumeException(VolumeErrorKind.InvalidArgument, $"Volume '{before.Name}' is not in the trash, so it was not purged. 'tcmu-gateway volume rm STORE/{before.Name}' moves it there."),
            _ => null,
        }, cancellationToken);
        if (!record.Purging) return null;

        var names = await ReadNamesAsync(keys, newest, cancellationToken);
        var removed = new Removal(_store, record.Name, progress);
        // A writer that was fenced, and sleeps, finds out by the epochs: they go after all that it could still think it owns.
        await removed.AllAsync(keys.Prefix, name => !IsMetadata(keys, name), cancellationToken);
        await removed.AllAsync(keys.EpochPrefix, _ => true, cancellationToken);
        // The first one first: without it none of the others, nor one that is put late, makes a volume.
        for (var number = 1L; number <= newest; number++) await removed.OneAsync(keys.Record(number), cancellationToken);
        foreach (var name in names) await RemoveAliasesAsync(name, record.Id, cancellationToken);
        return Describe(record);
    }

    private static bool IsMetadata(VolumeKeys keys, string name) =>
        name.StartsWith(keys.RecordPrefix, StringComparison.Ordinal) || name.StartsWith(keys.EpochPrefix, StringComparison.Ordinal) || name.StartsWith(keys.AliasPrefix, StringComparison.Ordinal);

    /// <summary>The names that the volume has had by aliases, as far as its records are still there.</summary>
    private async Task<SortedSet<string>> ReadNamesAsync(VolumeKeys keys, long newest, CancellationToken cancellationToken)
    {
        var names = new SortedSet<string>(StringComparer.Ordinal);
        for (var number = 1L; number <= newest; number++)
        {
            try
            {
                var key = keys.Record(number);
                names.Add(RecordCodec.DecodeVolume(await RecordEnvelope.ReadAsync(_store, key, cancellationToken), key.Value).Name);
            }
            catch (Exception e) when (e is VolumeException or BlobStoreException { Kind: BlobErrorKind.NotFound or BlobErrorKind.Corrupt })
            {
                // An alias that is left leads nowhere, and harms nobody.
            }
        }

        return names;
    }

    private async Task RemoveAliasesAsync(string name, Guid id, CancellationToken cancellationToken)
    {
        await foreach (var blob in _store.ListAsync(new VolumeKeys(name).AliasPrefix, null, cancellationToken))
        {
            var key = new BlobKey(blob.Name);
            try
            {
                if (AliasRecord.Decode(await RecordEnvelope.ReadAsync(_store, key, cancellationToken), key.Value).Id == id) await _store.DeleteAsync(key, cancellationToken);
            }
            catch (Exception e) when (e is VolumeException or BlobStoreException { Kind: BlobErrorKind.NotFound or BlobErrorKind.Corrupt })
            {
                // Not ours, for all that can be told.
            }
        }
    }

    private static TrashedVolume Describe(VolumeRecord record) =>
        new(record.Name, record.Id, record.SizeBytes, record.RemovedAt!.Value, record.PurgeAfter ?? record.RemovedAt.Value, record.Purging);

    private static VolumeException BeingPurged(VolumeRecord record) => new(
        VolumeErrorKind.NotFound, $"Volume '{record.Name}' is being purged: some of its data is gone, and it cannot be brought back. 'tcmu-gateway volume purge STORE/{record.Name}' goes on with it.");

    /// <summary>Removes blobs and counts them.</summary>
    private sealed class Removal(IBlobStore store, string volume, IProgress<PurgeProgress>? progress)
    {
        private long _blobs;
        private long _bytes;

        /// <summary>Removes what is below a prefix, until a listing finds nothing: a put that was on its way may arrive meanwhile.</summary>
        public async Task AllAsync(string prefix, Func<string, bool> isIncluded, CancellationToken cancellationToken)
        {
            bool found;
            do
            {
                found = false;
                var chunk = new List<BlobInfo>(RemovalsAtOnce);
                await foreach (var blob in store.ListAsync(prefix, null, cancellationToken))
                {
                    if (!isIncluded(blob.Name) || !BlobKey.IsValid(blob.Name)) continue; // What no store of ours could have made stays.
                    found = true;
                    chunk.Add(blob);
                    if (chunk.Count == RemovalsAtOnce) await RemoveAsync(chunk, cancellationToken);
                }

                await RemoveAsync(chunk, cancellationToken);
            }
            while (found);
        }

        public async Task OneAsync(BlobKey key, CancellationToken cancellationToken)
        {
            await store.DeleteAsync(key, cancellationToken);
            Count(1, 0);
        }

        private async Task RemoveAsync(List<BlobInfo> chunk, CancellationToken cancellationToken)
        {
            if (chunk.Count == 0) return;
            await Task.WhenAll(chunk.Select(blob => store.DeleteAsync(new BlobKey(blob.Name), cancellationToken).AsTask()));
            Count(chunk.Count, chunk.Sum(b => b.LengthBytes));
            chunk.Clear();
        }

        private void Count(int blobs, long bytes)
        {
            _blobs += blobs;
            _bytes += bytes;
            progress?.Report(new PurgeProgress(volume, _blobs, _bytes));
        }
    }
}
