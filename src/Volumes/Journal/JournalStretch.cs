namespace Gateway.Volumes.Journal;

/// <summary>One or more batches that follow each other in the journal without padding between them: all that must be kept of them to find them again.</summary>
/// <param name="Position">Where the first one starts.</param>
/// <param name="EndPosition">Where the last one ends.</param>
/// <param name="FirstWrite">Number of the first write.</param>
/// <param name="LastWrite">Number of the last write.</param>
/// <param name="BatchCount">How many there are.</param>
/// <param name="DataBytes">Sum of their records' data.</param>
internal readonly record struct JournalStretch(long Position, long EndPosition, long FirstWrite, long LastWrite, int BatchCount, long DataBytes)
{
    public JournalStretch(in JournalBatch batch)
        : this(batch.Header.Position, batch.Header.EndPosition, batch.Header.FirstWrite, batch.Header.LastWrite, 1, batch.DataBytes)
    {
    }

    public int RecordCount => (int)(LastWrite - FirstWrite + 1);

    public long LengthBytes => EndPosition - Position;

    public bool IsContinuedBy(in JournalBatch batch) => batch.Header.Position == EndPosition && batch.Header.FirstWrite == LastWrite + 1;

    public JournalStretch ContinuedBy(in JournalBatch batch) =>
        this with { EndPosition = batch.Header.EndPosition, LastWrite = batch.Header.LastWrite, BatchCount = BatchCount + 1, DataBytes = DataBytes + batch.DataBytes };
}
