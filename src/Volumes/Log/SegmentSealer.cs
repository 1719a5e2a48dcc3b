using System.Diagnostics;
using System.Runtime.InteropServices;
using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Frames;

namespace Gateway.Volumes.Log;

/// <summary>
/// Turns blocks that lie in a buffer into a segment, in the same buffer. The caller has placed each extent of data behind a gap of 32
/// bytes, in order of LBA; from front to back, zeroes are taken out, what remains is compressed where that pays, and moves down behind the frame before it.
/// </summary>
/// <remarks>
/// <code>
/// | reserve        | gap | blocks | gap | blocks        | gap | blocks |      as placed
///      | header | index | frame | frame | frame |                            as sealed
/// </code>
/// A frame never takes more room than its gap and its blocks, so writing never catches up with what is not yet read; data that
/// neither shrinks nor holds zeroes is not moved at all. The index grows to the front, into the reserve, once its length is known.
/// One user at a time; allocates nothing but the index.
/// </remarks>
internal sealed class SegmentSealer : IDisposable
{
    private readonly FrameCompressor _compressor = new();
    private readonly List<SegmentIndexEntry> _index = [];

    /// <summary>An extent as the caller has placed it.</summary>
    /// <param name="Lba">First block.</param>
    /// <param name="Blocks">Number of blocks; of data, 128 KiB at most.</param>
    /// <param name="PayloadOffset">Where its blocks are in the buffer, a multiple of 16; -1: zeroes.</param>
    /// <param name="Crc">The checksum that its blocks had when they came, if they came together.</param>
    public readonly record struct Extent(ulong Lba, uint Blocks, int PayloadOffset, uint? Crc = null);

    /// <summary>What the segment is; the header's remaining fields follow from its content.</summary>
    public readonly record struct Identity(
        VolumeRecord Volume, SegmentId Id, Guid Nonce, DateTimeOffset Now, SegmentKind Kind, long FirstWrite, long LastWrite, long CoveredSequence);

    /// <summary>Most index entries that an extent can turn into.</summary>
    public static int EntriesMax(int dataLengthBytes, int blockLengthBytes) =>
        1 + (2 * ((dataLengthBytes + blockLengthBytes) / (ZeroRuns.RunMinBytes + blockLengthBytes)));

    /// <summary>Bytes to leave before the first extent for so many index entries.</summary>
    public static int ReserveBytes(int entriesMax) => SegmentHeader.HeaderLengthBytes + (entriesMax * SegmentIndexEntry.EntryLengthBytes);

    /// <summary>Seals the extents, and hands the buffer over to the segment.</summary>
    /// <param name="identity">What the segment is.</param>
    /// <param name="extents">Sorted by LBA, without overlap.</param>
    /// <param name="buffer">Where their blocks are.</param>
    /// <param name="reserveBytes">Where the first gap starts: <see cref="ReserveBytes"/> for all <see cref="EntriesMax"/>.</param>
    /// <param name="compression">How to compress.</param>
    /// <param name="history">What is known of the volume's data.</param>
    /// <param name="pool">Where the buffer comes from.</param>
    public BuiltSegment Seal(
        in Identity identity, ReadOnlySpan<Extent> extents, byte[] buffer, int reserveBytes, VolumeCompression compression, CompressionHistory history, SegmentBufferPool pool)
    {
        _index.Clear();
        var frames = new FrameWriter(buffer, reserveBytes, FrameHeader.Seed(identity.Volume.Id, identity.Id), compression, history, _compressor, _index);
        foreach (var extent in extents)
        {
            if (extent.PayloadOffset < 0) AddZeroes(extent.Lba, extent.Blocks);
            else AddData(ref frames, extent, identity);
        }

        var start = reserveBytes - ReserveBytes(_index.Count);
        if (start < 0) throw new UnreachableException("The index takes more than was reserved for it.");
        var index = _index.ToArray();
        for (var i = 0; i < index.Length; i++)
        {
            if (index[i].Kind == ExtentKind.Data) index[i] = index[i] with { FrameOffsetBytes = index[i].FrameOffsetBytes - start };
            index[i].WriteTo(buffer.AsSpan(start + ReserveBytes(i)));
        }

        var indexCrc = Crc32C.Compute(buffer.AsSpan((start + SegmentHeader.HeaderLengthBytes)..reserveBytes));
        var header = new SegmentHeader(
            identity.Volume.Id, identity.Id, identity.Nonce, identity.FirstWrite, identity.LastWrite, index.Length, frames.End - start, indexCrc,
            identity.Volume.BlockSizeBytes, identity.Now.ToUnixTimeMilliseconds(), identity.Kind, identity.CoveredSequence);
        header.WriteTo(buffer.AsSpan(start));
        return new BuiltSegment(header, index, buffer, start, pool);
    }

    public void Dispose() => _compressor.Dispose();

    /// <summary>Data with its zeroes taken out. A moved segment keeps them: it applies block by block, and only data can be told apart so.</summary>
    private void AddData(ref FrameWriter frames, in Extent extent, in Identity identity)
    {
        var blockLength = identity.Volume.BlockSizeBytes;
        var length = (int)extent.Blocks * blockLength;
        var blocks = frames.Buffer.AsSpan(extent.PayloadOffset, length);
        var misalignment = (int)(extent.Lba * (ulong)blockLength % ZeroRuns.RunMinBytes);
        for (var at = 0; at < length;)
        {
            var (zeroes, zeroLength) = (length, 0);
            if (identity.Kind == SegmentKind.Log && ZeroRuns.TryFind(blocks, misalignment, at, out var found, out var foundLength)) (zeroes, zeroLength) = (found, foundLength);
            var crc = at == 0 && zeroes == length ? extent.Crc : null;
            if (zeroes > at) frames.Write(extent.Lba + (ulong)(at / blockLength), extent.PayloadOffset + at, zeroes - at, blockLength, crc);
            if (zeroLength > 0) AddZeroes(extent.Lba + (ulong)(zeroes / blockLength), (uint)(zeroLength / blockLength));
            at = zeroes + zeroLength;
        }
    }

    private void AddZeroes(ulong lba, uint blocks)
    {
        if (_index.Count > 0)
        {
            ref var last = ref CollectionsMarshal.AsSpan(_index)[^1];
            if (last.Kind == ExtentKind.Zero && last.Lba + last.Blocks == lba && last.Blocks <= uint.MaxValue - blocks)
            {
                last = last with { Blocks = last.Blocks + blocks };
                return;
            }
        }

        _index.Add(new SegmentIndexEntry(lba, blocks, ExtentKind.Zero, 0, 0));
    }

    /// <summary>Writes frames one behind the other, into a buffer that holds their blocks further back.</summary>
    private ref struct FrameWriter(
        byte[] buffer, int start, uint seed, VolumeCompression compression, CompressionHistory history, FrameCompressor compressor, List<SegmentIndexEntry> index)
    {
        public readonly byte[] Buffer => buffer;

        /// <summary>Where the next frame goes; a multiple of 16 from the first one on.</summary>
        public int End { get; private set; } = start;

        public void Write(ulong lba, int payloadOffset, int lengthBytes, int blockLengthBytes, uint? crc)
        {
            var payload = End + FrameHeader.HeaderLengthBytes;
            if (payload > payloadOffset) throw new UnreachableException("A frame would overwrite blocks that are not in a frame yet.");
            var blocks = buffer.AsSpan(payloadOffset, lengthBytes);
            var plainCrc = crc ?? Crc32C.Compute(blocks);
            var storedCrc = plainCrc;
            if (compressor.TryCompress(blocks, compression, history, out var codec, out var stored))
            {
                storedCrc = Crc32C.Compute(stored);
                stored.CopyTo(buffer.AsSpan(payload));
                lengthBytes = stored.Length;
            }
            else if (payload != payloadOffset)
            {
                blocks.CopyTo(buffer.AsSpan(payload)); // Downwards; CopyTo allows for the overlap.
            }

            var header = new FrameHeader(lba, (uint)(blocks.Length / blockLengthBytes), codec, lengthBytes, storedCrc, plainCrc);
            header.WriteTo(buffer.AsSpan(End), seed);
            index.Add(new SegmentIndexEntry(lba, header.Blocks, ExtentKind.Data, End, header.FrameLengthBytes));
            var end = End + FrameHeader.PaddedLength(header.FrameLengthBytes);
            buffer.AsSpan((payload + lengthBytes)..end).Clear();
            End = end;
        }
    }
}
