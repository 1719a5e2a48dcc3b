using System.Runtime.InteropServices;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Frames;

namespace Gateway.Volumes.Log;

/// <summary>Makes a segment of blocks that older segments hold, so that those can be deleted. One segment for each builder.</summary>
internal sealed class MovedSegmentBuilder : IDisposable
{
    private readonly VolumeRecord _volume;
    private readonly SegmentBufferPool _pool;
    private readonly CompressionHistory _history;
    private readonly List<SegmentSealer.Extent> _extents = [];
    private readonly int _reserveBytes;
    private readonly int _dataMaxBytes;
    private byte[]? _buffer;
    private int _end;

    /// <param name="volume">The volume.</param>
    /// <param name="dataMaxBytes">Most data that it takes, a multiple of the block length.</param>
    /// <param name="history">What is known of the compressibility of cold data; one for all moved segments of a volume.</param>
    /// <param name="pool">Where its buffer comes from.</param>
    public MovedSegmentBuilder(VolumeRecord volume, int dataMaxBytes, CompressionHistory history, SegmentBufferPool pool)
    {
        _volume = volume;
        _dataMaxBytes = dataMaxBytes;
        _history = history;
        _pool = pool;
        var extentsMax = dataMaxBytes / volume.BlockSizeBytes;
        _reserveBytes = _end = SegmentSealer.ReserveBytes(extentsMax);
        _buffer = pool.Rent(_reserveBytes + dataMaxBytes + (extentsMax * FrameHeader.HeaderLengthBytes));
    }

    /// <summary>Bytes of blocks added so far.</summary>
    public int DataBytes { get; private set; }

    /// <summary>Adds blocks, which are copied. Neighbours share frames. False if there is no room for all of them; then none was added.</summary>
    /// <exception cref="ArgumentException">They do not come after the blocks added before, or are not whole blocks of the volume.</exception>
    public bool TryAdd(ulong lba, ReadOnlySpan<byte> blocks)
    {
        var buffer = _buffer ?? throw new ObjectDisposedException(nameof(MovedSegmentBuilder));
        var count = (uint)(blocks.Length / _volume.BlockSizeBytes);
        if (count == 0 || blocks.Length % _volume.BlockSizeBytes != 0) throw new ArgumentException($"{blocks.Length} bytes are not whole blocks.", nameof(blocks));
        if (_extents.Count > 0 && lba < _extents[^1].Lba + _extents[^1].Blocks) throw new ArgumentException($"Block {lba} is not behind the blocks added before.", nameof(lba));
        var capacityBlocks = _volume.CapacityBlocks;
        if (lba > capacityBlocks || count > capacityBlocks - lba) throw new ArgumentException($"Block {lba} and the {count} from there on are not all in the volume.", nameof(lba));
        if (blocks.Length > _dataMaxBytes - DataBytes) return false;

        var blocksMax = (uint)(FrameHeader.PayloadMaxBytes / _volume.BlockSizeBytes);
        for (uint done = 0, take; done < count; done += take)
        {
            var last = _extents.Count == 0 ? default : _extents[^1];
            if (_extents.Count == 0 || last.Lba + last.Blocks != lba + done || last.Blocks == blocksMax)
            {
                last = new SegmentSealer.Extent(lba + done, 0, _end += FrameHeader.HeaderLengthBytes);
                _extents.Add(last);
            }

            take = Math.Min(count - done, blocksMax - last.Blocks);
            _extents[^1] = last with { Blocks = last.Blocks + take };
            var length = (int)take * _volume.BlockSizeBytes;
            blocks.Slice((int)done * _volume.BlockSizeBytes, length).CopyTo(buffer.AsSpan(_end));
            _end += length;
        }

        DataBytes += blocks.Length;
        return true;
    }

    /// <summary>Seals what was added; the builder is of no further use.</summary>
    /// <param name="id">The segment's name.</param>
    /// <param name="nonce">Random for every segment built.</param>
    /// <param name="now">The time, for people.</param>
    /// <param name="lastWrite">Last write of the segment before it in the log.</param>
    /// <param name="coveredSequence">The last sequence that the map held when the blocks were chosen.</param>
    public BuiltSegment Build(SegmentId id, Guid nonce, DateTimeOffset now, long lastWrite, long coveredSequence)
    {
        var buffer = _buffer ?? throw new ObjectDisposedException(nameof(MovedSegmentBuilder));
        using var sealer = new SegmentSealer();
        var identity = new SegmentSealer.Identity(_volume, id, nonce, now, SegmentKind.Moved, lastWrite + 1, lastWrite, coveredSequence);
        var segment = sealer.Seal(identity, CollectionsMarshal.AsSpan(_extents), buffer, _reserveBytes, _volume.Compression, _history, _pool);
        _buffer = null; // The segment's now.
        return segment;
    }

    /// <summary>Gives the buffer back, unless a segment has it.</summary>
    public void Dispose()
    {
        if (_buffer is null) return;
        _pool.Return(_buffer);
        _buffer = null;
    }
}
