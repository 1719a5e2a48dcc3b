using Gateway.Scsi.Interop;
using Gateway.Tcmu.Interop;

namespace Gateway.Tests.Shared.Ring;

/// <summary>Gives out blocks of the simulated data area, and finds writes to bytes that nobody owned.</summary>
/// <remarks>Every byte that no command owns holds a guard value. Blocks are reused oldest first, so that a late write is found.</remarks>
internal sealed class DataArea
{
    public const byte Guard = 0xA6;

    private readonly RingMapping _memory;
    private readonly long _offset;
    private readonly int _blockBytes;
    private readonly bool _odd;
    private readonly Random _random;
    private readonly Queue<int> _free;

    public DataArea(RingMapping memory, long offset, RingSimulatorOptions options, Random random)
    {
        (_memory, _offset, _blockBytes, _odd, _random) = (memory, offset, options.DataBlockBytes, options.OddIovecs, random);
        _free = new Queue<int>(options.DataBlocks);
        for (var block = 0; block < options.DataBlocks; block++)
        {
            _memory.Span(_offset + (long)block * _blockBytes, _blockBytes).Fill(Guard);
            _free.Enqueue(block);
        }
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
                foreach (var taken in command.Parts) _free.Enqueue(taken.Block);
                command.Parts.Clear();
                return false;
            }

            var offset = _odd ? _random.Next(_blockBytes / 4) : 0;
            var length = Math.Min(lengthBytes, _odd ? 1 + _random.Next(_blockBytes - offset) : _blockBytes);
            command.Parts.Add(new BlockPart(_free.Dequeue(), offset, length));
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
            var block = Block(part.Block);
            intact &= IsGuard(block[..part.Offset]) && IsGuard(block[(part.Offset + part.LengthBytes)..]);
            block.Slice(part.Offset, part.LengthBytes).Fill(Guard);
            _free.Enqueue(part.Block);
        }

        command.Parts.Clear();
        return intact;
    }

    /// <summary>False if a block that is about to be given out was written while nobody owned it.</summary>
    public bool AreIntact(SimulatedCommand command)
    {
        foreach (var part in command.Parts)
            if (!IsGuard(Block(part.Block))) return false;
        return true;
    }

    /// <summary>False if any free block was written.</summary>
    public bool AllFreeIntact()
    {
        foreach (var block in _free)
            if (!IsGuard(Block(block))) return false;
        return true;
    }

    private static bool IsGuard(ReadOnlySpan<byte> bytes) => !bytes.ContainsAnyExcept(Guard);

    private Span<byte> Block(int block) => _memory.Span(_offset + (long)block * _blockBytes, _blockBytes);
}
