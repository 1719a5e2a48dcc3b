using System.Runtime.InteropServices;

namespace Gateway.Lio.Interop;

/// <summary>The libc calls of this project. The framework's own would make parents and hide errors.</summary>
internal static partial class Libc
{
    /// <summary>rwxr-xr-x; the type of mode_t is 32 bits on Linux.</summary>
    public const uint DirectoryMode = 0x1ED;

    /// <summary><c>int mkdir(const char *path, mode_t mode)</c>.</summary>
    [LibraryImport("libc", EntryPoint = "mkdir", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int MakeDirectory(string path, uint mode);

    /// <summary><c>int rmdir(const char *path)</c>.</summary>
    [LibraryImport("libc", EntryPoint = "rmdir", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int RemoveDirectory(string path);

    /// <summary><c>int symlink(const char *target, const char *path)</c>.</summary>
    [LibraryImport("libc", EntryPoint = "symlink", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Link(string target, string path);

    /// <summary><c>int unlink(const char *path)</c>.</summary>
    [LibraryImport("libc", EntryPoint = "unlink", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Unlink(string path);
}
