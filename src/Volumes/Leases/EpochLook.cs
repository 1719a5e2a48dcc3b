using Gateway.Backends.Core;
using Gateway.Volumes.Formats;

namespace Gateway.Volumes.Leases;

/// <summary>Asks the store whether a writer is still the newest.</summary>
/// <remarks>
/// Epoch records are removed in the end, oldest first and one after the other (<see cref="EpochSweeper"/>). So a writer that slept for very
/// long may find the next record gone again; but then its own is gone, too, and was gone before. Where a clock says that nobody can have
/// removed anything, one request is enough.
/// </remarks>
internal static class EpochLook
{
    /// <summary>True if a newer epoch than <paramref name="epoch"/> exists or existed when the store answered.</summary>
    /// <exception cref="BlobStoreException">The store did not say.</exception>
    public static async ValueTask<bool> IsSupersededAsync(IBlobStore store, VolumeKeys keys, long epoch, WriterAuthority? authority, CancellationToken cancellationToken)
    {
        if (await store.GetLengthAsync(keys.Epoch(epoch + 1), cancellationToken) is not null) return true;
        if (authority is { NothingIsSweptYet: true }) return false;
        return await store.GetLengthAsync(keys.Epoch(epoch), cancellationToken) is null;
    }
}
