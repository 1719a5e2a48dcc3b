using System.Runtime.InteropServices;

namespace Gateway.Tcmu.Interop;

/// <summary>An anonymous file in memory (memfd), to be mapped several times.</summary>
internal static partial class MemoryFile
{
    private const uint CloseOnExec = 1; // MFD_CLOEXEC.

    /// <summary>Creates a file of <paramref name="lengthBytes"/> zeroes.</summary>
    public static FileDescriptor Create(string name, long lengthBytes)
    {
        var fd = MemfdCreate(name, CloseOnExec);
        if (fd < 0) throw ErrnoException.Last("memfd_create");
        var descriptor = new FileDescriptor(fd);
        return Ftruncate(descriptor, lengthBytes) == 0 ? descriptor : throw ErrnoException.Last("ftruncate");
    }

    /// <summary><c>int memfd_create(const char *name, unsigned int flags)</c>.</summary>
    [LibraryImport("libc", EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int MemfdCreate(string name, uint flags);

    /// <summary><c>int ftruncate(int fd, off_t length)</c>.</summary>
    [LibraryImport("libc", EntryPoint = "ftruncate", SetLastError = true)]
    private static partial int Ftruncate(FileDescriptor fd, long lengthBytes);
}
