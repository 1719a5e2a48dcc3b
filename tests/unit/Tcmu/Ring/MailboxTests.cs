using System.Runtime.InteropServices;
using Xunit;

namespace Gateway.Tcmu.Tests.Ring;

public sealed class MailboxTests
{
    private const long MappingBytes = 1 << 20;

    // struct tcmu_mailbox, tcmu_cmd_entry and tcmu_tmr_entry of target_core_user.h, offsets as compiled on x86-64.
    [Fact]
    public void Layout_AgainstTheKernelHeader_OffsetsAgree()
    {
        Assert.Equal(
            (0, 2, 4, 8, 12, 64, 68),
            (Mailbox.VersionOffset, Mailbox.FlagsOffset, Mailbox.RingOffsetOffset, Mailbox.RingLengthOffset, Mailbox.CmdHeadOffset, Mailbox.CmdTailOffset, Mailbox.LengthBytes));
        Assert.Equal(
            (0, 4, 6, 7, 8),
            (RingEntry.LengthOpOffset, RingEntry.CmdIdOffset, RingEntry.KernelFlagsOffset, RingEntry.ResponseFlagsOffset, RingEntry.HeaderLengthBytes));
        Assert.Equal(
            (8, 12, 16, 24, 48, 16),
            (CommandEntry.IovCountOffset, CommandEntry.BidiIovCountOffset, CommandEntry.DifIovCountOffset, CommandEntry.CdbOffsetOffset, CommandEntry.IovOffset, CommandEntry.IovLengthBytes));
        Assert.Equal(
            (8, 12, 16, 96, 112),
            (CommandEntry.StatusOffset, CommandEntry.ReadLengthOffset, CommandEntry.SenseOffset, CommandEntry.SenseLengthBytes, CommandEntry.LengthMinBytes));
        Assert.Equal((8, 12, 32), (TaskManagementEntry.TypeOffset, TaskManagementEntry.CmdCountOffset, TaskManagementEntry.CmdIdsOffset));
    }

    [Fact]
    public void Mailbox_AsTheKernelWritesIt_IsParsed()
    {
        var mailbox = Mailbox.Parse(Bytes(2, 7, 128, 65408), MappingBytes);

        Assert.Equal((128, 65408, 65536L), (mailbox.RingOffset, mailbox.RingLengthBytes, mailbox.DataAreaOffset));
        Assert.Equal(MailboxFlags.OutOfOrderCompletion | MailboxFlags.ReadLength | MailboxFlags.TaskManagement, mailbox.Flags);
    }

    [Theory]
    [InlineData(1, 7, 128u, 65408u)] // Version.
    [InlineData(3, 7, 128u, 65408u)]
    [InlineData(2, 6, 128u, 65408u)] // No out-of-order completion.
    [InlineData(2, 7, 64u, 65408u)] // Over the mailbox.
    [InlineData(2, 7, 132u, 65408u)] // Unaligned.
    [InlineData(2, 7, 128u, 65404u)]
    [InlineData(2, 7, 128u, 0u)]
    [InlineData(2, 7, 128u, 1048576u)] // Past the mapping.
    [InlineData(2, 7, 4294967288u, 65408u)]
    [InlineData(2, 7, 128u, 4294967288u)]
    public void Mailbox_Senseless_IsRefused(int version, int flags, uint offset, uint length) =>
        Assert.Throws<RingBrokenException>(() => Mailbox.Parse(Bytes(version, flags, offset, length), MappingBytes));

    [Fact]
    public void Mailbox_MappingTooShort_IsRefused() => Assert.Throws<RingBrokenException>(() => Mailbox.Parse(new byte[40], 40));

    private static byte[] Bytes(int version, int flags, uint offset, uint length)
    {
        var bytes = new byte[128];
        MemoryMarshal.Write(bytes.AsSpan(0), (ushort)version);
        MemoryMarshal.Write(bytes.AsSpan(2), (ushort)flags);
        MemoryMarshal.Write(bytes.AsSpan(4), offset);
        MemoryMarshal.Write(bytes.AsSpan(8), length);
        return bytes;
    }
}
