using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Volumes.Formats;

namespace Gateway.Volumes.Journal;

/// <summary>Lays queued writes out as one batch: a page of records, then their data as it lies in the commands' buffers. Not thread safe.</summary>
/// <remarks>A record whose data is all zero becomes one without data, before it costs space in the journal or in the bucket.</remarks>
internal sealed class BatchEncoder(int blockLengthBytes) : IDisposable
{
    private readonly NativeBuffer _page = new(JournalBatchHeader.PageBytes);
    private readonly NativeBuffer _fill = new(JournalBatchHeader.PageBytes);

    /// <summary>The batch, with its page to be sealed by <see cref="Seal"/>. A multiple of 4,096 bytes.</summary>
    public ScatterList Content { get; } = new();

    public ReadOnlySpan<byte> Page => _page.Span;

    public int RecordCount { get; private set; }

    /// <summary>Sum of the records' data.</summary>
    public int DataBytes { get; private set; }

    public void Encode(List<AppendRequest> requests)
    {
        Begin();
        foreach (var request in requests)
        {
            if (request.Source is not { } source)
            {
                Put(new JournalRecord(request.Range.Lba, request.Range.Blocks, JournalRecordKind.Zero, 0, 0, 0));
                continue;
            }

            for (var done = 0; done < source.LengthBytes;)
            {
                var length = Math.Min(source.LengthBytes - done, JournalFile.RecordDataMaxBytes);
                Put(source, done, length, request.Range.Lba + (ulong)(done / blockLengthBytes));
                done += length;
            }
        }

        DataBytes = Content.LengthBytes - JournalBatchHeader.PageBytes;
        Content.Add(_fill, -Content.LengthBytes & (JournalBatchHeader.PageBytes - 1));
    }

    /// <summary>Lays out a batch of no records: one page, whatever length its header will tell.</summary>
    public void EncodePadding()
    {
        Begin();
        DataBytes = 0;
    }

    /// <summary>Puts the header in place, and the checksum over it and the records.</summary>
    public void Seal(in JournalBatchHeader header, uint seed) => header.WriteTo(_page.Span, seed);

    public void Dispose()
    {
        _page.Dispose();
        _fill.Dispose();
    }

    private void Begin()
    {
        Content.Reset();
        Content.Add(_page);
        _page.Span.Clear();
        RecordCount = 0;
    }

    private void Put(ScatterList source, int offsetBytes, int lengthBytes, ulong lba)
    {
        var blocks = (uint)(lengthBytes / blockLengthBytes);
        if (IsZero(source, offsetBytes, lengthBytes))
        {
            Put(new JournalRecord(lba, blocks, JournalRecordKind.Zero, 0, 0, 0));
            return;
        }

        Put(new JournalRecord(lba, blocks, JournalRecordKind.Data, Content.LengthBytes, lengthBytes, Checksum(source, offsetBytes, lengthBytes)));
        Content.AddSlice(source, offsetBytes, lengthBytes);
    }

    private void Put(in JournalRecord record) =>
        record.WriteTo(_page.Span[(JournalBatchHeader.HeaderLengthBytes + (RecordCount++ * JournalRecord.RecordLengthBytes))..]);

    /// <summary>Ends at the first byte that is not zero, and so costs nearly nothing for data.</summary>
    private static bool IsZero(ScatterList source, int offsetBytes, int lengthBytes)
    {
        var walker = new ScatterList.Walker(source, offsetBytes, lengthBytes);
        while (walker.MoveNext(out var piece))
            if (piece.ContainsAnyExcept((byte)0)) return false;
        return true;
    }

    private static uint Checksum(ScatterList source, int offsetBytes, int lengthBytes)
    {
        uint crc = 0;
        var walker = new ScatterList.Walker(source, offsetBytes, lengthBytes);
        while (walker.MoveNext(out var piece)) crc = Crc32C.Compute(piece, crc);
        return crc;
    }
}
