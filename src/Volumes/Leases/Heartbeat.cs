using Gateway.Backends.Core;
using Gateway.Volumes.Formats;

namespace Gateway.Volumes.Leases;

/// <summary>Reads and writes a volume's heartbeat and releases.</summary>
internal static class Heartbeat
{
    /// <summary>The bytes of a sign of life; empty if there is none. A change of any of them is a new one.</summary>
    /// <exception cref="BlobStoreException">The store did not say.</exception>
    public static async ValueTask<byte[]> ReadBytesAsync(IBlobStore store, BlobKey key, CancellationToken cancellationToken)
    {
        try
        {
            return await RecordEnvelope.ReadAsync(store, key, cancellationToken);
        }
        catch (BlobStoreException e) when (e.Kind == BlobErrorKind.NotFound)
        {
            return [];
        }
    }

    /// <summary>The heartbeat; null if there is none that can be read: it only ever gives hints.</summary>
    public static HeartbeatRecord? TryDecode(ReadOnlySpan<byte> blob, VolumeKeys keys, Guid volumeId)
    {
        if (blob.IsEmpty) return null;
        try
        {
            return LeaseCodec.DecodeHeartbeat(blob, keys.HeartbeatKey.Value, volumeId);
        }
        catch (VolumeException)
        {
            return null;
        }
    }

    /// <summary>The sign of life of whoever waits to take over; null if there is none that can be read.</summary>
    public static HandoverRecord? TryDecodeHandover(ReadOnlySpan<byte> blob, VolumeKeys keys, Guid volumeId)
    {
        if (blob.IsEmpty) return null;
        try
        {
            return LeaseCodec.DecodeHandover(blob, keys.HandoverKey.Value, volumeId);
        }
        catch (VolumeException)
        {
            return null;
        }
    }

    /// <summary>The release of an epoch; null if it was not released.</summary>
    /// <exception cref="VolumeException">It is damaged.</exception>
    /// <exception cref="BlobStoreException">The store did not say.</exception>
    public static async ValueTask<ReleaseRecord?> ReadReleaseAsync(IBlobStore store, VolumeKeys keys, Guid volumeId, long epoch, CancellationToken cancellationToken)
    {
        var key = keys.Release(epoch);
        try
        {
            return LeaseCodec.DecodeRelease(await RecordEnvelope.ReadAsync(store, key, cancellationToken), key.Value, volumeId, epoch);
        }
        catch (BlobStoreException e) when (e.Kind == BlobErrorKind.NotFound)
        {
            return null;
        }
    }

    /// <summary>Puts a release. It is there when this returns, also if an earlier attempt's answer was lost.</summary>
    /// <exception cref="VolumeException">Somebody else released that epoch.</exception>
    /// <exception cref="BlobStoreException">The store failed; it may be there or come later.</exception>
    public static async ValueTask ReleaseAsync(IBlobStore store, VolumeKeys keys, Guid volumeId, ReleaseRecord record, CancellationToken cancellationToken)
    {
        var key = keys.Release(record.Epoch);
        try
        {
            await store.PutAsync(key, LeaseCodec.Encode(record, volumeId), Precondition.Absent, cancellationToken);
        }
        catch (BlobStoreException e) when (e.Kind == BlobErrorKind.PreconditionFailed)
        {
            var existing = await ReadReleaseAsync(store, keys, volumeId, record.Epoch, cancellationToken);
            if (existing?.Nonce != record.Nonce) throw RecordEnvelope.Damaged(key.Value, "only its epoch's owner can have made it, but it is not what was put");
        }
    }
}
