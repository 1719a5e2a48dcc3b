using System.Numerics;
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
    /// <summary>How long a stop waits for the store to end the calls that it was told to cancel. A store deaf to that is left behind.</summary>
    public static readonly TimeSpan StopGrace = TimeSpan.FromSeconds(2);

    private readonly TaskCompletionSource _leave = new(); // Completed by a timer, which holds no lock.
    private ITimer? _leaving;

    /// <summary>The volume stops: calls that do not end within <see cref="StopGrace"/> of their cancellation are left behind.</summary>
    public void LeaveSoon() =>
        _leaving ??= time.CreateTimer(static leave => ((TaskCompletionSource)leave!).TrySetResult(), _leave, StopGrace, Timeout.InfiniteTimeSpan);

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
                await EndOrLeaveAsync(store.PutAsync(key, content, Mutation.SegmentNamesReused ? Precondition.None : Precondition.Absent, cancellationToken).AsTask(), cancellationToken);
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
                if (!Mutation.NewerEpochIgnored && await EndOrLeaveAsync(EpochLook.IsSupersededAsync(store, keys, epoch, authority, cancellationToken).AsTask(), cancellationToken)) throw new FencedException(epoch + 1);
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
            // What was damaged on its way back must not end the volume: somebody else's blob is the same twice.
            var (first, second) = (await ReadAsync(), await ReadAsync());
            if (content.Span.SequenceEqual(first.Span) || content.Span.SequenceEqual(second.Span)) return true;
            return first.Span.SequenceEqual(second.Span) ? false : null;
        }
        catch (Exception) when (!cancellationToken.IsCancellationRequested)
        {
            return null; // Cannot tell yet.
        }

        async Task<ReadOnlyMemory<byte>> ReadAsync()
        {
            var stored = new byte[content.Length];
            return stored.AsMemory(0, await EndOrLeaveAsync(store.ReadAsync(key, 0, stored, cancellationToken).AsTask(), cancellationToken));
        }
    }

    private async Task<T> EndOrLeaveAsync<T>(Task<T> call, CancellationToken cancellationToken)
    {
        await EndOrLeaveAsync((Task)call, cancellationToken);
        return await call;
    }

    private async Task EndOrLeaveAsync(Task call, CancellationToken cancellationToken)
    {
        if (await Task.WhenAny(call, _leave.Task) != call) throw new OperationCanceledException(cancellationToken);
        await call;
    }

    private async Task DelayAsync(BlobKey key, int attempt, Exception cause, CancellationToken cancellationToken)
    {
        var ceiling = options.RetryDelayMin * Math.Pow(2, Math.Min(attempt, 10) - 1);
        if (ceiling > options.RetryDelayMax) ceiling = options.RetryDelayMax;
        TimeSpan delay;
        lock (random) delay = ceiling * (0.5 + (random.NextDouble() / 2));
        // Attempts 1, 2, 4, 8 and so on: an outage is in the log, and does not fill it.
        VolumeLog.StoreDelayed(logger, BitOperations.IsPow2(attempt) ? LogLevel.Warning : LogLevel.Debug, volume.Name, key.Value, attempt, delay, cause.Message);
        await Task.Delay(delay, time, cancellationToken);
    }
}
