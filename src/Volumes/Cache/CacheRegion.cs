using Gateway.Scsi;
using Gateway.Scsi.Interop;

namespace Gateway.Volumes.Cache;

/// <summary>A region that is being filled in memory, to be written at once. Guarded by its file.</summary>
internal sealed class CacheRegion(int regionBytes) : IDisposable
{
    private const int AlignmentBytes = 16;

    private readonly NativeBuffer _buffer = new(regionBytes);
    private readonly HashSet<ulong> _keys = [];
    private int _endBytes = CacheRegionTable.TableBytes(regionBytes);

    public List<CacheItem> Items { get; } = [];

    public bool Holds(ulong key) => _keys.Contains(key);

    /// <summary>Room for an item, to be filled at once; false if there is not enough.</summary>
    public bool TryAdd(ulong key, int lengthBytes, out Span<byte> content)
    {
        content = default;
        if (lengthBytes > regionBytes - _endBytes || Items.Count == CacheRegionTable.ItemsMax(regionBytes)) return false;
        content = _buffer.Span.Slice(_endBytes, lengthBytes);
        Items.Add(new CacheItem(key, _endBytes, lengthBytes));
        _keys.Add(key);
        _endBytes = (_endBytes + lengthBytes + AlignmentBytes - 1) / AlignmentBytes * AlignmentBytes;
        return true;
    }

    /// <summary>The region as it goes to the file, table first.</summary>
    public ScatterList Seal(Guid fileId, int region, long lap)
    {
        CacheRegionTable.Write(_buffer.Span[..CacheRegionTable.TableBytes(regionBytes)], fileId, region, lap, Items);
        var content = new ScatterList();
        content.Add(_buffer, Math.Min(_endBytes, regionBytes));
        return content;
    }

    public void Reset()
    {
        Items.Clear();
        _keys.Clear();
        _endBytes = CacheRegionTable.TableBytes(regionBytes);
    }

    public void Dispose() => _buffer.Dispose();
}
