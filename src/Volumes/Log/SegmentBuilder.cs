using Gateway.Volumes.Formats;
using Gateway.Volumes.Journal;
using Gateway.Volumes.Map;

namespace Gateway.Volumes.Log;

/// <summary>A sealed segment, ready to be put.</summary>
internal sealed record BuiltSegment(SegmentHeader Header, SegmentIndexEntry[] Index, ReadOnlyMemory<byte> Content);

/// <summary>
/// Makes a segment of consecutive journal batches. Of blocks written more than once only the last content is kept (a segment takes effect
/// whole), and what remains is laid out by LBA, neighbours together in frames of up to 128 KiB.
/// </summary>
internal sealed class SegmentBuilder(VolumeRecord volume)
{
    private readonly List<ReadOnlyMemory<byte>> _batches = [];
    private readonly ExtentMap<BatchLocation> _extents = new((ulong)(volume.SizeBytes / volume.BlockSizeBytes), volume.BlockSizeBytes);
    private long _firstWrite;
    private long _lastWrite;

    /// <summary>Adds the next batch, whose checksums the caller has checked. <paramref name="content"/> stays unchanged until the build.</summary>
    public void Add(in JournalBatchHeader header, ReadOnlyMemory<byte> content)
    {
        if (_batches.Count == 0) _firstWrite = header.FirstWrite;
        _lastWrite = header.LastWrite;
        for (var i = 0; i < header.RecordCount; i++)
        {
            var record = JournalBatchHeader.RecordAt(content.Span, i);
            var location = record.Kind == JournalRecordKind.Zero
                ? BatchLocation.Zero
                : new BatchLocation(_batches.Count, record.DataOffsetBytes / volume.BlockSizeBytes);
            _extents.Set(record.Lba, record.Blocks, location);
        }

        _batches.Add(content);
    }

    public BuiltSegment Build(SegmentId id, Guid nonce, DateTimeOffset now)
    {
        var plan = PlanFrames(out var dataBytes);
        var seed = FrameHeader.Seed(volume.Id, id);
        var metadataBytes = SegmentHeader.HeaderLengthBytes + (plan.Count * SegmentIndexEntry.EntryLengthBytes);
        var content = new byte[metadataBytes + dataBytes + (plan.Count * (FrameHeader.HeaderLengthBytes + FrameHeader.AlignmentBytes))];
        var index = new SegmentIndexEntry[plan.Count];
        var end = metadataBytes;
        for (var i = 0; i < plan.Count; i++)
        {
            var frame = plan[i];
            var lengthBytes = frame.IsZero ? 0 : WriteFrame(content.AsSpan(end), frame, seed);
            index[i] = new SegmentIndexEntry(frame.Lba, frame.Blocks, frame.IsZero ? ExtentKind.Zero : ExtentKind.Data, frame.IsZero ? 0 : end, lengthBytes);
            index[i].WriteTo(content.AsSpan(SegmentHeader.HeaderLengthBytes + (i * SegmentIndexEntry.EntryLengthBytes)));
            end += (lengthBytes + FrameHeader.AlignmentBytes - 1) / FrameHeader.AlignmentBytes * FrameHeader.AlignmentBytes;
        }

        var indexCrc = Crc32C.Compute(content.AsSpan(SegmentHeader.HeaderLengthBytes, metadataBytes - SegmentHeader.HeaderLengthBytes));
        var header = new SegmentHeader(volume.Id, id, nonce, _firstWrite, _lastWrite, plan.Count, end, indexCrc, volume.BlockSizeBytes, now.ToUnixTimeMilliseconds());
        header.WriteTo(content);
        return new BuiltSegment(header, index, content.AsMemory(0, end));
    }

    /// <summary>Joins runs that follow each other into frames of at most 128 KiB, and zero runs into one extent.</summary>
    private List<PlannedFrame> PlanFrames(out int dataBytes)
    {
        var blocksMax = (uint)(FrameHeader.PayloadMaxBytes / volume.BlockSizeBytes);
        var frames = new List<PlannedFrame>();
        dataBytes = 0;
        foreach (var run in _extents.Runs())
        {
            if (run.Location.IsZero)
            {
                if (frames.Count > 0 && frames[^1] is { IsZero: true } zero && zero.End == run.Lba && zero.Blocks <= uint.MaxValue - run.Blocks)
                    zero.Blocks += run.Blocks;
                else
                    frames.Add(new PlannedFrame(run.Lba, isZero: true) { Blocks = run.Blocks });
                continue;
            }

            dataBytes += (int)run.Blocks * volume.BlockSizeBytes;
            for (uint done = 0; done < run.Blocks;)
            {
                if (frames.Count == 0 || frames[^1] is not { IsZero: false } frame || frame.End != run.Lba + done || frame.Blocks == blocksMax)
                {
                    frame = new PlannedFrame(run.Lba + done, isZero: false);
                    frames.Add(frame);
                }

                var take = Math.Min(run.Blocks - done, blocksMax - frame.Blocks);
                frame.Pieces.Add((run.Location.Advance(done), take));
                frame.Blocks += take;
                done += take;
            }
        }

        return frames;
    }

    private int WriteFrame(Span<byte> destination, PlannedFrame frame, uint seed)
    {
        var payload = destination[FrameHeader.HeaderLengthBytes..];
        var length = 0;
        foreach (var (location, blocks) in frame.Pieces)
        {
            var bytes = (int)blocks * volume.BlockSizeBytes;
            _batches[location.Batch].Span.Slice(location.Block * volume.BlockSizeBytes, bytes).CopyTo(payload[length..]);
            length += bytes;
        }

        var crc = Crc32C.Compute(payload[..length]);
        new FrameHeader(frame.Lba, frame.Blocks, FrameCodec.None, length, crc, crc).WriteTo(destination, seed);
        return FrameHeader.HeaderLengthBytes + length;
    }

    private sealed class PlannedFrame(ulong lba, bool isZero)
    {
        public ulong Lba { get; } = lba;

        public bool IsZero { get; } = isZero;

        public uint Blocks { get; set; }

        public ulong End => Lba + Blocks;

        public List<(BatchLocation Location, uint Blocks)> Pieces { get; } = [];
    }

    /// <summary>A block of a batch: data offsets in a batch are multiples of the block length.</summary>
    private readonly record struct BatchLocation(int Batch, int Block) : IExtentLocation<BatchLocation>
    {
        public static readonly BatchLocation Zero = new(-1, 0);

        public bool IsZero => Batch < 0;

        public BatchLocation Advance(uint blocks) => IsZero ? this : this with { Block = Block + (int)blocks };

        public bool IsContinuedBy(in BatchLocation next, uint blocks) => Batch == next.Batch && (IsZero || next.Block == Block + blocks);
    }
}
