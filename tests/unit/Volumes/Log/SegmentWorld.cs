using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Tests.Shared;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Frames;
using Gateway.Volumes.Journal;
using Gateway.Volumes.Log;
using Xunit;

namespace Gateway.Volumes.Tests.Log;

/// <summary>A journal that tests write batches into, the segments built of them, and what these must hold.</summary>
internal sealed class SegmentWorld : IDisposable
{
    private readonly Dictionary<ulong, byte[]?> _blocks = [];
    private long _nextWrite = 1;

    private SegmentWorld(VolumeRecord volume, SimulatedDisk disk, JournalFile journal)
    {
        Volume = volume;
        Disk = disk;
        Journal = journal;
        Builder = new SegmentBuilder(volume, journal, Pool);
    }

    public VolumeRecord Volume { get; }

    public SimulatedDisk Disk { get; }

    public JournalFile Journal { get; }

    public SegmentBufferPool Pool { get; } = new(64 << 20);

    public SegmentBuilder Builder { get; }

    public List<JournalBatch> Batches { get; } = [];

    public static SegmentId Id => new(3, 7);

    public static Guid Nonce { get; } = new("11111111-2222-3333-4444-555555555555");

    public static async Task<SegmentWorld> CreateAsync(int blockBytes = 512, VolumeCompression compression = VolumeCompression.Lz4, int journalBytes = 20 << 20, long volumeBytes = 1L << 30)
    {
        var codec = VolumeCompressionNames.NameOf(compression);
        var volume = new VolumeRecord
        {
            Name = "v",
            Id = new Guid("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"),
            SizeBytes = volumeBytes,
            BlockSizeBytes = blockBytes,
            PhysicalBlockSizeBytes = 4096,
            CreatedAt = DateTimeOffset.UnixEpoch,
            Features = [codec],
            CompressionName = codec,
        };
        var disk = new SimulatedDisk("disk", new byte[journalBytes]);
        return new SegmentWorld(volume, disk, await JournalFile.CreateAsync(disk, volume.Id, Nonce, 0));
    }

    /// <summary>Appends one batch; a write without data zeroes one block.</summary>
    public async Task AppendAsync(params (ulong Lba, byte[]? Data)[] writes) =>
        await AppendAsync(Array.ConvertAll(writes, w => (w.Lba, w.Data, w.Data is null ? 1u : (uint)(w.Data.Length / Volume.BlockSizeBytes))));

    /// <summary>Appends one batch; a write without data zeroes its blocks.</summary>
    public async Task AppendAsync((ulong Lba, byte[]? Data, uint Blocks)[] writes)
    {
        var dataBytes = writes.Sum(w => w.Data?.Length ?? 0);
        var length = (JournalBatchHeader.PageBytes + dataBytes + JournalBatchHeader.PageBytes - 1) / JournalBatchHeader.PageBytes * JournalBatchHeader.PageBytes;
        if (Journal.RoomToEnd < length) Journal.SkipTo(Journal.Head + Journal.RoomToEnd);
        using var batch = new NativeBuffer(length);
        var end = JournalBatchHeader.PageBytes;
        for (var i = 0; i < writes.Length; i++)
        {
            var (lba, data, blocks) = writes[i];
            var record = data is null
                ? new JournalRecord(lba, blocks, JournalRecordKind.Zero, 0, 0, 0)
                : new JournalRecord(lba, blocks, JournalRecordKind.Data, end, data.Length, Crc32C.Compute(data));
            record.WriteTo(batch.Span[(JournalBatchHeader.HeaderLengthBytes + (i * JournalRecord.RecordLengthBytes))..]);
            data?.CopyTo(batch.Span[end..]);
            end += data?.Length ?? 0;
            for (uint b = 0; b < blocks; b++) _blocks[lba + b] = data?.AsSpan((int)b * Volume.BlockSizeBytes, Volume.BlockSizeBytes).ToArray();
        }

        var header = new JournalBatchHeader(Journal.Head, 1, _nextWrite, 0, length, writes.Length);
        header.WriteTo(batch.Span[..JournalBatchHeader.PageBytes], Journal.Seed);
        var list = new ScatterList();
        list.Add(batch);
        await Journal.AppendAsync(list);
        Batches.Add(new JournalBatch(header, dataBytes));
        _nextWrite += writes.Length;
    }

    public async Task<BuiltSegment> BuildAsync() => await Builder.BuildAsync(Stretches(), Id, Nonce, DateTimeOffset.UnixEpoch);

    /// <summary>The batches, several at a time where they follow each other.</summary>
    private List<JournalStretch> Stretches()
    {
        const int BatchesMax = 3;
        var stretches = new List<JournalStretch>();
        foreach (var batch in Batches)
        {
            if (stretches.Count > 0 && stretches[^1].BatchCount < BatchesMax && stretches[^1].IsContinuedBy(batch)) stretches[^1] = stretches[^1].ContinuedBy(batch);
            else stretches.Add(new JournalStretch(batch));
        }

        return stretches;
    }

    /// <summary>The segment, read as a reader reads it, holds exactly what the batches' writes left.</summary>
    public void AssertHolds(BuiltSegment segment) => AssertHolds(segment, Volume, _blocks);

    public static void AssertHolds(BuiltSegment segment, VolumeRecord volume, Dictionary<ulong, byte[]?> expected)
    {
        var blockBytes = volume.BlockSizeBytes;
        var blob = segment.Content.Span;
        var header = SegmentHeader.Parse(blob, "segment");
        Assert.Equal(segment.Header, header);
        Assert.Equal(blob.Length, header.LengthBytes);
        Assert.Equal(0, blob.Length % FrameHeader.AlignmentBytes);
        var index = SegmentIndexEntry.ParseIndex(blob[SegmentHeader.HeaderLengthBytes..header.MetadataLengthBytes], header, (ulong)(volume.SizeBytes / blockBytes), "segment");
        Assert.Equal(segment.Index, index);
        var seed = FrameHeader.Seed(volume.Id, header.Id);
        var plain = new byte[FrameHeader.PayloadMaxBytes];
        var held = new HashSet<ulong>();
        ulong endLba = 0;
        var end = header.MetadataLengthBytes;
        foreach (var entry in index)
        {
            Assert.True(entry.Lba >= endLba, "Entries are sorted and do not overlap.");
            endLba = entry.Lba + entry.Blocks;
            if (entry.Kind == ExtentKind.Data)
            {
                Assert.Equal(end, entry.FrameOffsetBytes); // One behind the other: nothing of an earlier build shows between them.
                end += FrameHeader.PaddedLength(entry.FrameLengthBytes);
                Assert.False(blob[(entry.FrameOffsetBytes + entry.FrameLengthBytes)..end].ContainsAnyExcept((byte)0));
                var frame = blob.Slice(entry.FrameOffsetBytes, FrameHeader.PaddedLength(entry.FrameLengthBytes));
                Assert.True(FrameDecoder.TryDecode(frame, seed, blockBytes, plain, out var frameHeader));
                Assert.Equal((entry.Lba, entry.Blocks, entry.FrameLengthBytes), (frameHeader.Lba, frameHeader.Blocks, frameHeader.FrameLengthBytes));
            }

            for (uint b = 0; b < entry.Blocks; b++)
            {
                Assert.True(expected.TryGetValue(entry.Lba + b, out var block), $"Block {entry.Lba + b} was never written.");
                var actual = entry.Kind == ExtentKind.Data ? plain.AsSpan((int)b * blockBytes, blockBytes) : new byte[blockBytes];
                if (!actual.SequenceEqual(block ?? new byte[blockBytes])) Assert.Fail($"Block {entry.Lba + b} differs.");
                held.Add(entry.Lba + b);
            }
        }

        Assert.Equal(expected.Count, held.Count);
        Assert.Equal(blob.Length, end);
    }

    public void Dispose() => Journal.Dispose();
}
