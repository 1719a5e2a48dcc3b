using Gateway.Scsi.Interop;
using Gateway.Tcmu.Interop;

namespace Gateway.Tcmu.Simulation;

/// <summary>Gives out blocks of the simulated data area, and finds writes to bytes that nobody owned.</summary>
/// <remarks>
/// Every byte that no command owns holds a guard value. Blocks are reused oldest first, so that a late write is found. With
/// <see cref="RingSimulatorOptions.Strict"/> off, neither: nothing is found.
/// </remarks>
internal sealed class DataArea
{
    public const byte Guard = 0xA6;

    private readonly RingMapping _memory;
    private readonly long _offset;
    private readonly int _blockBytes;
    private readonly bool _odd;
    private readonly bool _strict;
    private readonly Random _random;
    private readonly FreeList _free;

    public DataArea(RingMapping memory, long offset, RingSimulatorOptions options, Random random)
    {
        (_memory, _offset, _blockBytes, _odd, _strict, _random) = (memory, offset, options.DataBlockBytes, options.OddIovecs, options.Strict, random);
        _free = new FreeList(0, options.DataBlocks, oldestFirst: _strict);
        for (var block = 0; _strict && block < options.DataBlocks; block++) Block(block).Fill(Guard);
    }

    /// <summary>Free blocks.</summary>
    public int FreeBlocks => _free.Count;

    /// <summary>Offset of a part, in bytes from the start of the mapping.</summary>
    public long OffsetOf(BlockPart part) => _offset + (long)part.Block * _blockBytes + part.Offset;

    /// <summary>Gives a command its buffer; false, with nothing taken, if there is too little space or too many parts.</summary>
    public bool TryAllocate(SimulatedCommand command, int lengthBytes, int partsMax)
    {
        command.Data.Reset();
        command.Parts.Clear();
        while (lengthBytes > 0)
        {
            if (_free.Count == 0 || command.Parts.Count == partsMax)
            {
                foreach (var taken in command.Parts) _free.Return(taken.Block);
                command.Parts.Clear();
                return false;
            }

            var offset = _odd ? _random.Next(_blockBytes / 4) : 0;
            var length = Math.Min(lengthBytes, _odd ? 1 + _random.Next(_blockBytes - offset) : _blockBytes);
            command.Parts.Add(new BlockPart(_free.Take(), offset, length));
            lengthBytes -= length;
        }

        foreach (var part in command.Parts) command.Data.Add(new Iovec(_memory.Address + (nint)OffsetOf(part), part.LengthBytes));
        return true;
    }

    /// <summary>Takes a command's buffer back. False if its blocks were written outside of it.</summary>
    public bool Free(SimulatedCommand command)
    {
        var intact = true;
        foreach (var part in command.Parts)
        {
            _free.Return(part.Block);
            if (!_strict) continue;
            var block = Block(part.Block);
            intact &= IsGuard(block[..part.Offset]) && IsGuard(block[(part.Offset + part.LengthBytes)..]);
            block.Slice(part.Offset, part.LengthBytes).Fill(Guard);
        }

        command.Parts.Clear();
        return intact;
    }

    /// <summary>False if a block that is about to be given out was written while nobody owned it.</summary>
    public bool AreIntact(SimulatedCommand command)
    {
        if (!_strict) return true;
        foreach (var part in command.Parts)
            if (!IsGuard(Block(part.Block))) return false;
        return true;
    }

    /// <summary>False if any free block was written.</summary>
    public bool AllFreeIntact()
    {
        if (!_strict) return true;
        foreach (var block in _free.Free)
            if (!IsGuard(Block(block))) return false;
        return true;
    }

    private static bool IsGuard(ReadOnlySpan<byte> bytes) => !bytes.ContainsAnyExcept(Guard);

    private Span<byte> Block(int block) => _memory.Span(_offset + (long)block * _blockBytes, _blockBytes);
}
