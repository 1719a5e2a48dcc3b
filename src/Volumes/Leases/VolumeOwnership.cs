using Gateway.Backends.Core;
using Gateway.Volumes.Log;
using Gateway.Volumes.Names;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gateway.Volumes.Leases;

/// <summary>Who serves a volume, as far as the bucket tells.</summary>
/// <param name="Owner">Its last writer; null: it was never opened.</param>
/// <param name="Epoch">That writer's number.</param>
/// <param name="LeaseSeconds">Its lease; 0: none.</param>
/// <param name="Released">True if it will acknowledge nothing more: any gateway may open the volume at once.</param>
/// <param name="SignOfLifeAt">When it last gave one, by its own clock; null: never.</param>
/// <param name="TakingOver">True if it waits for the lease of the writer before it.</param>
/// <param name="LeftBehindBy">Who has, or may have, flushed writes in its journal that the bucket lacks; null: nobody.</param>
/// <param name="LeftBehindFirstWrite">The first of them; 0 for none.</param>
/// <param name="LeftBehindLastWrite">The last of them that is known of; 0 for none.</param>
public sealed record VolumeOwnership(
    string? Owner,
    long Epoch,
    double LeaseSeconds,
    bool Released,
    DateTimeOffset? SignOfLifeAt,
    bool TakingOver,
    string? LeftBehindBy,
    long LeftBehindFirstWrite,
    long LeftBehindLastWrite)
{
    /// <summary>True if its last writer did not release it and is not surely silent: it gave a sign of life within two leases, by clocks that may differ; or it has no lease.</summary>
    /// <remarks>A courtesy, so that nobody pulls a volume from under its users by mistake. What must be safe goes by epochs.</remarks>
    public bool IsServed(DateTimeOffset now) => Owner is not null && !Released && (LeaseSeconds <= 0 || (SignOfLifeAt is { } at && now - at < TimeSpan.FromSeconds(2 * LeaseSeconds)));

    /// <exception cref="VolumeException">No such volume, or it is damaged.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public static async Task<VolumeOwnership> ReadAsync(IBlobStore store, string volume, TimeProvider time, CancellationToken cancellationToken) =>
        await ReadAsync(store, await VolumeNames.LoadAsync(store, volume, cancellationToken), time, cancellationToken);

    /// <exception cref="BlobStoreException">The store failed.</exception>
    internal static async Task<VolumeOwnership> ReadAsync(IBlobStore store, LogState state, TimeProvider time, CancellationToken cancellationToken)
    {
        var handover = new Handover(store, new VolumeOptions(), "", time, Guid.NewGuid, NullLogger.Instance);
        var facts = await handover.ReadFactsAsync(state, state.NewestEpoch, null, null, cancellationToken);
        var beat = facts.Heartbeat?.Epoch == state.NewestEpoch ? facts.Heartbeat : null;
        var taking = facts.Handover?.Epoch == state.NewestEpoch && beat is null && facts.Release is null ? facts.Handover : null;
        var left = facts.LeftBehind;
        return new VolumeOwnership(
            state.NewestRecord?.Owner,
            state.NewestEpoch,
            state.NewestRecord?.LeaseSeconds ?? 0,
            facts.Release is not null,
            beat?.At ?? taking?.At,
            taking is not null,
            left?.Owner,
            left is null ? 0 : facts.LastWriteInBucket + 1,
            left?.LastWrite ?? 0);
    }
}
