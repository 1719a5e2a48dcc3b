using System.Runtime.InteropServices;

namespace Gateway.Volumes.Interop;

/// <summary>CLOCK_BOOTTIME: time since the machine started, suspension included.</summary>
internal static partial class BootClock
{
    private const int ClockBootTime = 7; // CLOCK_BOOTTIME, linux/time.h.

    /// <summary>Nanoseconds since the machine started.</summary>
    public static unsafe long Nanoseconds()
    {
        Timespec now;
        // It cannot fail: the kernel has had this clock since 2.6.39, and the pointer is good.
        _ = ClockGetTime(ClockBootTime, &now);
        return (now.Seconds * 1_000_000_000) + now.Nanoseconds;
    }

    /// <summary><c>struct timespec { time_t tv_sec; long tv_nsec; }</c>, time.h, on 64-bit machines.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Timespec
    {
        public long Seconds;
        public long Nanoseconds;
    }

    /// <summary><c>int clock_gettime(clockid_t clockid, struct timespec *tp)</c>: 0, or -1. Answered by the vDSO, without a system call.</summary>
    [LibraryImport("libc", EntryPoint = "clock_gettime"), SuppressGCTransition]
    private static unsafe partial int ClockGetTime(int clock, Timespec* now);
}
