using Gateway.Scsi;
using Gateway.Volumes.Cache;
using Gateway.Volumes.Interop;

namespace Gateway.Volumes.Reading;

/// <summary>The first MiB of a volume, in memory for good: path checkers and partition probes read it, also while the store is away.</summary>
/// <remarks>
/// Each block is kept with the place that its bytes are from, and served only while the map says that it is there: what was written since is
/// never served old. Thread safe.
/// </remarks>
internal sealed class PinnedHead : IDisposable
{
    private const int HeadBytes = 1 << 20;

    private readonly Lock _gate = new();
    private readonly NativeArena _bytes = new(HeadBytes);
    private readonly int _blockLengthBytes;
    private readonly Stamp[] _stamps;
    private bool _isClosed;

    public PinnedHead(BlockGeometry geometry)
    {
        _blockLengthBytes = geometry.BlockLengthBytes;
        Blocks = (uint)Math.Min(geometry.CapacityBlocks, (ulong)(HeadBytes / geometry.BlockLengthBytes));
        _stamps = new Stamp[Blocks];
    }

    /// <summary>Number of blocks that it covers, from LBA 0 on.</summary>
    public uint Blocks { get; }

    /// <summary>True if all of a place is here, as it is there.</summary>
    public bool Holds(in Place place)
    {
        lock (_gate) return HoldsLocked(place);
    }

    public bool TryCopy(in Place place, ScatterList destination, int offsetBytes)
    {
        lock (_gate)
        {
            if (!HoldsLocked(place)) return false;
            destination.CopyFrom(offsetBytes, _bytes.Slice((long)place.Lba * _blockLengthBytes, (int)place.Blocks * _blockLengthBytes));
            return true;
        }
    }

    /// <summary>Takes in what was read from a place.</summary>
    public void Put(in Place place, ReadOnlySpan<byte> blocks)
    {
        lock (_gate)
        {
            if (_isClosed) return;
            var count = (int)Math.Min(place.Blocks, Blocks - place.Lba);
            blocks[..(count * _blockLengthBytes)].CopyTo(_bytes.Slice((long)place.Lba * _blockLengthBytes, count * _blockLengthBytes));
            for (var i = 0; i < count; i++) _stamps[(int)place.Lba + i] = new Stamp(KeyOf(place), place.BlockOffset + i);
        }
    }

    /// <summary>Blocks that were at one place are now also at another, with the same bytes.</summary>
    public void Move(in Place from, in Place to)
    {
        lock (_gate)
        {
            for (ulong i = 0; i < from.Blocks && from.Lba + i < Blocks; i++)
            {
                ref var stamp = ref _stamps[from.Lba + i];
                if (stamp == new Stamp(KeyOf(from), from.BlockOffset + (int)i)) stamp = new Stamp(KeyOf(to), to.BlockOffset + (int)i);
            }
        }
    }

    public void Dispose()
    {
        lock (_gate) _isClosed = true;
        _bytes.Dispose();
    }

    private bool HoldsLocked(in Place place)
    {
        if (_isClosed || place.Lba + place.Blocks > Blocks) return false;
        var key = KeyOf(place);
        for (var i = 0; i < place.Blocks; i++)
            if (_stamps[(int)place.Lba + i] is var stamp && stamp != new Stamp(key, place.BlockOffset + i) && !(Mutation.HeadPlaceIgnored && stamp != default)) return false;
        return true;
    }

    private static FrameKey KeyOf(in Place place) => place.Kind == PlaceKind.Journal ? FrameKey.Of(place.Journal) : FrameKey.Of(place.Segment);

    /// <summary>Where a block's bytes are from. No block is from the default one: sequences and journal positions start above it.</summary>
    private readonly record struct Stamp(FrameKey Frame, int Block);
}
