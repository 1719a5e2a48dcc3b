using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Leases;
using Gateway.Volumes.Log;

namespace Gateway.Volumes.Names;

/// <summary>Gives a volume another name: two small blobs, whatever its size.</summary>
/// <remarks>
/// 1. Put the next alias of the new name, which reserves it for the volume's next record. 2. Look that no volume of that name was created meanwhile: <see cref="VolumeCatalog.CreateAsync"/>
/// puts its record and then looks for an alias, so that one of the two sees the other. 3. Put the record. Between 1 and 3 the volume has its old name, after 3 its new one.
/// Run again, it goes on where it was.
/// </remarks>
public sealed class VolumeRenamer(IBlobStore store, TimeProvider time)
{
    private const int AttemptsMax = 8;

    /// <summary>Renames a volume.</summary>
    /// <exception cref="VolumeException">No such volume, a bad or taken name, or a gateway serves it.</exception>
    /// <exception cref="BlobStoreException">The store failed: the volume has one of the two names. It can be run again.</exception>
    public async Task RunAsync(string name, string newName, CancellationToken cancellationToken)
    {
        VolumeCatalog.CheckName(name);
        VolumeCatalog.CheckName(newName);
        if (name == newName) throw new VolumeException(VolumeErrorKind.InvalidArgument, $"Volume '{name}' has that name already.");
        for (var attempt = 1; attempt <= AttemptsMax; attempt++)
            if (await TryAsync(name, newName, cancellationToken)) return;
        throw new BlobStoreException(BlobErrorKind.Unavailable, $"{store.Description}: volume '{name}' is being changed by others all the time. Try again.");
    }

    /// <summary>False: the volume's record was changed meanwhile, and all has to be looked at again.</summary>
    private async Task<bool> TryAsync(string name, string newName, CancellationToken cancellationToken)
    {
        LogState state;
        try
        {
            state = await VolumeNames.LoadAsync(store, name, cancellationToken);
        }
        catch (VolumeException e) when (e.Kind == VolumeErrorKind.NotFound)
        {
            if (await WasRenamedAsync(name, newName, cancellationToken)) return true;
            throw;
        }

        state.Volume.RefuseRemoved();
        var ownership = await VolumeOwnership.ReadAsync(store, state, time, cancellationToken);
        if (ownership.IsServed(time.GetUtcNow()))
            throw new VolumeException(VolumeErrorKind.OwnedElsewhere, $"Volume '{name}' is served by {ownership.Owner} under that name: its devices would not find it again after a restart. Stop serving it there, rename it, and make the devices anew.");

        var number = state.VolumeNumber + 1;
        await ReserveAsync(state, newName, number, cancellationToken);
        await RefuseTakenAsync(newName, cancellationToken);
        return await VolumeRecords.TryPutAsync(store, state.Keys, number, state.Volume with { Name = newName }, cancellationToken);
    }

    /// <summary>Puts the alias, unless an earlier attempt did.</summary>
    private async Task ReserveAsync(LogState state, string newName, long number, CancellationToken cancellationToken)
    {
        await RefuseTakenAsync(newName, cancellationToken);
        var newest = await VolumeNames.ReadAliasAsync(store, newName, cancellationToken);
        if (IsOurs(newest.Alias) && newest.Standing == AliasStanding.Reserved) return;
        Refuse(newest);
        var key = new VolumeKeys(newName).Alias(newest.Number + 1);
        var alias = new AliasRecord { Folder = state.Keys.VolumeName, Id = state.Volume.Id, Record = number, At = time.GetUtcNow() };
        try
        {
            await store.PutAsync(key, alias.Encode(), Precondition.Absent, cancellationToken);
        }
        catch (BlobStoreException e) when (e.Kind == BlobErrorKind.PreconditionFailed)
        {
            newest = await VolumeNames.ReadAliasAsync(store, newName, cancellationToken);
            if (!IsOurs(newest.Alias)) throw Taken(newName, newest.Holder?.Name);
        }

        bool IsOurs(AliasRecord? other) => other is not null && other.Id == state.Volume.Id && other.Folder == state.Keys.VolumeName && other.Record == number;

        void Refuse(in NewestAlias alias)
        {
            if (alias.Standing == AliasStanding.Taken) throw Taken(newName, null);
            if (alias.Standing == AliasStanding.Reserved)
                throw new VolumeException(VolumeErrorKind.AlreadyExists, $"The name '{newName}' is reserved: a renaming of volume '{alias.Holder!.Name}' to it was not completed. 'tcmu-gateway volume rename STORE/{alias.Holder.Name} {newName}' completes it; choose another name otherwise.");
        }
    }

    /// <summary>The folder of the new name may have a volume of its own, which has that name or gave it up.</summary>
    private async Task RefuseTakenAsync(string newName, CancellationToken cancellationToken)
    {
        try
        {
            if ((await LogState.ReadVolumeAsync(store, new VolumeKeys(newName), cancellationToken)).Name == newName) throw Taken(newName, null);
        }
        catch (VolumeException e) when (e.Kind == VolumeErrorKind.NotFound)
        {
            // Nobody's.
        }
    }

    /// <summary>True if an earlier run got as far as the record.</summary>
    private async Task<bool> WasRenamedAsync(string name, string newName, CancellationToken cancellationToken)
    {
        var newest = await VolumeNames.ReadAliasAsync(store, newName, cancellationToken);
        if (newest is not { Standing: AliasStanding.Taken, Alias: { Record: > 1 } alias }) return false;
        var key = new VolumeKeys(alias.Folder).Record(alias.Record - 1);
        return RecordCodec.DecodeVolume(await RecordEnvelope.ReadAsync(store, key, cancellationToken), key.Value).Name == name;
    }

    private static VolumeException Taken(string newName, string? by) => new(
        VolumeErrorKind.AlreadyExists,
        by is null || by == newName
            ? $"A volume '{newName}' exists already, perhaps in the trash ('tcmu-gateway volume list --trash'). Nothing was changed. Choose another name."
            : $"The name '{newName}' was just reserved for volume '{by}'. Nothing was changed. Choose another name.");
}
