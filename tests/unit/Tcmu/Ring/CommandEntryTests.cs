using System.Runtime.InteropServices;
using Gateway.Scsi;
using Xunit;

namespace Gateway.Tcmu.Tests.Ring;

public sealed class CommandEntryTests
{
    private const int EntryOffset = 1024;
    private static readonly Mailbox Layout = new(MailboxFlags.OutOfOrderCompletion | MailboxFlags.ReadLength, 128, 65408, 1 << 20);

    private readonly ScsiCommand _command = new();

    [Theory]
    [InlineData(0x00, 6)]
    [InlineData(0x1A, 6)]
    [InlineData(0x28, 10)]
    [InlineData(0x5A, 10)]
    [InlineData(0x88, 16)]
    [InlineData(0xA0, 12)]
    [InlineData(0xC1, 10)]
    public void Request_OfAnyOperationCodeGroup_CdbHasItsLength(byte operationCode, int expected)
    {
        var entry = Entry(128, operationCode, (0x10000, 512));

        CommandEntry.CopyRequest(entry, EntryOffset, Layout, 0, _command);

        Assert.Equal(expected, _command.Cdb.Length);
        Assert.Equal(operationCode, _command.Cdb[0]);
    }

    [Fact]
    public void Request_VariableLengthCdb_LengthComesFromByte7()
    {
        var entry = Entry(160, 0x7F);
        entry[112 + 7] = 24;

        CommandEntry.CopyRequest(entry, EntryOffset, Layout, 0, _command);

        Assert.Equal(32, _command.Cdb.Length);
    }

    [Fact]
    public void Request_VariableLengthCdbPastTheEntry_IsRefused()
    {
        var entry = Entry(128, 0x7F);
        entry[112 + 7] = 24;

        Assert.Throws<RingBrokenException>(() => CommandEntry.CopyRequest(entry, EntryOffset, Layout, 0, _command));
    }

    [Fact]
    public void Request_Bidirectional_DataAreTheFirstIovecs()
    {
        var entry = Entry(128, 0x53, (0x10000, 512), (0x20000, 100), (0x30000, 4096));
        MemoryMarshal.Write(entry.AsSpan(8), 2);
        MemoryMarshal.Write(entry.AsSpan(12), 1);

        CommandEntry.CopyRequest(entry, EntryOffset, Layout, 0x7000_0000, _command);

        Assert.Equal(612, _command.Data.LengthBytes);
        Assert.Equal(0x7001_0000, _command.Data.Segments[0].Address);
        Assert.Equal(2, _command.Data.Segments.Length);
    }

    [Theory]
    [InlineData(0xFFFFUL, 512UL)] // The ring's last byte.
    [InlineData(0UL, 512UL)]
    [InlineData(0x10000UL, 0x100000UL)] // Past the mapping.
    [InlineData(0xFFFFFUL, 2UL)]
    [InlineData(0x100001UL, 0UL)]
    [InlineData(0xFFFF_FFFF_FFFF_F000UL, 0x2000UL)] // Overflow.
    [InlineData(0x10000UL, 0xFFFF_FFFF_FFFF_FFFFUL)]
    public void Request_IovecOutsideTheDataArea_IsRefused(ulong offset, ulong length) => Assert.Throws<RingBrokenException>(
        () => CommandEntry.CopyRequest(Entry(128, 0x28, (offset, length)), EntryOffset, Layout, 0, _command));

    [Theory]
    [InlineData(8, 6u)] // iov_cnt: one more than fits 128 - 48 bytes.
    [InlineData(8, uint.MaxValue)]
    [InlineData(12, uint.MaxValue)]
    [InlineData(16, uint.MaxValue)]
    [InlineData(24, EntryOffset - 1u)] // cdb_off.
    [InlineData(24, EntryOffset + 47u)]
    [InlineData(24, EntryOffset + 123u)] // A CDB of 10 bytes passes the end.
    [InlineData(24, EntryOffset + 128u)]
    [InlineData(24, uint.MaxValue)]
    public void Request_FieldDamaged_IsRefused(int fieldOffset, uint value)
    {
        var entry = Entry(128, 0x28, (0x10000, 512));
        entry.AsSpan(120).Fill(0x28);
        MemoryMarshal.Write(entry.AsSpan(fieldOffset), value);

        Assert.Throws<RingBrokenException>(() => CommandEntry.CopyRequest(entry, EntryOffset, Layout, 0, _command));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Entry_RandomBytes_AreRefusedOrPointInside(int seed)
    {
        var random = new Random(seed);
        var accepted = 0;
        for (var i = 0; i < 200_000; i++)
        {
            var entry = Entry(128, (byte)random.Next(256), (0x10000 + (ulong)random.Next(0x1000), (ulong)random.Next(8192)));
            for (var damage = random.Next(6); damage > 0; damage--) entry[random.Next(entry.Length)] = (byte)random.Next(256);
            try
            {
                var header = RingEntry.Parse(entry);
                if (header.Op == RingOp.TaskManagement) TaskManagementEntry.Parse(entry.AsSpan(0, header.LengthBytes), out _);
                CommandEntry.CopyRequest(entry.AsSpan(0, header.LengthBytes), EntryOffset, Layout, 0, _command);
                accepted++;
                foreach (var piece in _command.Data.Segments)
                {
                    Assert.InRange(piece.Address, Layout.DataAreaOffset, Layout.MappingLengthBytes);
                    Assert.InRange(piece.Address + piece.LengthBytes, Layout.DataAreaOffset, Layout.MappingLengthBytes);
                }
            }
            catch (RingBrokenException)
            {
                // What a damaged entry should give.
            }
        }

        Assert.InRange(accepted, 1000, 199_000);
    }

    [Theory]
    [InlineData(0u, 64)]
    [InlineData(4u, 64)]
    [InlineData(72u, 64)]
    [InlineData(0xFFFF_FFF8u, 64)]
    [InlineData(8u, 4)]
    public void Header_LengthSenseless_IsRefused(uint length, int published)
    {
        var bytes = new byte[published];
        MemoryMarshal.Write(bytes, length | 1);

        Assert.Throws<RingBrokenException>(() => RingEntry.Parse(bytes));
    }

    [Theory]
    [InlineData(31, 0u)]
    [InlineData(32, 1u)]
    [InlineData(40, 5u)]
    [InlineData(40, uint.MaxValue)]
    public void TaskManagement_TooShort_IsRefused(int length, uint count)
    {
        var entry = new byte[length];
        MemoryMarshal.Write(entry.AsSpan(12), count);

        Assert.Throws<RingBrokenException>(() => TaskManagementEntry.Parse(entry, out _));
    }

    [Fact]
    public void Response_Good_EveryFieldIsRewritten()
    {
        var entry = Poisoned();
        _command.Begin([0, 0, 0, 0, 0, 0]);
        _command.CompleteGood();

        CommandEntry.WriteResponse(entry, 0x1234, _command, Layout.Flags);

        Assert.Equal(0x1234, MemoryMarshal.Read<ushort>(entry.AsSpan(4)));
        Assert.Equal(0, entry[7]);
        Assert.Equal(0UL, MemoryMarshal.Read<ulong>(entry.AsSpan(8)));
        Assert.Equal(0xCC, entry[6]);
    }

    [Fact]
    public void Response_CheckCondition_SenseFillsItsBuffer()
    {
        var entry = Poisoned();
        _command.Begin([0, 0, 0, 0, 0, 0]);
        _command.CompleteCheckCondition(new SenseData(SenseKey.NotReady, 4, 7));

        CommandEntry.WriteResponse(entry, 1, _command, Layout.Flags);

        Assert.Equal(((byte)2, (byte)0x70, (byte)2, (byte)4, (byte)7), (entry[8], entry[16], entry[18], entry[28], entry[29]));
        Assert.False(entry.AsSpan(34, 78).ContainsAnyExcept((byte)0));
        Assert.Equal(0xCC, entry[112]);
    }

    [Theory]
    [InlineData(100, false, true, 100u)]
    [InlineData(512, false, true, 0u)] // All of it: nothing to say.
    [InlineData(512, true, true, 512u)] // With CHECK CONDITION, that there are data at all.
    [InlineData(0, false, true, 0u)]
    [InlineData(0, true, true, 0u)]
    [InlineData(100, false, false, 0u)] // A kernel without READ_LEN.
    [InlineData(600, false, true, 0u)] // Nonsense of the target's.
    public void Response_DataInShorterThanTheBuffer_ReadLengthOrZeroes(int filled, bool checkCondition, bool kernelCan, uint expected)
    {
        using var buffer = new Gateway.Scsi.Interop.NativeBuffer(512);
        buffer.Span.Fill(0xEE);
        var entry = Poisoned();
        _command.Begin([0x12, 0, 0, 0, 0, 0]);
        _command.Data.Add(buffer);
        _command.CompleteGood(filled);
        if (checkCondition) _command.CompleteCheckCondition(new SenseData(SenseKey.MediumError, 0x11, 0));

        CommandEntry.WriteResponse(entry, 1, _command, kernelCan ? Layout.Flags : MailboxFlags.OutOfOrderCompletion);

        Assert.Equal(expected, MemoryMarshal.Read<uint>(entry.AsSpan(12)));
        Assert.Equal(expected > 0 ? 0x2 : 0, entry[7]);
        // What the kernel delivers although it was not filled must not be someone else's data.
        if (expected == 0 && !checkCondition && filled < 512) Assert.False(buffer.Span[filled..].ContainsAnyExcept((byte)0));
    }

    private static byte[] Poisoned()
    {
        var entry = new byte[128];
        entry.AsSpan().Fill(0xCC);
        return entry;
    }

    private static byte[] Entry(int length, byte operationCode, params (ulong Offset, ulong Length)[] iovs)
    {
        var entry = new byte[length];
        MemoryMarshal.Write(entry.AsSpan(0), (uint)length | 1);
        MemoryMarshal.Write(entry.AsSpan(4), (ushort)1);
        MemoryMarshal.Write(entry.AsSpan(8), iovs.Length);
        MemoryMarshal.Write(entry.AsSpan(24), (ulong)(EntryOffset + 112));
        for (var i = 0; i < iovs.Length; i++)
        {
            MemoryMarshal.Write(entry.AsSpan(48 + i * 16), iovs[i].Offset);
            MemoryMarshal.Write(entry.AsSpan(56 + i * 16), iovs[i].Length);
        }

        entry[112] = operationCode;
        return entry;
    }
}
