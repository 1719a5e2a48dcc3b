using Gateway.Scsi;
using Gateway.Tcmu.Interop;

namespace Gateway.Tcmu;

/// <summary>The consumer's half of the ring protocol, without threads or waiting.</summary>
/// <remarks>
/// <code>
///   published      _tail             _cursor             cmd_head
///   (cmd_tail)       |                  |                   |
///      |--answered---|--taken, in flight|--not yet seen-----|   and round again, modulo the ring's length
/// </code>
/// 1. <see cref="TryTake"/> moves the cursor over one entry and notes its kind and length in <see cref="_taken"/>.
/// 2. <see cref="Complete"/> passes over PAD, TMR and unknown entries at _tail and answers a command, any command, in the CMD entry
///    that follows. There is one: each command in flight has had its CMD entry taken, and each answer has used up one.
/// 3. <see cref="Publish"/> passes over what needs no answer and moves cmd_tail to _tail.
/// An answer overwrites a request, but only one that the cursor has passed: copied out, or needing no answer.
/// Barriers: cmd_head is read with acquire, the partner of the kernel's store-release (smp_store_release in tcmu's queueing, after the entry
/// was written); cmd_tail is written with release, the partner of the kernel's read of cmd_tail in tcmu_handle_completions, before it reads
/// entries. Not thread safe: one thread owns the ring.
/// </remarks>
internal sealed class CommandRing
{
    private readonly RingMapping _memory;
    private readonly Mailbox _mailbox;
    private readonly SlotQueue _taken = new();
    private int _cursor;
    private int _tail;
    private int _published;
    private int _head;

    /// <summary>Attaches at cmd_tail, as the last consumer left it.</summary>
    /// <exception cref="RingBrokenException">The mailbox makes no sense.</exception>
    public CommandRing(RingMapping memory)
    {
        _memory = memory;
        _mailbox = Mailbox.Parse(memory.Span(0, (int)Math.Min(Mailbox.LengthBytes, memory.LengthBytes)), memory.LengthBytes);
        var tail = Volatile.Read(ref memory.Field(Mailbox.CmdTailOffset));
        _published = _tail = _cursor = _head = CheckPosition(tail, "cmd_tail");
        ReadHead();
    }

    /// <summary>The region's layout.</summary>
    public Mailbox Mailbox => _mailbox;

    /// <summary>Bytes between what was answered and what the producer has published, as last seen. Any thread.</summary>
    public int UsedBytes => Distance(_published, _head);

    /// <summary>True if the producer has published more than was taken. Cheap: for the last look before sleeping.</summary>
    public bool HasNew => Volatile.Read(ref _memory.Field(Mailbox.CmdHeadOffset)) != (uint)_cursor;

    /// <summary>Takes the next entry that is not a PAD; false if everything published was taken.</summary>
    /// <param name="entry">Its header.</param>
    /// <param name="bytes">All of it, in the ring: to be copied out before the next <see cref="Complete"/> or <see cref="Publish"/>.</param>
    /// <param name="offset">Where it starts, in bytes from the start of the mapping.</param>
    /// <exception cref="RingBrokenException">The entry or the mailbox makes no sense. The cursor stays.</exception>
    public bool TryTake(out RingEntry entry, out Span<byte> bytes, out int offset)
    {
        while (true)
        {
            if (_cursor == _head && !ReadHead())
            {
                (entry, offset) = (default, 0);
                bytes = default;
                return false;
            }

            var end = _head > _cursor ? _head : _mailbox.RingLengthBytes;
            offset = _mailbox.RingOffset + _cursor;
            bytes = _memory.Span(offset, end - _cursor);
            entry = RingEntry.Parse(bytes);
            bytes = bytes[..entry.LengthBytes];
            _taken.Enqueue(entry.Op, entry.LengthBytes);
            _cursor = Advance(_cursor, entry.LengthBytes);
            if (entry.Op != RingOp.Pad) return true;
        }
    }

    /// <summary>Answers a command in the CMD entry next to cmd_tail. The kernel sees it after <see cref="Publish"/>.</summary>
    public void Complete(ushort cmdId, ScsiCommand command)
    {
        PassUnanswered();
        var entry = _memory.Span(_mailbox.RingOffset + _tail, CommandEntry.LengthMinBytes);
        CommandEntry.WriteResponse(entry, cmdId, command, _mailbox.Flags);
        _tail = Advance(_tail, _taken.Dequeue());
    }

    /// <summary>Hands the answers so far to the kernel. True if cmd_tail moved, so that a doorbell is due.</summary>
    /// <exception cref="RingBrokenException">The ring was reset while in use; nothing is published then.</exception>
    public bool Publish()
    {
        PassUnanswered();
        if (_tail == _published) return false;
        CheckNotReset();
        Volatile.Write(ref _memory.Field(Mailbox.CmdTailOffset), (uint)_tail); // Release: see the barriers above.
        _published = _tail;
        return true;
    }

    /// <summary>Passes over entries at the tail that are no commands, and marks those not understood.</summary>
    private void PassUnanswered()
    {
        while (!_taken.IsEmpty && _taken.PeekOp != RingOp.Command)
        {
            // The kernel reads the mark when it walks to cmd_tail; len_op and cmd_id stay as they are.
            if (_taken.PeekOp is not (RingOp.Pad or RingOp.TaskManagement))
                _memory.Span(_mailbox.RingOffset + _tail, RingEntry.HeaderLengthBytes)[RingEntry.ResponseFlagsOffset] = (byte)ResponseFlags.UnknownOp;
            _tail = Advance(_tail, _taken.Dequeue());
        }
    }

    private bool ReadHead()
    {
        var head = CheckPosition(Volatile.Read(ref _memory.Field(Mailbox.CmdHeadOffset)), "cmd_head"); // Acquire: see the barriers above.
        if (head == _cursor) return false;
        CheckNotReset();
        if (Distance(_published, head) < Distance(_published, _cursor))
            throw new RingBrokenException($"cmd_head went back to {head}, before {_cursor}.");
        _head = head;
        return true;
    }

    /// <summary>Only we write cmd_tail, except that action/reset_ring zeroes it and frees all buffers.</summary>
    private void CheckNotReset()
    {
        var tail = Volatile.Read(ref _memory.Field(Mailbox.CmdTailOffset));
        if (tail != (uint)_published) throw new RingBrokenException($"The ring was reset while in use: cmd_tail is {tail}, not {_published}.");
    }

    private int CheckPosition(uint position, string field) =>
        position < (uint)_mailbox.RingLengthBytes && position % RingEntry.AlignmentBytes == 0
            ? (int)position
            : throw new RingBrokenException($"{field} is {position} in a ring of {_mailbox.RingLengthBytes} bytes.");

    private int Advance(int position, int lengthBytes)
    {
        position += lengthBytes;
        return position < _mailbox.RingLengthBytes ? position : position - _mailbox.RingLengthBytes;
    }

    private int Distance(int from, int to) => to >= from ? to - from : to - from + _mailbox.RingLengthBytes;
}
