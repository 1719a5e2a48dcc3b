using Gateway.Backends.Core;
using Gateway.Tests.Shared;
using Gateway.Tests.Shared.Stores;
using Gateway.Volumes.Checkpoints;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Log;
using Gateway.Volumes.Map;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Volumes.Tests.Checkpoints;

/// <summary>A bucket's index and its checkpoints, without a volume around them: segments are headers that nobody stored.</summary>
internal sealed class CheckpointWorld
{
    public const int BlockBytes = 4096;
    public const int SpanBlocks = BucketMap.LeafSpanBytes / BlockBytes;

    private readonly Dictionary<ulong, long> _model = [];
    private int _nonce;
    private Checkpointer _checkpointer = null!;

    public CheckpointWorld(long sizeBytes = 64L << 30)
    {
        Volume = new VolumeRecord
        {
            Name = VolumeWorld.Name,
            Id = new Guid("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"),
            SizeBytes = sizeBytes,
            BlockSizeBytes = BlockBytes,
            PhysicalBlockSizeBytes = 4096,
            CreatedAt = DateTimeOffset.UnixEpoch,
        };
        Store = new FaultyBlobStore(Memory, 1, TimeProvider.System);
        Index = null!;
        Loader = null!;
        Start();
    }

    public VolumeRecord Volume { get; }

    public VolumeKeys Keys { get; } = new(VolumeWorld.Name);

    public MemoryBlobStore Memory { get; } = new();

    public FaultyBlobStore Store { get; }

    public Lock Gate { get; } = new();

    public BucketIndex Index { get; private set; }

    public MapLoader Loader { get; private set; }

    public StoreWriter Writer { get; private set; } = null!;

    public long Epoch { get; private set; }

    public VolumeOptions Options { get; } = new() { RetryDelayMin = TimeSpan.FromTicks(1), RetryDelayMax = TimeSpan.FromTicks(1) };

    /// <summary>The next log segment: one block for each place.</summary>
    public void Commit(params ulong[] lbas)
    {
        var id = new SegmentId(Epoch, Index.Position.Sequence + 1);
        var entries = lbas.Select((lba, i) => new SegmentIndexEntry(lba, 1, ExtentKind.Data, 4096 * (i + 1), 4096)).ToArray();
        var header = new SegmentHeader(Volume.Id, id, default, Index.LastWrite + 1, Index.LastWrite + 1, entries.Length, 64 << 20, 0, BlockBytes, 0);
        lock (Gate) Index.Apply(header, entries);
        foreach (var lba in lbas) _model[lba] = id.Sequence;
    }

    public Task<Checkpointer.Superseded> CheckpointAsync(CancellationToken cancellationToken = default) => _checkpointer.RunAsync(cancellationToken);

    /// <summary>Writes a checkpoint, and removes what it freed.</summary>
    public async Task CheckpointAndRemoveAsync()
    {
        var superseded = await CheckpointAsync();
        if (superseded.Root is { } root) Memory.Blobs.Remove(root.Value);
        foreach (var blob in superseded.MapBlobs) Memory.Blobs.Remove(blob.Value);
        lock (Gate)
            foreach (var id in superseded.Segments) Index.Segments.Remove((uint)id.Sequence);
    }

    /// <summary>Forgets everything but the bucket, and goes on from its newest checkpoint as the next epoch.</summary>
    public async Task RestartAsync()
    {
        var name = Names(Keys.CheckpointPrefix).Max(StringComparer.Ordinal);
        Start();
        if (name is not null) await Index.RestoreAsync(CheckpointRoot.Decode(Memory.Blobs[name], name), Loader, default);
    }

    public string[] Names(string prefix) => [.. Memory.Blobs.Keys.Where(k => k.StartsWith(prefix, StringComparison.Ordinal)).Order(StringComparer.Ordinal)];

    /// <summary>Every block is where it was put last.</summary>
    public async Task AssertMapAsync()
    {
        foreach (var lba in _model.Keys.ToArray())
        {
            await Loader.LoadAsync(lba, default);
            Assert.Equal(MapAnswer.Data, Index.Map.Find(lba, 1, out _, out var location));
            Assert.Equal(_model[lba], location.Sequence);
        }
    }

    private void Start()
    {
        Epoch++;
        Memory.Blobs[Keys.Epoch(Epoch).Value] = [1]; // Whose record is gone was fenced long ago.
        Index = new BucketIndex(Volume);
        Loader = new MapLoader(Store, Volume, Keys, Index, Gate);
        Writer = new StoreWriter(Store, Volume, Keys, Epoch, Options, TimeProvider.System, new Random(1), NullLogger.Instance);
        _checkpointer = new Checkpointer(Writer, Volume, Keys, Epoch, Index, Gate, new AsyncMutex(), Loader, () => new Guid(++_nonce, 0, 0, new byte[8]), NullLogger.Instance);
    }
}
