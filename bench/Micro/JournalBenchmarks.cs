using BenchmarkDotNet.Attributes;
using Gateway.Volumes.Journal;

namespace Gateway.Microbenchmarks;

/// <summary>What does laying out a batch cost, of one write and of many?</summary>
[MemoryDiagnoser]
public class JournalBenchmarks
{
    private readonly byte[] _page = new byte[JournalBatchHeader.PageBytes];

    [Params(1, 32, JournalBatchHeader.RecordsMax)]
    public int Records { get; set; }

    [Benchmark]
    public void EncodeBatch()
    {
        for (var i = 0; i < Records; i++)
        {
            var record = new JournalRecord((ulong)i * 8, 1, JournalRecordKind.Data, (i + 1) * 4096, 4096, (uint)i);
            record.WriteTo(_page.AsSpan(JournalBatchHeader.HeaderLengthBytes + i * JournalRecord.RecordLengthBytes));
        }

        new JournalBatchHeader(4096, 1, 1, 0, (Records + 1) * 4096, Records).WriteTo(_page, 1);
    }
}
