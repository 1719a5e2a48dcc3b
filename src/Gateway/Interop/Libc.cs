using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Gateway.Interop;

/// <summary>Calls of the C library, each beside its declaration.</summary>
internal static partial class Libc
{
    /// <summary>An owner or group that stays as it is.</summary>
    public const uint Unchanged = uint.MaxValue;

    // int chown(const char *pathname, uid_t owner, gid_t group);
    [LibraryImport("libc", EntryPoint = "chown", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Chown(string path, uint owner, uint group);

    // int fdatasync(int fd);
    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    public static partial int FlushData(SafeFileHandle file);

    // int adjtimex(struct timex *buf); 0 to 5 is the clock's state, -1 a failure.
    [LibraryImport("libc", EntryPoint = "adjtimex", SetLastError = true)]
    public static unsafe partial int AdjustTime(byte* buffer);
}
