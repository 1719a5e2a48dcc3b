using Gateway.Scsi;
using Gateway.Scsi.Interop;

namespace Gateway.Volumes.Reading;

/// <summary>Keeps the <see cref="PinnedHead"/> filled: after the opening, and whenever something in it was written.</summary>
internal sealed class HeadKeeper(IBlockPlaces places, PinnedHead head, Func<BlockRange, ScatterList, ValueTask<BlockResult>> readAsync, VolumeOptions options, TimeProvider time, int blockLengthBytes)
    : IAsyncDisposable
{
    /// <summary>Between two looks: a busy first MiB is not read back at every write.</summary>
    private static readonly TimeSpan PauseMin = TimeSpan.FromMilliseconds(100);

    private readonly AsyncSignal _signal = new();
    private readonly CancellationTokenSource _stop = new();
    private Task _loop = Task.CompletedTask;

    public void Start()
    {
        _loop = RunAsync();
        _signal.Set();
    }

    /// <summary>True if the head holds every block as it is now.</summary>
    public bool IsWhole
    {
        get
        {
            for (ulong lba = 0; lba < head.Blocks;)
            {
                var kind = places.Find(lba, head.Blocks - (uint)lba, out var place);
                if (kind != PlaceKind.Hole && (kind == PlaceKind.Unloaded || !head.Holds(place))) return false;
                lba += place.Blocks;
            }

            return true;
        }
    }

    /// <summary>Something in the first MiB has a new place.</summary>
    public void Changed() => _signal.Set();

    public async ValueTask DisposeAsync()
    {
        _stop.Cancel();
        _signal.Set();
        await _loop;
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        using var buffer = new NativeBuffer(Cache.PageCache.PageBytes * Cache.FrameKey.PagesMax);
        var list = new ScatterList();
        try
        {
            while (true)
            {
                await _signal.WaitAsync();
                if (_stop.IsCancellationRequested) return;
                var whole = await RefreshAsync(buffer, list);
                await Task.Delay(whole ? PauseMin : options.RetryDelayMax, time, _stop.Token);
                if (!whole) _signal.Set();
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    /// <summary>Reads what is not here as it is now; false if some of it could not be read.</summary>
    private async ValueTask<bool> RefreshAsync(NativeBuffer buffer, ScatterList list)
    {
        var whole = true;
        for (ulong lba = 0; lba < head.Blocks && !_stop.IsCancellationRequested;)
        {
            var blocksMax = Math.Min(head.Blocks - (uint)lba, (uint)(buffer.LengthBytes / blockLengthBytes));
            var kind = places.Find(lba, blocksMax, out var place);
            if (kind == PlaceKind.Unloaded)
            {
                if (await places.LoadAsync(lba) != BlockError.None) return false;
                continue;
            }

            lba += place.Blocks;
            if (kind == PlaceKind.Hole || head.Holds(place)) continue;
            list.Reset();
            list.Add(buffer, (int)place.Blocks * blockLengthBytes);
            var result = await readAsync(new BlockRange(place.Lba, place.Blocks), list);
            // What is at a place never changes: if the blocks are there after the read, they were there all the time.
            if (result.IsSuccess && places.Find(place.Lba, place.Blocks, out var after) == kind && after.Blocks == place.Blocks && after.IsSameAs(place)) head.Put(place, buffer.Span[..list.LengthBytes]);
            else whole = false;
        }

        return whole;
    }
}
