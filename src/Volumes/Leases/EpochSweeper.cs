using Gateway.Backends.Core;
using Gateway.Volumes.Formats;

namespace Gateway.Volumes.Leases;

/// <summary>
/// Removes the records of epochs that nobody needs any more: each opening leaves one below <c>epochs/</c>, and most leave one below <c>takeovers/</c>
/// and <c>releases/</c>.
/// </summary>
/// <remarks>
/// What stays: from the epoch of the last segment that the newest durable checkpoint covers on, since the path of the log starts there; and
/// the newest <see cref="KeptEpochs"/> whatever the checkpoint covers, so that a listing from a moment ago never ends where records were removed.
/// Order: <c>epochs/</c> strictly from the oldest on, each after the one before it is gone. A writer that slept for very long may find the record
/// after its own gone; then its own is gone, too (<see cref="EpochLook"/>). Only the owner removes, after a look that finds no newer epoch.
/// </remarks>
internal static class EpochSweeper
{
    /// <summary>Epochs whose records stay in any case.</summary>
    public const int KeptEpochs = 100;

    /// <summary>Records removed in one go.</summary>
    public const int RemovalsMax = 300;

    /// <summary>The records that may be removed, in the order in which they must be, one after the other.</summary>
    /// <param name="store">Where the volume is.</param>
    /// <param name="keys">Its names.</param>
    /// <param name="coveredEpoch">Epoch of the last segment that the newest checkpoint covers, once that checkpoint is durable and in force; 0: nothing is removed.</param>
    /// <param name="newestEpoch">The owner's epoch.</param>
    /// <param name="cancellationToken">Ends the listing.</param>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public static async Task<IReadOnlyList<BlobKey>> FindAsync(IBlobStore store, VolumeKeys keys, long coveredEpoch, long newestEpoch, CancellationToken cancellationToken)
    {
        var keepFrom = Math.Min(coveredEpoch, newestEpoch - KeptEpochs + 1);
        var found = new List<BlobKey>();
        foreach (var (prefix, keyOf) in ((string, Func<long, BlobKey>)[])[(keys.ReleasePrefix, keys.Release), (keys.TakeoverPrefix, keys.Takeover), (keys.EpochPrefix, keys.Epoch)])
        {
            var numbers = new List<long>();
            await foreach (var blob in store.ListAsync(prefix, null, cancellationToken))
            {
                if (!VolumeKeys.TryParseNumber(blob.Name.AsSpan(prefix.Length), out var number)) continue;
                if (number >= keepFrom || numbers.Count >= RemovalsMax / 3) break; // A listing is in order.
                numbers.Add(number);
            }

            found.AddRange(numbers.Select(keyOf));
        }

        return found;
    }

    /// <summary>Removes records in the order given; ends at the first that the store does not remove.</summary>
    /// <exception cref="BlobStoreException">The store failed; what follows the record that it failed at is still there.</exception>
    public static async Task RemoveAsync(IBlobStore store, IReadOnlyList<BlobKey> records, CancellationToken cancellationToken)
    {
        foreach (var record in records) await store.DeleteAsync(record, cancellationToken);
    }
}
