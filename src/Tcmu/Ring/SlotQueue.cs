using System.Numerics;

namespace Gateway.Tcmu;

/// <summary>The entries between cmd_tail and the reader's cursor, in ring order: what each is, and how long.</summary>
/// <remarks>
/// Kept privately, so that nothing read once is read again from memory that the kernel shares. It grows to what the ring holds at most
/// (its length / 8 entries), and then allocates no more. Not thread safe.
/// </remarks>
internal sealed class SlotQueue
{
    private uint[] _slots = new uint[256];
    private uint _first;
    private uint _next;

    public bool IsEmpty => _first == _next;

    /// <summary>The oldest entry's kind. There must be one.</summary>
    public RingOp PeekOp => (RingOp)(_slots[_first & Mask] & RingEntry.OpMask);

    private uint Mask => (uint)_slots.Length - 1;

    public void Enqueue(RingOp op, int lengthBytes)
    {
        if (_next - _first == _slots.Length) Grow();
        _slots[_next++ & Mask] = (uint)lengthBytes | (uint)op;
    }

    /// <summary>Takes the oldest entry and gives its length in bytes. There must be one.</summary>
    public int Dequeue() => (int)(_slots[_first++ & Mask] & ~RingEntry.OpMask);

    private void Grow()
    {
        var larger = new uint[BitOperations.RoundUpToPowerOf2((uint)_slots.Length + 1)];
        var count = _next - _first;
        for (uint i = 0; i < count; i++) larger[i] = _slots[(_first + i) & Mask];
        (_slots, _first, _next) = (larger, 0, count);
    }
}
