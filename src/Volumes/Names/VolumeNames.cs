using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Log;

namespace Gateway.Volumes.Names;

/// <summary>What a name stands for by its newest alias.</summary>
internal enum AliasStanding
{
    /// <summary>There is none, or it came to nothing, or its volume has another name by now: whoever puts the next one may have the name.</summary>
    Free,

    /// <summary>It is reserved for a volume whose record does not say so yet: its renaming was interrupted, or is under way.</summary>
    Reserved,

    /// <summary>It is the volume's name.</summary>
    Taken,
}

/// <summary>The newest alias of a name.</summary>
/// <param name="Number">Its number; 0: there is none.</param>
/// <param name="Alias">Its content; null: there is none.</param>
/// <param name="Standing">What it means.</param>
/// <param name="Holder">The newest record of its volume; null if that is gone.</param>
internal readonly record struct NewestAlias(long Number, AliasRecord? Alias, AliasStanding Standing, VolumeRecord? Holder);

/// <summary>Says in which folder the volume of a name is. A volume's folder never changes; its newest record says its name.</summary>
/// <remarks>
/// A folder's own volume has the folder's name until it is renamed. Then the new name's folder has an alias that leads to it. The newest alias decides, if
/// its volume's record says that name; else the name is that of the folder's own volume, if its record says so. An alias that is put reserves the
/// name for the record of one number of one volume: once that record exists it is decided for good whether the name was taken.
/// </remarks>
internal static class VolumeNames
{
    /// <summary>The state of the volume of a name. As many requests as without names, for a volume that has always had its own.</summary>
    /// <exception cref="VolumeException">No such volume, a foreign object, damage.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public static async Task<LogState> LoadAsync(IBlobStore store, string name, CancellationToken cancellationToken)
    {
        LogState? own = null;
        VolumeException? failure = null;
        try
        {
            own = await LogState.LoadAsync(store, name, cancellationToken);
            if (!own.HasAliases && own.Volume.Name == name) return own;
        }
        catch (VolumeException e)
        {
            failure = e; // What is wrong with the folder's own volume is no fault of another one's that has taken its name.
        }

        var newest = await ReadAliasAsync(store, name, cancellationToken);
        if (newest.Standing == AliasStanding.Taken) return await LogState.LoadAsync(store, newest.Alias!.Folder, cancellationToken);
        if (failure is { Kind: not VolumeErrorKind.NotFound }) throw failure;
        return own?.Volume.Name == name ? own : throw NotFound(store, name, own?.Volume, newest);
    }

    /// <summary>The folder of a name's volume, which may be damaged.</summary>
    /// <exception cref="VolumeException">No such volume.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public static async Task<string> ResolveAsync(IBlobStore store, string name, CancellationToken cancellationToken)
    {
        var newest = await ReadAliasAsync(store, name, cancellationToken);
        if (newest.Standing == AliasStanding.Taken) return newest.Alias!.Folder;
        VolumeRecord own;
        try
        {
            own = await LogState.ReadVolumeAsync(store, new VolumeKeys(name), cancellationToken);
        }
        catch (VolumeException e) when (e.Kind == VolumeErrorKind.NotFound)
        {
            throw NotFound(store, name, null, newest);
        }
        catch (Exception e) when (e is VolumeException or BlobStoreException { Kind: BlobErrorKind.NotFound or BlobErrorKind.Corrupt })
        {
            return name;
        }

        return own.Name == name ? name : throw NotFound(store, name, own, newest);
    }

    /// <summary>The newest alias of a name, and what it means now.</summary>
    /// <exception cref="VolumeException">It is damaged.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public static async Task<NewestAlias> ReadAliasAsync(IBlobStore store, string name, CancellationToken cancellationToken)
    {
        var keys = new VolumeKeys(name);
        var number = await LogState.NewestNumberAsync(store, keys, keys.AliasPrefix, keys.Alias, cancellationToken);
        if (number == 0) return default;
        var key = keys.Alias(number);
        var alias = AliasRecord.Decode(await RecordEnvelope.ReadAsync(store, key, cancellationToken), key.Value);
        try
        {
            var (newest, volume) = await LogState.ReadNumberedVolumeAsync(store, new VolumeKeys(alias.Folder), cancellationToken);
            var standing = volume.Id != alias.Id ? AliasStanding.Free : volume.Name == name ? AliasStanding.Taken : newest < alias.Record ? AliasStanding.Reserved : AliasStanding.Free;
            return new(number, alias, standing, volume);
        }
        catch (VolumeException e)
        {
            // Purged; or damaged, which does not give its name to others.
            return new(number, alias, e.Kind == VolumeErrorKind.NotFound ? AliasStanding.Free : AliasStanding.Taken, null);
        }
    }

    private static VolumeException NotFound(IBlobStore store, string name, VolumeRecord? own, in NewestAlias newest)
    {
        var why = newest.Standing == AliasStanding.Reserved ? $" A renaming of volume '{newest.Holder!.Name}' to that name was not completed: 'tcmu-gateway volume rename STORE/{newest.Holder.Name} {name}' completes it."
            : own is not null ? $" The volume that had that name is '{own.Name}' now."
            : " 'tcmu-gateway volume list' shows what is there; 'tcmu-gateway volume create' makes one.";
        return new VolumeException(VolumeErrorKind.NotFound, $"There is no volume '{name}' in {store.Description}.{why}");
    }
}
