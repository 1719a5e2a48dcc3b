using System.Buffers;

namespace Gateway.Volumes.Map;

/// <summary>
/// What one checkpoint writes of the map: first the leaves, then, when each has its new pointer, the pages. It is read without the volume's
/// gate, while the map goes on changing.
/// </summary>
internal sealed class FrozenMap
{
    /// <summary>The changed leaves, in order of their numbers.</summary>
    public IReadOnlyList<FrozenLeaf> Leaves => throw new NotImplementedException();

    /// <summary>The changed pages, in order of their numbers.</summary>
    public IReadOnlyList<FrozenPage> Pages => throw new NotImplementedException();

    /// <summary>Old pointers that nothing refers to once this checkpoint is in force.</summary>
    public IEnumerable<PiecePointer> Superseded => throw new NotImplementedException();
}

/// <summary>A changed leaf.</summary>
internal sealed class FrozenLeaf
{
    public long Number => throw new NotImplementedException();

    /// <summary>Nothing is left in it: it is not stored, and its new pointer stays none.</summary>
    public bool IsEmpty => throw new NotImplementedException();

    public PiecePointer OldPointer => throw new NotImplementedException();

    /// <summary>Where the checkpoint stored it: set by the checkpointer.</summary>
    public PiecePointer NewPointer { get; set; }

    /// <summary>Appends the leaf's bytes; returns their number.</summary>
    public int EncodeTo(IBufferWriter<byte> writer) => throw new NotImplementedException();
}

/// <summary>A page of which leaves changed.</summary>
internal sealed class FrozenPage
{
    public int Number => throw new NotImplementedException();

    /// <summary>No leaf is left in it: it is not stored, and its new pointer stays none. Known once the leaves have their pointers.</summary>
    public bool IsEmpty => throw new NotImplementedException();

    public PiecePointer OldPointer => throw new NotImplementedException();

    /// <summary>Where the checkpoint stored it: set by the checkpointer.</summary>
    public PiecePointer NewPointer { get; set; }

    /// <summary>Appends the page's bytes; returns their number. All of its leaves have their new pointers.</summary>
    public int EncodeTo(IBufferWriter<byte> writer) => throw new NotImplementedException();
}
