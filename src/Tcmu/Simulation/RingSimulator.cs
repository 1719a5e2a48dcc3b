using System.Runtime.InteropServices;
using Gateway.Scsi;
using Gateway.Tcmu.Interop;

namespace Gateway.Tcmu.Simulation;

/// <summary>The kernel's half of a TCMU ring, played in user space on a memfd and two eventfds, strictly.</summary>
/// <remarks>
/// Entries, padding, space accounting and completion follow drivers/target/target_core_user.c: a submission pads the ring's end rather than
/// wrap an entry, and completions are consumed only while walking to cmd_tail. Where the kernel would trust the consumer, the simulator
/// checks: entries are poisoned before they are filled, memory nobody owns holds guard bytes. What a consumer does wrong is collected in
/// <see cref="Violations"/>; after one that the kernel would not survive, nothing is reaped any more. Benchmarks switch off what that costs
/// (<see cref="RingSimulatorOptions.Strict"/>); the protocol is the same.
/// One thread uses it; the consumer runs on any other. It allocates nothing in steady state.
/// </remarks>
internal sealed class RingSimulator : IDisposable
{
    private const int RingOffset = 128;
    private const byte EntryPoison = 0xC7;
    private const byte StaleResponseFlags = 0xFF;
    private const int ViolationsMax = 100;

    private readonly RingSimulatorOptions _options;
    private readonly FileDescriptor _file;
    private readonly RingMapping _memory;
    private readonly EventSignal _doorbell = new();
    private readonly EventSignal _kick = new();
    private readonly DataArea _data;
    private readonly FreeList _freeIds;
    private readonly SimulatedCommand?[] _outstanding;
    private readonly Stack<SimulatedCommand> _pool = new();
    private readonly Queue<Slot> _slots = new();
    private readonly List<string> _violations = [];
    private uint _head;
    private uint _cleaned;
    private int _portsOpen;

    /// <summary>Lays the region out, with an empty ring.</summary>
    public RingSimulator(RingSimulatorOptions options)
    {
        _options = options;
        var dataOffset = (long)RingOffset + options.RingLengthBytes;
        var length = dataOffset + (long)options.DataBlockBytes * options.DataBlocks;
        _file = MemoryFile.Create("tcmu-simulator", length);
        _memory = RingMapping.Map(_file, length);
        _data = new DataArea(_memory, dataOffset, options, new Random(options.Seed));
        _outstanding = new SimulatedCommand?[options.CommandIds + 1];
        _freeIds = new FreeList(1, options.CommandIds, oldestFirst: options.Strict);

        var mailbox = _memory.Span(0, RingOffset);
        MemoryMarshal.Write(mailbox[Mailbox.VersionOffset..], Mailbox.SupportedVersion);
        MemoryMarshal.Write(mailbox[Mailbox.FlagsOffset..], (ushort)options.Flags);
        MemoryMarshal.Write(mailbox[Mailbox.RingOffsetOffset..], (uint)RingOffset);
        MemoryMarshal.Write(mailbox[Mailbox.RingLengthOffset..], (uint)options.RingLengthBytes);
        if (options.Strict) _memory.Span(RingOffset, options.RingLengthBytes).Fill(EntryPoison);
        _head = _cleaned = (uint)options.StartPosition;
        _memory.Field(Mailbox.CmdTailOffset) = _head;
        PublishHead(_head);
    }

    /// <summary>What the consumer did wrong, in words; at most 100.</summary>
    public IReadOnlyList<string> Violations => _violations;

    /// <summary>True after a violation that stops reaping.</summary>
    public bool IsBroken { get; private set; }

    /// <summary>True once the device was taken away: the doorbells fail.</summary>
    public bool IsGone { get; private set; }

    /// <summary>Commands submitted and not reaped.</summary>
    public int InFlight { get; private set; }

    /// <summary>True if nothing is between cmd_tail, as reaped, and cmd_head.</summary>
    public bool IsEmpty => _slots.Count == 0;

    /// <summary>Paddings written at the ring's end.</summary>
    public long Pads { get; private set; }

    /// <summary>The simulator's own mapping, to look at or to damage.</summary>
    public RingMapping Memory => _memory;

    /// <summary>Where the next entry goes, in bytes into the ring.</summary>
    public uint Head => _head;

    /// <summary>Where the ring starts, in bytes from the start of the mapping.</summary>
    public static int RingStartBytes => RingOffset;

    /// <summary>Opens the consumer's side. Like UIO's, it has one opener at a time (EBUSY).</summary>
    public IRingPort OpenPort()
    {
        if (Interlocked.CompareExchange(ref _portsOpen, 1, 0) != 0) throw new ErrnoException("open of the simulated ring", 16);
        return new SimulatedPort(this, RingMapping.Map(_file, _memory.LengthBytes), _doorbell, _kick);
    }

    /// <summary>True while the consumer has the ring open.</summary>
    public bool IsOpen => Volatile.Read(ref _portsOpen) != 0;

    /// <summary>Submits a command; false if ring, data area or ids have no room for it now. The consumer is told by <see cref="Ring"/>.</summary>
    /// <param name="cdb">The CDB, as long as its operation code says.</param>
    /// <param name="direction">Which way data go.</param>
    /// <param name="lengthBytes">Length of the initiator's buffer.</param>
    /// <param name="dataOut">For a command that writes: the data, <paramref name="lengthBytes"/> of them. Else empty.</param>
    /// <param name="tag">Comes back with the completion.</param>
    /// <param name="bidiLengthBytes">For a bidirectional command: length of a Data-In buffer, whose iovecs follow.</param>
    public bool TrySubmit(ReadOnlySpan<byte> cdb, DataDirection direction, int lengthBytes, ReadOnlySpan<byte> dataOut, long tag, int bidiLengthBytes = 0)
    {
        if (!_pool.TryPop(out var command)) command = new SimulatedCommand();
        var submitted = _freeIds.Count > 0 && _data.TryAllocate(command, lengthBytes + bidiLengthBytes, _options.IovecsMax)
            && TrySubmit(command, cdb, direction, lengthBytes, dataOut, tag);
        if (!submitted) Recycle(command);
        return submitted;
    }

    /// <summary>The cmd_id of the command with a tag; 0 if none is in flight.</summary>
    public ushort CmdIdOf(long tag) => (ushort)Math.Max(0, Array.FindIndex(_outstanding, command => command?.Tag == tag));

    /// <summary>Submits a TMR entry; false if there is no room.</summary>
    public bool TrySubmitTaskManagement(TmrType type, ReadOnlySpan<ushort> cmdIds)
    {
        var length = RoundUp(TaskManagementEntry.CmdIdsOffset + cmdIds.Length * sizeof(ushort));
        if (!TryReserve(length, RingOp.TaskManagement, 0, 0, out var entry)) return false;
        entry[RingEntry.HeaderLengthBytes..].Clear();
        entry[TaskManagementEntry.TypeOffset] = (byte)type;
        MemoryMarshal.Write(entry[TaskManagementEntry.CmdCountOffset..], cmdIds.Length);
        MemoryMarshal.AsBytes(cmdIds).CopyTo(entry[TaskManagementEntry.CmdIdsOffset..]);
        Advance(length);
        return true;
    }

    /// <summary>Submits an entry of an opcode (3 to 7) that no consumer knows yet; false if there is no room.</summary>
    public bool TrySubmitUnknown(int opcode, int lengthBytes)
    {
        if (!TryReserve(lengthBytes, (RingOp)opcode, 0, 0, out _)) return false;
        Advance(lengthBytes);
        return true;
    }

    /// <summary>Rings the consumer's doorbell: one ring may announce many entries.</summary>
    public void Ring() => _doorbell.Set();

    /// <summary>Waits for the consumer's doorbell write and clears it; false after the time given: a stall, if an answer was due.</summary>
    public bool WaitForKick(int timeoutMilliseconds)
    {
        if (!_kick.Wait(timeoutMilliseconds)) return false;
        _kick.Clear();
        return true;
    }

    /// <summary>Consumes completions up to cmd_tail; the number of commands completed.</summary>
    public int Reap(ICompletionSink sink)
    {
        var completed = 0;
        // Acquire: the partner of the consumer's release store of cmd_tail, after it wrote the answers.
        var tail = Volatile.Read(ref _memory.Field(Mailbox.CmdTailOffset));
        while (!IsBroken && _cleaned != tail)
        {
            if (!_slots.TryDequeue(out var slot))
            {
                Break($"cmd_tail {tail} is beyond cmd_head {_head}");
                break;
            }

            var left = tail >= _cleaned ? tail - _cleaned : tail + (uint)_options.RingLengthBytes - _cleaned;
            if (left < slot.LengthBytes || tail >= _options.RingLengthBytes)
            {
                Break($"cmd_tail {tail} is not at the boundary of an entry");
                break;
            }

            completed += ReapEntry(slot, sink);
            _cleaned = (_cleaned + (uint)slot.LengthBytes) % (uint)_options.RingLengthBytes;
        }

        return completed;
    }

    /// <summary>As action/reset_ring: forgets all commands, frees ids and buffers, and zeroes cmd_head and cmd_tail.</summary>
    public void Reset()
    {
        for (var id = 1; id < _outstanding.Length; id++)
        {
            if (_outstanding[id] is not { } command) continue;
            _outstanding[id] = null;
            _data.Free(command);
            _freeIds.Return(id);
            Recycle(command);
        }

        (InFlight, IsBroken) = (0, false);
        _slots.Clear();
        _head = _cleaned = 0;
        Volatile.Write(ref _memory.Field(Mailbox.CmdTailOffset), 0);
        PublishHead(0);
    }

    /// <summary>Takes the device away: doorbells fail from now on.</summary>
    public void Remove()
    {
        IsGone = true;
        _doorbell.Set();
    }

    /// <summary>Publishes any value as cmd_head, for tests of damaged rings.</summary>
    public void PublishHead(uint head)
    {
        // Release: the partner of the consumer's acquire load.
        Volatile.Write(ref _memory.Field(Mailbox.CmdHeadOffset), head);
    }

    /// <summary>Adds a violation if any byte of the free data area was written.</summary>
    public void CheckFreeDataArea()
    {
        if (!_data.AllFreeIntact()) Violate("free blocks of the data area were written");
    }

    public void Dispose()
    {
        _memory.Dispose();
        _file.Dispose();
        _doorbell.Dispose();
        _kick.Dispose();
    }

    internal void OnPortClosed() => Volatile.Write(ref _portsOpen, 0);

    private bool TrySubmit(SimulatedCommand command, ReadOnlySpan<byte> cdb, DataDirection direction, int lengthBytes, ReadOnlySpan<byte> dataOut, long tag)
    {
        var parts = command.Parts;
        var iovs = 0;
        for (var i = 0; i < parts.Count; i++)
            if (i == 0 || !IsAdjacent(i, parts[i - 1], parts[i], lengthBytes, command)) iovs++;
        var cdbOffset = Math.Max(CommandEntry.LengthMinBytes, CommandEntry.IovOffset + iovs * CommandEntry.IovLengthBytes);
        var length = cdbOffset + RoundUp(cdb.Length);
        var id = (ushort)_freeIds.Peek();
        if (!TryReserve(length, RingOp.Command, id, StaleResponseFlags, out var entry))
        {
            // Nothing was written to the blocks yet, so freeing them checks and changes nothing but their owner.
            _data.Free(command);
            return false;
        }

        if (!_data.AreIntact(command)) Violate("a block of the data area was written while nobody owned it");
        _freeIds.Take();
        (command.CmdId, command.Tag, command.Direction) = (id, tag, direction);
        if (!dataOut.IsEmpty) command.Data.CopyFrom(0, dataOut);
        var bidiIovs = WriteIovecs(command, entry, lengthBytes, out var dataIovs);
        MemoryMarshal.Write(entry[CommandEntry.IovCountOffset..], dataIovs);
        MemoryMarshal.Write(entry[CommandEntry.BidiIovCountOffset..], bidiIovs);
        MemoryMarshal.Write(entry[CommandEntry.DifIovCountOffset..], 0);
        MemoryMarshal.Write(entry[CommandEntry.CdbOffsetOffset..], (ulong)(RingOffset + _head + (uint)cdbOffset));
        cdb.CopyTo(entry[cdbOffset..]);
        _outstanding[id] = command;
        InFlight++;
        Advance(length);
        return true;
    }

    /// <summary>Writes the iovecs, merging what is adjacent; the number after the first <paramref name="lengthBytes"/> is returned.</summary>
    private int WriteIovecs(SimulatedCommand command, Span<byte> entry, int lengthBytes, out int dataIovs)
    {
        var iov = MemoryMarshal.Cast<byte, ulong>(entry[CommandEntry.IovOffset..]);
        var (count, offset) = (0, 0);
        dataIovs = 0;
        for (var i = 0; i < command.Parts.Count; i++)
        {
            var part = command.Parts[i];
            if (i > 0 && IsAdjacent(i, command.Parts[i - 1], part, lengthBytes, command))
            {
                iov[count * 2 - 1] += (ulong)part.LengthBytes;
            }
            else
            {
                iov[count * 2] = (ulong)_data.OffsetOf(part);
                iov[count * 2 + 1] = (ulong)part.LengthBytes;
                count++;
            }

            if (offset < lengthBytes) dataIovs = count;
            offset += part.LengthBytes;
        }

        return count - dataIovs;
    }

    private bool IsAdjacent(int index, BlockPart previous, BlockPart part, int lengthBytes, SimulatedCommand command) =>
        _data.OffsetOf(previous) + previous.LengthBytes == _data.OffsetOf(part)
        && (lengthBytes >= command.Data.LengthBytes || index * _options.DataBlockBytes != lengthBytes);

    /// <summary>Makes room for a contiguous entry, padding the ring's end if need be, and writes its header.</summary>
    private bool TryReserve(int lengthBytes, RingOp op, ushort cmdId, byte responseFlags, out Span<byte> entry)
    {
        entry = default;
        // As is_ring_space_avail: a byte always stays free, so that a full ring differs from an empty one.
        var toEnd = _options.RingLengthBytes - (int)_head;
        var needed = toEnd >= lengthBytes ? lengthBytes : lengthBytes + toEnd;
        var used = _head >= _cleaned ? _head - _cleaned : _head + (uint)_options.RingLengthBytes - _cleaned;
        if (_options.RingLengthBytes - (int)used - 1 < needed) return false;

        if (toEnd < lengthBytes)
        {
            WriteHeader(_memory.Span(RingOffset + _head, RingEntry.HeaderLengthBytes), RingOp.Pad, toEnd, 0, 0);
            Enqueue(RingOp.Pad, toEnd);
            Advance(toEnd);
            Pads++;
        }

        entry = _memory.Span(RingOffset + _head, lengthBytes);
        if (_options.Strict) entry.Fill(EntryPoison);
        WriteHeader(entry, op, lengthBytes, cmdId, responseFlags);
        Enqueue(op, lengthBytes);
        return true;
    }

    private void Enqueue(RingOp op, int lengthBytes) => _slots.Enqueue(new Slot(op, lengthBytes, (uint)lengthBytes | (uint)op));

    private static void WriteHeader(Span<byte> entry, RingOp op, int lengthBytes, ushort cmdId, byte responseFlags)
    {
        MemoryMarshal.Write(entry[RingEntry.LengthOpOffset..], (uint)lengthBytes | (uint)op);
        MemoryMarshal.Write(entry[RingEntry.CmdIdOffset..], cmdId);
        entry[RingEntry.KernelFlagsOffset] = 0;
        entry[RingEntry.ResponseFlagsOffset] = responseFlags;
    }

    private void Advance(int lengthBytes)
    {
        _head = (_head + (uint)lengthBytes) % (uint)_options.RingLengthBytes;
        PublishHead(_head);
    }

    private int ReapEntry(Slot slot, ICompletionSink sink)
    {
        var entry = _memory.Span(RingOffset + _cleaned, slot.LengthBytes);
        if (MemoryMarshal.Read<uint>(entry) != slot.LengthOp || entry[RingEntry.KernelFlagsOffset] != 0) Violate($"the header of a {slot.Op} entry was written");
        var flags = entry[RingEntry.ResponseFlagsOffset];
        switch (slot.Op)
        {
            case RingOp.Command:
                return ReapCommand(entry, flags, sink) ? 1 : 0;
            case RingOp.Pad or RingOp.TaskManagement:
                if (flags != 0) Violate($"uflags {flags:X2}h in a {slot.Op} entry");
                return 0;
            default:
                if (flags != (byte)ResponseFlags.UnknownOp) Violate($"uflags {flags:X2}h, not UNKNOWN_OP, in an entry of opcode {(int)slot.Op}");
                return 0;
        }
    }

    private bool ReapCommand(ReadOnlySpan<byte> entry, byte flags, ICompletionSink sink)
    {
        var id = MemoryMarshal.Read<ushort>(entry[RingEntry.CmdIdOffset..]);
        if (id >= _outstanding.Length || _outstanding[id] is not { } command)
        {
            Break($"cmd_id {id} was completed but is not outstanding");
            return false;
        }

        if ((flags & ~(byte)ResponseFlags.ReadLength) != 0) Violate($"uflags {flags:X2}h in the answer to cmd_id {id}: stale, or unknown to the kernel");
        if (entry[CommandEntry.StatusOffset + 1] != 0 || MemoryMarshal.Read<ushort>(entry[(CommandEntry.StatusOffset + 2)..]) != 0) Violate($"the pad bytes of the answer to cmd_id {id} are not zero");
        command.Status = (ScsiStatus)entry[CommandEntry.StatusOffset];
        if (_options.Strict && !Enum.IsDefined(command.Status)) Violate($"status {(byte)command.Status:X2}h in the answer to cmd_id {id}");
        var hasReadLength = CheckReadLength(entry, flags, command);
        if (command.Status == ScsiStatus.CheckCondition)
        {
            entry.Slice(CommandEntry.SenseOffset, CommandEntry.SenseLengthBytes).CopyTo(command.Sense);
            CheckSense(command);
            if (!hasReadLength) command.DataInLengthBytes = 0;
        }

        sink.OnCompleted(command);
        _outstanding[id] = null;
        InFlight--;
        _freeIds.Return(id);
        if (!_data.Free(command)) Violate($"bytes around the iovecs of cmd_id {id} were written");
        Recycle(command);
        return true;
    }

    private bool CheckReadLength(ReadOnlySpan<byte> entry, byte flags, SimulatedCommand command)
    {
        command.DataInLengthBytes = command.Direction == DataDirection.FromDevice ? command.Data.LengthBytes : 0;
        if ((flags & (byte)ResponseFlags.ReadLength) == 0 || flags == StaleResponseFlags) return false;
        var readLength = MemoryMarshal.Read<uint>(entry[CommandEntry.ReadLengthOffset..]);
        if (command.Direction != DataDirection.FromDevice) Violate($"READ_LEN in the answer to cmd_id {command.CmdId}, which reads nothing");
        else if ((_options.Flags & MailboxFlags.ReadLength) == 0) Violate("READ_LEN, which this kernel does not offer");
        else if (readLength == 0 || readLength > command.DataInLengthBytes) Violate($"READ_LEN of {readLength} for cmd_id {command.CmdId}, whose transfer is {command.DataInLengthBytes} bytes");
        else command.DataInLengthBytes = (int)readLength;
        return true;
    }

    private void CheckSense(SimulatedCommand command)
    {
        var sense = command.Sense;
        if ((sense[0] & 0x7F) != 0x70 || sense[7] != SenseData.LengthBytes - 8) Violate($"sense data of cmd_id {command.CmdId} are not in fixed format");
        if (sense[SenseData.LengthBytes..].ContainsAnyExcept((byte)0)) Violate($"stale bytes after the sense data of cmd_id {command.CmdId}");
    }

    private void Recycle(SimulatedCommand command) => _pool.Push(command);

    private void Break(string violation)
    {
        IsBroken = true;
        Violate(violation);
    }

    private void Violate(string violation)
    {
        if (_violations.Count < ViolationsMax) _violations.Add(violation);
    }

    private static int RoundUp(int lengthBytes) => (lengthBytes + RingEntry.AlignmentBytes - 1) & ~(RingEntry.AlignmentBytes - 1);

    private readonly record struct Slot(RingOp Op, int LengthBytes, uint LengthOp);
}
