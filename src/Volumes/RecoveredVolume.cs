using Gateway.Backends.Core;
using Gateway.Volumes.Checkpoints;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Journal;
using Gateway.Volumes.Log;
using Gateway.Volumes.Map;

namespace Gateway.Volumes;

/// <summary>What an opening has found: the bucket's log, the journal, and the maps that both make.</summary>
internal sealed class RecoveredVolume : IDisposable
{
    private readonly IBlobStore _store;
    private readonly int _blockLengthBytes;

    public RecoveredVolume(LogState state, JournalFile journal, IBlobStore store)
    {
        State = state;
        Journal = journal;
        _store = store;
        _blockLengthBytes = state.Volume.BlockSizeBytes;
        Bucket = new BucketIndex(state.Volume);
        Loader = new MapLoader(store, state.Volume, state.Keys, Bucket, Gate);
        JournalMap = new ExtentMap<JournalLocation>((ulong)(state.Volume.SizeBytes / _blockLengthBytes), _blockLengthBytes);
    }

    public LogState State { get; }

    public JournalFile Journal { get; }

    /// <summary>Guards both maps, here and in the volume that is made of this.</summary>
    public Lock Gate { get; } = new();

    public BucketIndex Bucket { get; }

    public MapLoader Loader { get; }

    public ExtentMap<JournalLocation> JournalMap { get; }

    /// <summary>Batches that are not in the bucket yet.</summary>
    public List<JournalBatch> Pending { get; } = [];

    /// <summary>The last write in the bucket.</summary>
    public long BucketWrite => Bucket.LastWrite;

    public long NextWrite { get; private set; } = 1;

    /// <summary>Loads the checkpoint and replays the log behind it.</summary>
    /// <exception cref="VolumeException">Something is damaged.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public async Task LoadAsync(CancellationToken cancellationToken)
    {
        if (State.Root is { } root) await Bucket.RestoreAsync(root, Loader, cancellationToken);
        await foreach (var (header, index) in State.ReadLogAsync(_store, cancellationToken))
        {
            while (Bucket.TryGetMissing(header, index, out var missing)) await Loader.LoadAsync([missing], cancellationToken);
            Bucket.Apply(header, index);
        }

        NextWrite = BucketWrite + 1;
    }

    /// <summary>True if a batch of a journal that last served epoch <paramref name="served"/> is in the bucket: its own epoch or a later one sent it.</summary>
    public bool Holds(in JournalBatchHeader batch, long served) =>
        batch.LastWrite <= Bucket.Epochs.LastWriteUpTo(served) && batch.FirstWrite > Bucket.Epochs.LastWriteUpTo(batch.Epoch - 1);

    public void AddBatch(in JournalBatch batch, ReadOnlySpan<byte> content)
    {
        Apply(JournalMap, batch.Header, content, _blockLengthBytes);
        Pending.Add(batch);
        NextWrite = batch.Header.LastWrite + 1;
    }

    /// <summary>Takes a batch's records into the journal's map.</summary>
    public static void Apply(ExtentMap<JournalLocation> map, in JournalBatchHeader header, ReadOnlySpan<byte> page, int blockLengthBytes)
    {
        for (var n = 0; n < header.RecordCount; n++)
        {
            var i = Mutation.ReplayedBackwards ? header.RecordCount - 1 - n : n;
            var record = JournalBatchHeader.RecordAt(page, i);
            var location = record.Kind == JournalRecordKind.Zero
                ? JournalLocation.Zero(header.FirstWrite + i)
                : new JournalLocation(header.FirstWrite + i, header.Position + record.DataOffsetBytes, record.DataCrc, (ushort)(record.DataLengthBytes / blockLengthBytes), 0);
            map.Set(record.Lba, record.Blocks, location);
        }
    }

    public void Dispose() => Journal.Dispose();
}
