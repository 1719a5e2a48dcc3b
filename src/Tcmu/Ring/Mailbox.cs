using System.Runtime.InteropServices;

namespace Gateway.Tcmu;

/// <summary>What the kernel's side of the ring can do; TCMU_MAILBOX_FLAG_CAP_* of target_core_user.h.</summary>
[Flags]
public enum MailboxFlags
{
    None = 0,

    /// <summary>Commands may complete in any order.</summary>
    OutOfOrderCompletion = 1 << 0,

    /// <summary>The kernel heeds READ_LEN in a response.</summary>
    ReadLength = 1 << 1,

    /// <summary>The kernel can tell of task management functions.</summary>
    TaskManagement = 1 << 2,

    /// <summary>Buffers may be kept past completion.</summary>
    KeepBuffer = 1 << 3,
}

/// <summary>The fixed part of a mailbox, checked: <c>struct tcmu_mailbox</c> of target_core_user.h.</summary>
/// <param name="Flags">What the kernel can do.</param>
/// <param name="RingOffset">Where the command ring starts, in bytes from the start of the mapping.</param>
/// <param name="RingLengthBytes">Length of the command ring; a multiple of 8, not a power of two.</param>
/// <param name="MappingLengthBytes">Length of the mapping; the data area lies between the ring's end and it.</param>
public readonly record struct Mailbox(MailboxFlags Flags, int RingOffset, int RingLengthBytes, long MappingLengthBytes)
{
    /// <summary>Bytes from the mailbox's start to the ring, at least (its fields end with cmd_tail).</summary>
    public const int LengthBytes = CmdTailOffset + sizeof(uint);

    internal const ushort SupportedVersion = 2;
    internal const int VersionOffset = 0;
    internal const int FlagsOffset = 2;
    internal const int RingOffsetOffset = 4;
    internal const int RingLengthOffset = 8;
    internal const int CmdHeadOffset = 12;
    internal const int CmdTailOffset = 64;

    // The kernel's rings are 1 to 8 MiB. The least is what any CMD entry with one iovec needs.
    private const int RingLengthMinBytes = 256;
    private const int RingLengthMaxBytes = 1 << 30;

    /// <summary>Where the data area starts, in bytes from the start of the mapping.</summary>
    public long DataAreaOffset => (long)RingOffset + RingLengthBytes;

    /// <summary>Reads and checks the fixed fields. Not cmd_head and cmd_tail, which move.</summary>
    /// <exception cref="RingBrokenException">Another version, or offsets that do not fit the mapping.</exception>
    public static Mailbox Parse(ReadOnlySpan<byte> mailbox, long mappingLengthBytes)
    {
        if (mailbox.Length < LengthBytes) throw new RingBrokenException($"A mapping of {mappingLengthBytes} bytes does not hold a mailbox.");
        var version = MemoryMarshal.Read<ushort>(mailbox[VersionOffset..]);
        if (version != SupportedVersion)
            throw new RingBrokenException($"The kernel speaks TCMU mailbox version {version}; this program knows version {SupportedVersion} only.");

        var flags = (MailboxFlags)MemoryMarshal.Read<ushort>(mailbox[FlagsOffset..]);
        if (!flags.HasFlag(MailboxFlags.OutOfOrderCompletion))
            throw new RingBrokenException("The kernel's TCMU does not take completions out of order; a newer kernel is needed.");

        var offset = MemoryMarshal.Read<uint>(mailbox[RingOffsetOffset..]);
        var length = MemoryMarshal.Read<uint>(mailbox[RingLengthOffset..]);
        if (offset < LengthBytes || offset % RingEntry.AlignmentBytes != 0
            || length is < RingLengthMinBytes or > RingLengthMaxBytes || length % RingEntry.AlignmentBytes != 0
            || offset + (ulong)length > (ulong)mappingLengthBytes)
        {
            throw new RingBrokenException($"The mailbox puts a command ring of {length} bytes at {offset} of a mapping of {mappingLengthBytes} bytes.");
        }

        return new Mailbox(flags, (int)offset, (int)length, mappingLengthBytes);
    }
}
