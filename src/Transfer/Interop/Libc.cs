using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Gateway.Transfer.Interop;

/// <summary>Calls of the C library, each beside its declaration.</summary>
internal static partial class Libc
{
    public const int SeekEnd = 2;
    public const int SeekData = 3;
    public const int SeekHole = 4;

    /// <summary>No such device or address: what lseek says past the last data.</summary>
    public const int NoSuchAddress = 6;

    // off_t lseek(int fd, off_t offset, int whence);
    [LibraryImport("libc", EntryPoint = "lseek", SetLastError = true)]
    public static partial long Seek(SafeFileHandle file, long offset, int whence);

}
