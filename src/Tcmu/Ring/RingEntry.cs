using System.Runtime.InteropServices;

namespace Gateway.Tcmu;

/// <summary><c>enum tcmu_opcode</c>; other values come from a kernel newer than this program.</summary>
internal enum RingOp
{
    Pad = 0,
    Command = 1,
    TaskManagement = 2,
}

/// <summary>TCMU_UFLAG_*: what a response says about itself.</summary>
[Flags]
internal enum ResponseFlags
{
    None = 0,
    UnknownOp = 0x1,
    ReadLength = 0x2,
    KeepBuffer = 0x4,
}

/// <summary>The header of a ring entry: <c>struct tcmu_cmd_entry_hdr</c> of target_core_user.h. A copy: it does not alias the ring.</summary>
/// <param name="Op">What the entry is.</param>
/// <param name="LengthBytes">Length of the entry with its header, a multiple of 8.</param>
/// <param name="CmdId">Names the command until it is completed; 0 for PAD and TMR.</param>
internal readonly record struct RingEntry(RingOp Op, int LengthBytes, ushort CmdId)
{
    public const int AlignmentBytes = 8;
    public const int HeaderLengthBytes = 8;
    public const int LengthOpOffset = 0;
    public const int CmdIdOffset = 4;
    public const int KernelFlagsOffset = 6;
    public const int ResponseFlagsOffset = 7;
    public const uint OpMask = 0x7;

    /// <summary>Decodes the header at the start of <paramref name="published"/>: the bytes up to cmd_head or the end of the ring.</summary>
    /// <exception cref="RingBrokenException">The length is 0, or passes what is published or the ring's end.</exception>
    public static RingEntry Parse(ReadOnlySpan<byte> published)
    {
        if (published.Length < HeaderLengthBytes) throw new RingBrokenException($"{published.Length} published bytes hold no entry header.");
        var lengthOp = MemoryMarshal.Read<uint>(published);
        var length = lengthOp & ~OpMask;
        if (length < HeaderLengthBytes || length > published.Length)
            throw new RingBrokenException($"An entry of {length} bytes stands where {published.Length} bytes are published before the ring's end.");
        return new RingEntry((RingOp)(lengthOp & OpMask), (int)length, MemoryMarshal.Read<ushort>(published[CmdIdOffset..]));
    }
}
