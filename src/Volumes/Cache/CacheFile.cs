using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Volumes.Journal;
using Microsoft.Extensions.Logging;

namespace Gateway.Volumes.Cache;

/// <summary>What became of a read of a <see cref="CacheFile"/>.</summary>
internal enum CacheFileRead
{
    /// <summary>Not there. The buffer holds anything.</summary>
    Missing,

    /// <summary>The buffer holds what the file has; only its own check can prove it.</summary>
    Done,

    /// <summary>The disk does not answer. It may still write to the buffer, which must not be used again.</summary>
    GivenUp,
}

/// <summary>
/// Which history of the volume a cache file belongs to. A bucket that was set back to an earlier state goes on with the same names for other
/// content; what was cached before must not be taken for it.
/// </summary>
/// <param name="Epoch">The epoch that uses the file from now on.</param>
/// <param name="Nonce">The nonce of its record.</param>
/// <param name="ReadNonceAsync">The nonce that the bucket has for an earlier epoch; null if the epoch is not there. Throws if the store does not say.</param>
internal sealed record CacheHistory(long Epoch, Guid Nonce, Func<long, CancellationToken, Task<Guid?>> ReadNonceAsync);

/// <summary>
/// The second tier: a preallocated file on local disk that holds frames as they are in the store. A log in regions, written one at a time and
/// reused in turn; what was read since its region was written is carried over, the rest goes. Once the file is full, a frame comes in only
/// when it is fetched from the store for the second time within about a file's worth of fetches: a scan leaves nothing behind.
/// </summary>
/// <remarks>
/// Nothing that the file holds is trusted: a frame is proved by its own checksum, which knows its volume, epoch, segment and LBA, each time it
/// is read. So nothing has to be flushed, and after a crash the tables of the regions are as good as after a clean stop: what a power cut
/// tore fails its check and is fetched from the store. Only the superblock is flushed, before anything of a new epoch comes in.
/// Whatever the disk does wrong (an error, no answer, no room, bytes that are often not what was written), the cache switches itself off and
/// says so once; reads go to the store. Thread safe. Bounds: two regions in memory; an index of about 40 bytes for each frame; frames that
/// come while both regions are full or being written are not taken.
/// </remarks>
internal sealed class CacheFile : IAsyncDisposable
{
    private const int RegionLargeBytes = 1 << 20;
    private const int RegionSmallBytes = 256 << 10;
    private const long SmallFileBytes = 16 << 20;
    private const int GhostBytes = 16 << 10; // Of the file for each frame remembered.
    private const int LiesMin = 64;

    private readonly ICacheDirectory _directory;
    private readonly string _name;
    private readonly string _volume;
    private readonly Guid _volumeId;
    private readonly CacheHistory _history;
    private readonly TimeSpan _timeout;
    private readonly TimeSpan _retryDelay;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly long _lengthBytes;
    private readonly int _regionBytes;
    private readonly int _regions;

    private readonly Lock _gate = new();
    private readonly Dictionary<ulong, Item> _index = [];
    private readonly AsyncSignal _signal = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly long[] _laps; // 0: nothing was written there.
    private Guid _fileId;
    private IJournalDisk? _disk;
    private GhostTable? _ghosts;
    private CacheRegion? _filling;
    private CacheRegion? _sealed;
    private CacheRegion? _spare;
    private State _state;
    private int _next;
    private long _lap;
    private bool _isFull;
    private bool _isAbandoned; // The disk did not answer: it may still read from the regions.
    private long _reads;
    private long _lies;
    private Task _loop = Task.CompletedTask;

    /// <param name="directory">Where the file is.</param>
    /// <param name="volumeId">The volume; names the file.</param>
    /// <param name="volume">The volume's name, for the log.</param>
    /// <param name="history">What of an existing file may be used.</param>
    /// <param name="options">Size of the file, timeouts.</param>
    /// <param name="fileId">A new random id, for a file that has to start anew.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">Where it says that it is switched off.</param>
    public CacheFile(ICacheDirectory directory, Guid volumeId, string volume, CacheHistory history, VolumeOptions options, Guid fileId, TimeProvider time, ILogger logger)
    {
        _directory = directory;
        _name = $"{volumeId}.cache";
        _volume = volume;
        _volumeId = volumeId;
        _history = history;
        _timeout = options.CommandTimeout / 4;
        _retryDelay = options.RetryDelayMax;
        _fileId = fileId;
        _time = time;
        _logger = logger;
        _regionBytes = options.CacheFileBytes >= SmallFileBytes ? RegionLargeBytes : RegionSmallBytes;
        _regions = (int)Math.Min((options.CacheFileBytes - CacheSuperblock.LengthBytes) / _regionBytes, int.MaxValue);
        _lengthBytes = CacheSuperblock.LengthBytes + ((long)_regions * _regionBytes);
        _laps = new long[Math.Max(_regions, 0)];
    }

    private enum State
    {
        /// <summary>Being opened: nothing comes in.</summary>
        Opening,
        Serving,
        Off,
    }

    /// <summary>Frames in the file.</summary>
    public int Count
    {
        get
        {
            lock (_gate) return _index.Count;
        }
    }

    /// <summary>True if no region is on its way to the disk.</summary>
    public bool IsIdle
    {
        get
        {
            lock (_gate) return _sealed is null;
        }
    }

    /// <summary>True once it is switched off.</summary>
    public bool IsOff => _state == State.Off;

    /// <summary>True once an existing file has been read in, or a new one made.</summary>
    public bool IsServing => _state == State.Serving;

    /// <summary>Opens the file in the background.</summary>
    public void Start()
    {
        _loop = RunAsync();
        _signal.Set();
    }

    public bool Contains(FrameKey key)
    {
        lock (_gate) return _index.ContainsKey(key.Value);
    }

    /// <summary>Reads an item, which must be as long as <paramref name="destination"/>.</summary>
    public async ValueTask<CacheFileRead> TryReadAsync(FrameKey key, Memory<byte> destination)
    {
        Item item;
        lock (_gate)
        {
            if (!_index.TryGetValue(key.Value, out item) || item.LengthBytes != destination.Length) return CacheFileRead.Missing;
            _index[key.Value] = item with { WasRead = true };
            _reads++;
        }

        try
        {
            await WithinTimeout(_disk!.ReadAsync(destination, RegionOffset(item.Region) + item.OffsetBytes));
        }
        catch (TimeoutException e)
        {
            SwitchOff(e);
            return CacheFileRead.GivenUp;
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            SwitchOff(e);
            return CacheFileRead.Missing;
        }

        // Its region may have been reused meanwhile.
        lock (_gate) return _index.TryGetValue(key.Value, out var after) && after.IsAt(item) ? CacheFileRead.Done : CacheFileRead.Missing;
    }

    /// <summary>Takes out an item that failed its check.</summary>
    public void Drop(FrameKey key)
    {
        bool isFirst, liesOften;
        lock (_gate)
        {
            if (!_index.Remove(key.Value)) return;
            isFirst = ++_lies == 1;
            liesOften = _lies >= LiesMin && _lies > _reads / 4;
        }

        if (liesOften) SwitchOff(new IOException($"{_lies} of {_reads} frames read from it were not what had been written."));
        else if (isFirst) VolumeLog.CacheItemBad(_logger, _volume, _disk!.Name);
    }

    /// <summary>Offers what came from the store.</summary>
    /// <param name="key">Its name.</param>
    /// <param name="stored">The bytes, copied before the call returns.</param>
    /// <param name="isPrecious">It is taken in whatever the chances that it is needed again.</param>
    public void Offer(FrameKey key, ReadOnlySpan<byte> stored, bool isPrecious = false)
    {
        lock (_gate)
        {
            if (_state != State.Serving || _index.ContainsKey(key.Value)) return;
            if ((_filling?.Holds(key.Value) ?? false) || (_sealed?.Holds(key.Value) ?? false)) return;
            if (_isFull && !isPrecious)
            {
                _ghosts ??= new GhostTable((int)Math.Min(_lengthBytes / GhostBytes, 1 << 24));
                if (!_ghosts.Remove(key.Value))
                {
                    _ghosts.Add(key.Value);
                    return;
                }
            }

            Append(key.Value, stored);
        }
    }

    /// <summary>Writes what is still in memory, and closes the file.</summary>
    public async ValueTask DisposeAsync()
    {
        _stop.Cancel();
        _signal.Set();
        try
        {
            await _loop.WaitAsync(_timeout * 4, _time);
        }
        catch (TimeoutException)
        {
            return; // A disk that hangs keeps what it was given; closing a volume must not hang with it.
        }

        lock (_gate)
        {
            _state = State.Off;
            _index.Clear();
            if (!_isAbandoned)
            {
                _filling?.Dispose();
                _sealed?.Dispose();
                _spare?.Dispose();
            }

            (_filling, _sealed, _spare) = (null, null, null);
        }

        _disk?.Dispose();
        _stop.Dispose();
    }

    private void Append(ulong key, ReadOnlySpan<byte> stored)
    {
        _filling ??= new CacheRegion(_regionBytes);
        if (!_filling.TryAdd(key, stored.Length, out var content))
        {
            if (_sealed is not null || _filling.Items.Count == 0) return; // The disk is behind, or no region could hold it.
            (_sealed, _filling, _spare) = (_filling, _spare ?? new CacheRegion(_regionBytes), null);
            _signal.Set();
            if (!_filling.TryAdd(key, stored.Length, out content)) return;
        }

        stored.CopyTo(content);
    }

    private async Task RunAsync()
    {
        await _signal.WaitAsync(); // Not on the thread of whoever opens the volume.
        try
        {
            await OpenAsync();
            while (true)
            {
                if (TakeSealed(out var region)) await WriteAsync(region);
                else if (_stop.IsCancellationRequested) return;
                else await _signal.WaitAsync();
            }
        }
        catch (OperationCanceledException)
        {
            // Closed while it was being opened.
        }
        catch (Exception e)
        {
            SwitchOff(e); // Whatever it is: reads must go on.
        }
    }

    /// <summary>The next region to write; what is not full only when the file is being closed.</summary>
    private bool TakeSealed(out CacheRegion region)
    {
        lock (_gate)
        {
            if (_sealed is null && _stop.IsCancellationRequested && _state == State.Serving && _filling is { Items.Count: > 0 }) (_sealed, _filling) = (_filling, null);
            region = _sealed!;
            return _sealed is not null && _state == State.Serving;
        }
    }

    private async ValueTask OpenAsync()
    {
        if (_regions < 2) throw new IOException($"{_lengthBytes} bytes are too few for a cache file.");
        var kept = await OpenDiskAsync();
        if (kept is { } superblock) _fileId = superblock.FileId;
        using (var page = new NativeBuffer(CacheSuperblock.LengthBytes))
        {
            new CacheSuperblock(_volumeId, _fileId, _regionBytes, _history.Epoch, _history.Nonce).WriteTo(page.Span);
            var list = new ScatterList();
            list.Add(page);
            await WithinTimeout(_disk!.WriteAsync(list, 0));
            await WithinTimeout(_disk.FlushAsync());
        }

        if (kept is not null) await LoadAsync();
        lock (_gate) _state = State.Serving;
        VolumeLog.CacheFileOpened(_logger, _volume, _disk.Name, _lengthBytes, Count);
    }

    /// <summary>Opens the file, or makes it; the superblock of one whose content may be used.</summary>
    private async ValueTask<CacheSuperblock?> OpenDiskAsync()
    {
        _disk = _directory.Open(_name, _lengthBytes);
        var page = new byte[CacheSuperblock.LengthBytes];
        await WithinTimeout(_disk.ReadAsync(page, 0));
        var isOurs = CacheSuperblock.TryParse(page, out var superblock) && superblock.VolumeId == _volumeId && superblock.RegionBytes == _regionBytes && superblock.Epoch <= _history.Epoch;
        return isOurs && await ReadNonceAsync(superblock.Epoch) == superblock.EpochNonce ? superblock : null;
    }

    private async ValueTask<Guid?> ReadNonceAsync(long epoch)
    {
        while (true)
        {
            try
            {
                return await _history.ReadNonceAsync(epoch, _stop.Token);
            }
            catch (Exception e) when (e is not OperationCanceledException || !_stop.IsCancellationRequested)
            {
                await Task.Delay(_retryDelay, _time, _stop.Token); // The store is away; what the file holds is worth the wait.
            }
        }
    }

    private async ValueTask LoadAsync()
    {
        var table = new byte[CacheRegionTable.TableBytes(_regionBytes)];
        for (var region = 0; region < _regions; region++)
        {
            _stop.Token.ThrowIfCancellationRequested();
            await WithinTimeout(_disk!.ReadAsync(table, RegionOffset(region)));
            if (!CacheRegionTable.TryParse(table, _fileId, region, _regionBytes, out var parsed)) continue;
            lock (_gate)
            {
                _laps[region] = parsed.Lap;
                foreach (var item in parsed.Items)
                {
                    // Carried over from one region to another, it is in both tables.
                    if (!_index.TryGetValue(item.Key, out var other) || _laps[other.Region] < parsed.Lap)
                        _index[item.Key] = new Item(region, item.OffsetBytes, item.LengthBytes, false);
                }
            }
        }

        _lap = _laps.Max();
        _next = _lap == 0 ? 0 : (Array.IndexOf(_laps, _lap) + 1) % _regions;
        _isFull = _laps[_next] > 0;
    }

    private async ValueTask WriteAsync(CacheRegion content)
    {
        var region = _next;
        if (_laps[region] > 0) await ReclaimAsync(region);
        await WithinTimeout(_disk!.WriteAsync(content.Seal(_fileId, region, ++_lap), RegionOffset(region)));
        lock (_gate)
        {
            if (_state != State.Serving) return;
            foreach (var item in content.Items) _index[item.Key] = new Item(region, item.OffsetBytes, item.LengthBytes, false);
            _laps[region] = _lap;
            _next = (region + 1) % _regions;
            _isFull = _laps[_next] > 0;
            content.Reset();
            (_sealed, _spare) = (null, content);
        }
    }

    /// <summary>Takes a region's items out of the index and carries over those that were read, up to half a region.</summary>
    private async ValueTask ReclaimAsync(int region)
    {
        var table = new byte[CacheRegionTable.TableBytes(_regionBytes)];
        await WithinTimeout(_disk!.ReadAsync(table, RegionOffset(region)));
        var carried = new List<CacheItem>();
        var left = _regionBytes / 2;
        lock (_gate)
        {
            if (!CacheRegionTable.TryParse(table, _fileId, region, _regionBytes, out var parsed))
            {
                // Damaged since: its items are found the long way.
                foreach (var (key, _) in _index.Where(i => i.Value.Region == region).ToArray()) _index.Remove(key);
                return;
            }

            foreach (var item in parsed.Items)
            {
                if (!_index.TryGetValue(item.Key, out var indexed) || indexed.Region != region) continue;
                _index.Remove(item.Key);
                if (!indexed.WasRead || item.LengthBytes > left) continue;
                left -= item.LengthBytes;
                carried.Add(item);
            }
        }

        foreach (var item in carried)
        {
            var bytes = new byte[item.LengthBytes];
            await WithinTimeout(_disk.ReadAsync(bytes, RegionOffset(region) + item.OffsetBytes));
            lock (_gate)
            {
                if (_state == State.Serving && !(_filling?.Holds(item.Key) ?? false)) Append(item.Key, bytes);
            }
        }
    }

    /// <summary>Waits for the disk, but not for ever.</summary>
    private async ValueTask WithinTimeout(ValueTask operation)
    {
        if (operation.IsCompleted) await operation;
        else await operation.AsTask().WaitAsync(_timeout, _time);
    }

    private void SwitchOff(Exception cause)
    {
        lock (_gate)
        {
            if (_state == State.Off) return;
            _state = State.Off;
            _isAbandoned = cause is TimeoutException;
            _index.Clear();
        }

        var reason = cause is TimeoutException ? $"The disk did not answer within {_timeout}." : cause.Message;
        VolumeLog.CacheFileOff(_logger, _volume, _name, reason);
    }

    private long RegionOffset(int region) => CacheSuperblock.LengthBytes + ((long)region * _regionBytes);

    /// <summary>Where an item is.</summary>
    private readonly record struct Item(int Region, int OffsetBytes, int LengthBytes, bool WasRead)
    {
        public bool IsAt(in Item other) => Region == other.Region && OffsetBytes == other.OffsetBytes;
    }
}
