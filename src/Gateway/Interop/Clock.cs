using System.Buffers.Binary;
using Gateway.Doctor;

namespace Gateway.Interop;

/// <summary>The kernel's view of its wall clock.</summary>
internal static class Clock
{
    // struct timex of linux/timex.h on 64-bit Linux: unsigned int modes at 0 (0: changes nothing), long offset at 8, long freq at 16, long maxerror (µs) at 24,
    // long esterror at 32, int status at 40; 208 bytes in all.
    private const int TimexBytes = 208;
    private const int MaxErrorAt = 24;
    private const int StatusAt = 40;
    private const int StatusUnsynchronized = 0x0040; // STA_UNSYNC.
    private const int StateError = 5; // TIME_ERROR.

    /// <summary>Null if the kernel does not tell.</summary>
    public static unsafe ClockState? State()
    {
        var buffer = stackalloc byte[TimexBytes];
        new Span<byte>(buffer, TimexBytes).Clear();
        var state = Libc.AdjustTime(buffer);
        if (state < 0) return null;
        var timex = new ReadOnlySpan<byte>(buffer, TimexBytes);
        var isRight = state != StateError && (BinaryPrimitives.ReadInt32LittleEndian(timex[StatusAt..]) & StatusUnsynchronized) == 0;
        return new ClockState(isRight, TimeSpan.FromMicroseconds(BinaryPrimitives.ReadInt64LittleEndian(timex[MaxErrorAt..])));
    }
}
