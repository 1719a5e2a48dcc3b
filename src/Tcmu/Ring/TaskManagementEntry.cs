using System.Runtime.InteropServices;

namespace Gateway.Tcmu;

/// <summary>TCMU_TMR_*: the task management function that LIO carries out.</summary>
public enum TmrType
{
    Unknown = 0,
    AbortTask = 1,
    AbortTaskSet = 2,
    ClearAca = 3,
    ClearTaskSet = 4,
    LunReset = 5,
    TargetWarmReset = 6,
    TargetColdReset = 7,

    /// <summary>Caused by PERSISTENT RESERVE OUT.</summary>
    LunResetByPersistentReserve = 128,
}

/// <summary>Told of a task management function, on the device's thread: must not block. The commands are cancelled after it.</summary>
/// <param name="type">The function.</param>
/// <param name="cmdIds">The commands it concerns, each of which still has to complete. Valid during the call only.</param>
public delegate void TaskManagementHandler(TmrType type, ReadOnlySpan<ushort> cmdIds);

/// <summary>A TMR entry: <c>struct tcmu_tmr_entry</c> of target_core_user.h.</summary>
internal static class TaskManagementEntry
{
    public const int TypeOffset = 8;
    public const int CmdCountOffset = 12;
    public const int CmdIdsOffset = 32;

    /// <summary>Decodes an entry; the ids still alias it.</summary>
    /// <exception cref="RingBrokenException">The entry is too short for what it says.</exception>
    public static TmrType Parse(ReadOnlySpan<byte> entry, out ReadOnlySpan<ushort> cmdIds)
    {
        if (entry.Length < CmdIdsOffset) throw new RingBrokenException($"A TMR entry has {entry.Length} bytes; {CmdIdsOffset} is the least.");
        var count = MemoryMarshal.Read<uint>(entry[CmdCountOffset..]);
        if (count > (uint)(entry.Length - CmdIdsOffset) / sizeof(ushort))
            throw new RingBrokenException($"A TMR entry of {entry.Length} bytes says that it holds {count} command ids.");
        cmdIds = MemoryMarshal.Cast<byte, ushort>(entry.Slice(CmdIdsOffset, (int)count * sizeof(ushort)));
        return (TmrType)entry[TypeOffset];
    }
}
