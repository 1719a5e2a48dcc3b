using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Leases;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Log;

/// <summary>Somebody else owns the volume: this gateway must stop.</summary>
internal sealed class FencedException(long epoch) : Exception($"Epoch {epoch} exists.")
{
    /// <summary>The epoch that shows it.</summary>
    public long Epoch { get; } = epoch;
}

/// <summary>Puts one writer's create-only blobs, without end where the store fails, and looks whether it is still the newest writer.</summary>
internal sealed class StoreWriter(IBlobStore store, VolumeRecord volume, VolumeKeys keys, long epoch, VolumeOptions options, TimeProvider time, Random random, ILogger logger, WriterAuthority? authority = null)
{
    /// <summary>
    /// Stores a blob of this epoch under a name that has never stood for other content. True if the first attempt did it: then nobody
    /// reads <paramref name="content"/> any more.
    /// </summary>
    /// <exception cref="FencedException">Somebody else's blob has the name.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; the blob may be there or come later.</exception>
    public async Task<bool> PutAsync(BlobKey key, ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await store.PutAsync(key, content, Precondition.Absent, cancellationToken);
                return attempt == 1;
            }
            catch (BlobStoreException e) when (e.Kind == BlobErrorKind.PreconditionFailed)
            {
                // Either an earlier attempt of ours succeeded and its answer was lost, or somebody else wrote it.
                if (await IsOursAsync(key, content, cancellationToken) is { } ours)
                {
                    if (ours) return false;
                    throw new FencedException(epoch);
                }

                await DelayAsync(key, attempt, e, cancellationToken);
            }
            catch (Exception e) when (!cancellationToken.IsCancellationRequested)
            {
                await DelayAsync(key, attempt, e, cancellationToken);
            }
        }
    }

    /// <summary>Returns once the store has said that no newer epoch exists.</summary>
    /// <exception cref="FencedException">One does.</exception>
    public async Task RefuseIfFencedAsync(CancellationToken cancellationToken)
    {
        var key = keys.Epoch(epoch + 1);
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                var sentAt = time.GetTimestamp();
                if (await EpochLook.IsSupersededAsync(store, keys, epoch, authority, cancellationToken)) throw new FencedException(epoch + 1);
                authority?.Extend(sentAt);
                return;
            }
            catch (Exception e) when (e is not FencedException && !cancellationToken.IsCancellationRequested)
            {
                await DelayAsync(key, attempt, e, cancellationToken);
            }
        }
    }

    private async Task<bool?> IsOursAsync(BlobKey key, ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
    {
        try
        {
            var stored = new byte[content.Length];
            var read = await store.ReadAsync(key, 0, stored, cancellationToken);
            return content.Span.SequenceEqual(stored.AsSpan(0, read));
        }
        catch (Exception) when (!cancellationToken.IsCancellationRequested)
        {
            return null; // Cannot tell yet.
        }
    }

    private async Task DelayAsync(BlobKey key, int attempt, Exception cause, CancellationToken cancellationToken)
    {
        var ceiling = options.RetryDelayMin * Math.Pow(2, Math.Min(attempt, 10) - 1);
        if (ceiling > options.RetryDelayMax) ceiling = options.RetryDelayMax;
        TimeSpan delay;
        lock (random) delay = ceiling * (0.5 + (random.NextDouble() / 2));
        VolumeLog.StoreDelayed(logger, volume.Name, key.Value, attempt, delay, cause.Message);
        await Task.Delay(delay, time, cancellationToken);
    }
}
