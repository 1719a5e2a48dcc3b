using BenchmarkDotNet.Attributes;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Journal;
using Gateway.Volumes.Log;

namespace Gateway.Microbenchmarks;

/// <summary>What does building a segment of 8 MiB cost, of neighbouring blocks and of scattered ones?</summary>
[MemoryDiagnoser]
public class SegmentBenchmarks
{
    private const int Batches = 32;
    private const int RecordsPerBatch = 64;
    private const int BlockBytes = 4096;

    private readonly VolumeRecord _volume = new()
    {
        Id = new Guid("00000000-0000-4000-8000-000000000001"),
        Name = "v",
        SizeBytes = 1L << 30,
        BlockSizeBytes = BlockBytes,
        PhysicalBlockSizeBytes = BlockBytes,
        CreatedAt = DateTimeOffset.UnixEpoch,
    };

    private readonly (JournalBatchHeader Header, byte[] Content)[] _batches = new (JournalBatchHeader, byte[])[Batches];

    [Params(false, true)]
    public bool Scattered { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        var random = new Random(1);
        for (var batch = 0; batch < Batches; batch++)
        {
            var content = new byte[(RecordsPerBatch + 1) * BlockBytes];
            random.NextBytes(content);
            for (var i = 0; i < RecordsPerBatch; i++)
            {
                var lba = Scattered ? (ulong)random.Next(1 << 18) : (ulong)(batch * RecordsPerBatch + i);
                new JournalRecord(lba, 1, JournalRecordKind.Data, (i + 1) * BlockBytes, BlockBytes, 0).WriteTo(content.AsSpan(JournalBatchHeader.HeaderLengthBytes + i * JournalRecord.RecordLengthBytes));
            }

            var header = new JournalBatchHeader(0, 1, batch * RecordsPerBatch + 1, 0, content.Length, RecordsPerBatch);
            header.WriteTo(content, 0);
            _batches[batch] = (header, content);
        }
    }

    [Benchmark]
    public int Build()
    {
        var builder = new SegmentBuilder(_volume);
        foreach (var (header, content) in _batches) builder.Add(header, content);
        return builder.Build(new SegmentId(1, 1), Guid.Empty, DateTimeOffset.UnixEpoch).Content.Length;
    }
}
