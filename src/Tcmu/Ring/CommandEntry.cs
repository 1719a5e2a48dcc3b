using System.Runtime.InteropServices;
using Gateway.Scsi;
using Gateway.Scsi.Interop;

namespace Gateway.Tcmu;

/// <summary>The request and the response of a CMD entry: <c>struct tcmu_cmd_entry</c> of target_core_user.h. Both start at byte 8.</summary>
internal static class CommandEntry
{
    /// <summary>sizeof(struct tcmu_cmd_entry): the response with its sense buffer.</summary>
    public const int LengthMinBytes = 112;

    public const int IovCountOffset = 8;
    public const int BidiIovCountOffset = 12;
    public const int DifIovCountOffset = 16;
    public const int CdbOffsetOffset = 24;
    public const int IovOffset = 48;
    public const int IovLengthBytes = 16;

    public const int StatusOffset = 8;
    public const int ReadLengthOffset = 12;
    public const int SenseOffset = 16;
    public const int SenseLengthBytes = 96;

    private const byte VariableLengthOperationCode = 0x7F;
    private const int AdditionalCdbLengthOffset = 7;

    // linux/scsi/scsi_common.c scsi_command_size_tbl: CDB length by the operation code's group (its upper 3 bits).
    private static ReadOnlySpan<byte> CdbLengthByGroup => [6, 10, 10, 12, 16, 12, 10, 10];

    /// <summary>Copies the CDB and the Data-Out or Data-In pieces into <paramref name="command"/>; nothing of it aliases the entry afterwards.</summary>
    /// <param name="entry">The whole entry.</param>
    /// <param name="entryOffset">Where it stands, in bytes from the start of the mapping, as iov_base and cdb_off count.</param>
    /// <param name="mailbox">The region's layout, to check against.</param>
    /// <param name="mappingAddress">Address that offset 0 is mapped at.</param>
    /// <param name="command">Begun here; its data are the first iov_cnt pieces (for a bidirectional command, Data-Out).</param>
    /// <exception cref="RingBrokenException">The entry is too short for what it says, or points outside itself (CDB) or the data area (pieces).</exception>
    public static void CopyRequest(ReadOnlySpan<byte> entry, long entryOffset, in Mailbox mailbox, nint mappingAddress, ScsiCommand command)
    {
        if (entry.Length < LengthMinBytes) throw new RingBrokenException($"A CMD entry has {entry.Length} bytes; {LengthMinBytes} is the least.");
        var iovCount = MemoryMarshal.Read<uint>(entry[IovCountOffset..]);
        var iovs = (ulong)iovCount + MemoryMarshal.Read<uint>(entry[BidiIovCountOffset..]) + MemoryMarshal.Read<uint>(entry[DifIovCountOffset..]);
        if (iovs > (ulong)(entry.Length - IovOffset) / IovLengthBytes)
            throw new RingBrokenException($"A CMD entry of {entry.Length} bytes says that it holds {iovs} iovecs.");

        command.Begin(FindCdb(entry, MemoryMarshal.Read<ulong>(entry[CdbOffsetOffset..]), (ulong)entryOffset));
        ulong total = 0;
        var iov = MemoryMarshal.Cast<byte, ulong>(entry.Slice(IovOffset, (int)iovCount * IovLengthBytes));
        for (var i = 0; i < iov.Length; i += 2)
        {
            var (offset, length) = (iov[i], iov[i + 1]);
            if (offset < (ulong)mailbox.DataAreaOffset || offset > (ulong)mailbox.MappingLengthBytes
                || length > (ulong)mailbox.MappingLengthBytes - offset || (total += length) > int.MaxValue)
            {
                throw new RingBrokenException($"An iovec of {length} bytes at {offset} lies outside the data area, {mailbox.DataAreaOffset} to {mailbox.MappingLengthBytes}.");
            }

            command.Data.Add(new Iovec(mappingAddress + (nint)offset, (nint)length));
        }
    }

    /// <summary>Writes the answer of <paramref name="command"/> into an entry at cmd_tail, which may have been another command's.</summary>
    /// <remarks>All of the response is written, and uflags always: what was there belongs to the request that the entry was made for.</remarks>
    public static void WriteResponse(Span<byte> entry, ushort cmdId, ScsiCommand command, MailboxFlags flags)
    {
        var readLength = ReadLength(command, flags);
        MemoryMarshal.Write(entry[RingEntry.CmdIdOffset..], cmdId);
        entry[RingEntry.ResponseFlagsOffset] = (byte)(readLength > 0 ? ResponseFlags.ReadLength : ResponseFlags.None);
        MemoryMarshal.Write(entry[StatusOffset..], (uint)command.Status); // The status byte and the three pad bytes after it.
        MemoryMarshal.Write(entry[ReadLengthOffset..], readLength);
        if (command.Status != ScsiStatus.CheckCondition) return;
        var sense = entry.Slice(SenseOffset, SenseLengthBytes);
        command.Sense.WriteTo(sense);
        sense[SenseData.LengthBytes..].Clear(); // The kernel hands on all 96 bytes.
    }

    /// <summary>READ_LEN of the response; 0 leaves it out.</summary>
    /// <remarks>
    /// READ_LEN says where Data-In ends, and with CHECK CONDITION that there is any. The kernel takes 0 for "not given" and then delivers the
    /// whole buffer, whose pages held other commands' data: what READ_LEN cannot cut off is cleared.
    /// </remarks>
    private static uint ReadLength(ScsiCommand command, MailboxFlags flags)
    {
        if (command.DataInLengthBytes is not { } filled || filled > command.Data.LengthBytes) return 0;
        var checkCondition = command.Status == ScsiStatus.CheckCondition;
        if (filled == command.Data.LengthBytes && !checkCondition) return 0;
        if (filled > 0 && (flags & MailboxFlags.ReadLength) != 0) return (uint)filled;
        if (!checkCondition) command.Data.Clear(filled, command.Data.LengthBytes - filled);
        return 0;
    }

    private static ReadOnlySpan<byte> FindCdb(ReadOnlySpan<byte> entry, ulong cdbOffset, ulong entryOffset)
    {
        if (cdbOffset < entryOffset + IovOffset || cdbOffset >= entryOffset + (ulong)entry.Length)
            throw new RingBrokenException($"cdb_off {cdbOffset} points outside the entry at {entryOffset}.");
        var cdb = entry[(int)(cdbOffset - entryOffset)..];
        var length = cdb[0] != VariableLengthOperationCode ? CdbLengthByGroup[cdb[0] >> 5]
            : cdb.Length > AdditionalCdbLengthOffset ? cdb[AdditionalCdbLengthOffset] + 8
            : int.MaxValue;
        return length <= cdb.Length ? cdb[..length] : throw new RingBrokenException($"The CDB {cdb[0]:X2}h at {cdbOffset} passes the end of its entry.");
    }
}
