using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Log;

namespace Gateway.Volumes.Names;

/// <summary>Changes what a volume is: each change is the next of its records, which is created once. Of two that come at a time one is first, and the other looks again.</summary>
internal static class VolumeRecords
{
    private const int AttemptsMax = 16;

    /// <summary>Changes the newest record. The change is made to whatever that is by then, and may be asked for more than once.</summary>
    /// <param name="change">Gives the new record, or null if there is nothing to change; or refuses by an exception.</param>
    /// <returns>The newest record: the new one, or the one that needed no change.</returns>
    /// <exception cref="VolumeException">No such volume, it is damaged, or the change is refused.</exception>
    /// <exception cref="BlobStoreException">The store failed; the change may have been made, or may come to be. It can be asked for again.</exception>
    public static async Task<(long Number, VolumeRecord Record)> ChangeAsync(
        IBlobStore store, VolumeKeys keys, Func<VolumeRecord, VolumeRecord?> change, CancellationToken cancellationToken)
    {
        for (var attempt = 1; attempt <= AttemptsMax; attempt++)
        {
            var (number, record) = await LogState.ReadNumberedVolumeAsync(store, keys, cancellationToken);
            if (change(record) is not { } next) return (number, record);
            if (await TryPutAsync(store, keys, number + 1, next, cancellationToken)) return (number + 1, next);
        }

        throw new BlobStoreException(BlobErrorKind.Unavailable, $"{store.Description}: volume '{keys.VolumeName}' is being changed by others all the time. Try again.");
    }

    /// <summary>Puts the record of a number; false if somebody else's has it.</summary>
    /// <exception cref="VolumeException">The volume was purged meanwhile.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public static async Task<bool> TryPutAsync(IBlobStore store, VolumeKeys keys, long number, VolumeRecord record, CancellationToken cancellationToken)
    {
        var key = keys.Record(number);
        var content = RecordCodec.Encode(record);
        try
        {
            await store.PutAsync(key, content, Precondition.Absent, cancellationToken);
        }
        catch (BlobStoreException e) when (e.Kind == BlobErrorKind.PreconditionFailed)
        {
            // Ours, if the answer to an earlier try was lost. Somebody else's of the same content is as good.
            var existing = await RecordEnvelope.ReadAsync(store, key, cancellationToken);
            if (!content.AsSpan().SequenceEqual(existing)) return false;
        }

        if (number == 1 || await store.GetLengthAsync(keys.Record(1), cancellationToken) is not null) return true;
        await store.DeleteAsync(key, cancellationToken); // A purge has gone by: nothing of the volume is to stay.
        throw new VolumeException(VolumeErrorKind.NotFound, $"Volume '{record.Name}' was purged at the same moment.");
    }
}
