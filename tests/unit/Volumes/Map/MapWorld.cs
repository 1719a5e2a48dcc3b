using System.Buffers;
using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Map;
using Xunit;

namespace Gateway.Volumes.Tests.Map;

/// <summary>A map with its segment table, the pieces that its checkpoints stored, and an array that says for each block where it is.</summary>
internal sealed class MapWorld
{
    private readonly int _blockLengthBytes;
    private readonly Dictionary<PiecePointer, byte[]> _stored = [];
    private readonly List<Action<MapWorld>> _sinceRoot = [];
    private readonly List<Action<MapWorld>> _sinceFreeze = [];
    private uint _blob;
    private NumberedPointer[] _rootPages = [];
    private NumberedPointer[] _rootSegmentPages = [];
    private uint _rootSequence;

    public MapWorld(ulong capacityBlocks, int blockLengthBytes)
    {
        _blockLengthBytes = blockLengthBytes;
        Model = new SegmentLocation[capacityBlocks];
        Segments = new SegmentTable();
        Map = new BucketMap(capacityBlocks, blockLengthBytes, Segments);
    }

    public BucketMap Map { get; private set; }

    public SegmentTable Segments { get; private set; }

    /// <summary>The default value is a hole.</summary>
    public SegmentLocation[] Model { get; }

    public uint Sequence { get; private set; }

    public FrozenMap? Frozen { get; private set; }

    public FrozenSegmentTable? FrozenSegments { get; private set; }

    public int FrameBlocks => FrameHeader.PayloadMaxBytes / _blockLengthBytes;

    public int SpanBlocks => BucketMap.LeafSpanBytes / _blockLengthBytes;

    /// <summary>Commits a log segment. A location that is trimmed makes a zero entry.</summary>
    public void Commit(params (int Lba, int Blocks, SegmentLocation Location)[] entries)
    {
        var sequence = ++Sequence;
        foreach (var (lba, blocks, location) in entries)
            for (var i = 0; i < blocks; i++) Model[lba + i] = location.IsTrimmed ? default : location.Advance((uint)i);
        Apply(world =>
        {
            world.Segments.Add(sequence, 64 << 20, (uint)entries.Where(e => !e.Location.IsTrimmed).Sum(e => e.Blocks), SegmentKind.Log);
            foreach (var (lba, blocks, location) in entries)
            {
                if (location.IsTrimmed) world.Map.Trim((ulong)lba, (uint)blocks, sequence);
                else world.Map.Set((ulong)lba, (uint)blocks, location);
            }
        });
    }

    /// <summary>Commits a moved segment.</summary>
    public void CommitMoved(uint coveredSequence, params (int Lba, int Blocks, SegmentLocation Location)[] entries)
    {
        var sequence = ++Sequence;
        var taken = 0;
        foreach (var (lba, blocks, location) in entries)
        {
            for (var i = 0; i < blocks; i++)
            {
                if (Model[lba + i].IsTrimmed || Model[lba + i].Sequence > coveredSequence) continue;
                Model[lba + i] = location.Advance((uint)i);
                taken++;
            }
        }

        Apply(world =>
        {
            var applied = 0;
            world.Segments.Add(sequence, 64 << 20, (uint)entries.Sum(e => e.Blocks), SegmentKind.Moved);
            foreach (var (lba, blocks, location) in entries)
            {
                while (world.Map.TryGetMissingForMoved((ulong)lba, (uint)blocks, coveredSequence, out var missing)) world.Load(missing);
                applied += (int)world.Map.SetMoved((ulong)lba, (uint)blocks, location, coveredSequence);
            }

            Assert.Equal(taken, applied);
        });
    }

    public SegmentLocation Location(int frameOffsetUnits, int frameLengthBytes) => new(Sequence + 1, frameOffsetUnits * 16, frameLengthBytes);

    public int RawLength(int blocks) => FrameHeader.HeaderLengthBytes + (blocks * _blockLengthBytes);

    public byte[] Stored(MissingPiece piece) => _stored[piece.Pointer];

    public void Load(MissingPiece piece) => Map.Load(piece, Stored(piece));

    public void LoadAt(ulong lba)
    {
        while (Map.TryGetMissing(lba, out var missing)) Load(missing);
    }

    public void Freeze()
    {
        for (var missing = Map.MissingForFreeze(); missing.Count > 0; missing = Map.MissingForFreeze())
            foreach (var piece in missing) Load(piece);
        Frozen = Map.Freeze();
        FrozenSegments = Segments.Freeze();
        _sinceFreeze.Clear();
    }

    public void Publish()
    {
        var writer = new ArrayBufferWriter<byte>(1 << 16);
        _blob++;
        PiecePointer Store(Func<IBufferWriter<byte>, int> encode)
        {
            var offset = (uint)writer.WrittenCount + MapBlobHeader.HeaderLengthBytes;
            var length = encode(writer);
            var bytes = writer.WrittenSpan[^length..].ToArray();
            var pointer = new PiecePointer(_blob, offset, (uint)length, Crc32C.Compute(bytes, _blob));
            _stored.Add(pointer, bytes);
            return pointer;
        }

        foreach (var leaf in Frozen!.Leaves)
            if (!leaf.IsEmpty) leaf.NewPointer = Store(leaf.EncodeTo);
        foreach (var page in Frozen.Pages)
            if (!page.IsEmpty) page.NewPointer = Store(page.EncodeTo);
        foreach (var page in FrozenSegments!.Pages)
            if (!page.IsEmpty) page.NewPointer = Store(page.EncodeTo);
        _rootPages = Frozen.AllPages();
        _rootSegmentPages = FrozenSegments.AllPages();
        _rootSequence = Frozen.Sequence;
        foreach (var gone in Frozen.Superseded.Concat(FrozenSegments.Superseded)) Assert.True(_stored.ContainsKey(gone));
        Map.Publish(Frozen);
        Segments.Publish(FrozenSegments);
        (Frozen, FrozenSegments) = (null, null);
        _sinceRoot.Clear();
        _sinceRoot.AddRange(_sinceFreeze);
    }

    public void Abandon()
    {
        Map.Abandon(Frozen!);
        Segments.Abandon(FrozenSegments!);
        (Frozen, FrozenSegments) = (null, null);
    }

    public void Checkpoint()
    {
        Freeze();
        Publish();
    }

    /// <summary>Opens at the last root, and replays the segments after it.</summary>
    public void Restart()
    {
        (Frozen, FrozenSegments) = (null, null);
        Segments = new SegmentTable();
        foreach (var page in _rootSegmentPages) Segments.LoadPage(page, _stored[page.Pointer], _rootSequence);
        Map = new BucketMap((ulong)Model.Length, _blockLengthBytes, Segments);
        Map.RestorePages(_rootPages, _rootSequence);
        foreach (var segment in _sinceRoot) segment(this);
        _sinceFreeze.Clear();
    }

    /// <summary>Loads what the blocks need and compares them with the model.</summary>
    public void AssertSame(int lba, int blocks, bool load = true)
    {
        for (var end = lba + blocks; lba < end;)
        {
            if (load) LoadAt((ulong)lba);
            var answer = Map.Find((ulong)lba, (uint)(end - lba), out var same, out var location);
            Assert.InRange(same, 1u, (uint)(end - lba));
            if (load) Assert.NotEqual(MapAnswer.Unloaded, answer);
            for (uint i = 0; i < same && answer != MapAnswer.Unloaded; i++)
            {
                var expected = Model[lba + i];
                var actual = answer == MapAnswer.Data ? location.Advance(i) : default;
                if (expected != actual) Assert.Fail($"Block {lba + i} is at {actual}, not at {expected}.");
            }

            lba += (int)same;
        }
    }

    /// <summary>Compares everything, live blocks too, after merging all overlays.</summary>
    public void AssertAllSame()
    {
        for (var missing = Map.MissingForFreeze(); missing.Count > 0; missing = Map.MissingForFreeze())
            foreach (var piece in missing) Load(piece);
        AssertSame(0, Model.Length);
        var live = new Dictionary<uint, uint>();
        foreach (var location in Model)
            if (!location.IsTrimmed) live[(uint)location.Sequence] = live.GetValueOrDefault((uint)location.Sequence) + 1;
        foreach (var segment in Segments.Segments()) Assert.Equal(live.GetValueOrDefault(segment.Sequence), segment.LiveBlocks);
        Assert.All(live.Keys, sequence => Assert.True(Segments.TryGet(sequence, out _)));
        Assert.Equal(live.Values.Sum(v => v), Segments.LiveBlocks);
        Assert.Equal(0, Segments.UnderflowBlocks);
    }

    private void Apply(Action<MapWorld> segment)
    {
        _sinceRoot.Add(segment);
        _sinceFreeze.Add(segment);
        segment(this);
    }
}
