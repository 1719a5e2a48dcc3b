using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Volumes.Cache;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Reading;

/// <inheritdoc/>
/// <param name="store">Where the blobs are.</param>
/// <param name="volumeName">For the log.</param>
/// <param name="file">The second tier; null for none.</param>
/// <param name="window">Bounds the volume's requests.</param>
/// <param name="options">The timeout.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">Failures.</param>
/// <param name="measures">Takes counts and times.</param>
/// <param name="stop">Ends what is on its way, and all later calls.</param>
internal sealed class RangeFetcher(
    IBlobStore store, string volumeName, CacheFile? file, RequestWindow window, VolumeOptions options, TimeProvider time, ILogger logger, VolumeMeasures measures, CancellationToken stop)
    : IRangeFetcher
{
    public async ValueTask<(BlockError Error, byte[] Content)> FetchAsync(BlobKey blob, long offsetBytes, int lengthBytes, Func<ReadOnlyMemory<byte>, bool> check)
    {
        var key = FrameKey.Of(blob.Value, offsetBytes);
        if (file is not null && file.Contains(key))
        {
            var content = new byte[lengthBytes]; // Not used again if the file is given up in the middle of a read.
            if (await file.TryReadAsync(key, content) == CacheFileRead.Done)
            {
                if (check(content)) return (BlockError.None, content);
                measures.CacheFileCheckErrors.Add();
                file.Drop(key);
            }
        }

        try
        {
            using var deadline = new CancellationTokenSource(options.CommandTimeout, time);
            using var stopping = stop.UnsafeRegister(static source => ((CancellationTokenSource)source!).Cancel(), deadline);
            for (var isSecond = false; ; isSecond = true)
            {
                var content = await TryReadStoreAsync(blob, offsetBytes, lengthBytes, check, deadline.Token);
                if (content is not null)
                {
                    file?.Offer(key, content, isPrecious: true);
                    return (BlockError.None, content);
                }

                measures.MapCheckErrors.Add();
                // A transfer may go wrong without the store's noticing: only what is bad twice is bad in the store.
                if (!isSecond) continue;
                VolumeLog.RangeCorrupt(logger, volumeName, blob.Value, offsetBytes, lengthBytes);
                return (BlockError.Corrupt, []);
            }
        }
        catch (BlobStoreException e)
        {
            VolumeLog.ReadFailed(logger, volumeName, blob.Value, e.Message);
            return (e.Kind is BlobErrorKind.NotFound ? BlockError.Corrupt : BlockError.StoreUnavailable, []);
        }
        catch (OperationCanceledException)
        {
            VolumeLog.ReadFailed(logger, volumeName, blob.Value, $"No answer within {options.CommandTimeout}.");
            return (BlockError.StoreUnavailable, []);
        }
    }

    /// <summary>The range if it is whole; null if it fails the check.</summary>
    private async ValueTask<byte[]?> TryReadStoreAsync(BlobKey blob, long offsetBytes, int lengthBytes, Func<ReadOnlyMemory<byte>, bool> check, CancellationToken cancellationToken)
    {
        var turn = new RequestTurn(isBackground: false);
        await window.EnterAsync(turn, cancellationToken);
        try
        {
            var content = new byte[lengthBytes];
            // A store may be deaf to the token: it is left behind then, with the array that it may still write to.
            var read = await store.ReadAsync(blob, offsetBytes, content, cancellationToken).AsTask().WaitAsync(cancellationToken);
            return read == lengthBytes && check(content) ? content : null;
        }
        catch (BlobStoreException e) when (e.Kind == BlobErrorKind.Corrupt)
        {
            return null;
        }
        finally
        {
            window.Leave(turn);
        }
    }
}
