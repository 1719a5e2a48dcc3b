using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Gateway.Backends.File.Interop;

/// <summary>The libc calls that <see cref="System.IO"/> does not offer: everything relative to an open directory, and links never followed.</summary>
/// <remarks>All return -1 (or null) with errno as the last P/Invoke error. Constants are Linux's, the same on x86-64 and arm64 but for two.</remarks>
internal static partial class LibC
{
    public const int O_RDONLY = 0, O_WRONLY = 1, O_CREAT = 0x40, O_EXCL = 0x80, O_NONBLOCK = 0x800, O_CLOEXEC = 0x80000;
    public static readonly int O_DIRECTORY = IsArm ? 0x4000 : 0x10000;
    public static readonly int O_NOFOLLOW = IsArm ? 0x8000 : 0x20000;

    public const int AT_REMOVEDIR = 0x200, AT_SYMLINK_NOFOLLOW = 0x100, AT_EMPTY_PATH = 0x1000;
    public const uint RENAME_NOREPLACE = 1;
    public const int LOCK_EX = 2, LOCK_NB = 4;
    public const uint STATX_TYPE = 1, STATX_NLINK = 4, STATX_MTIME = 0x40, STATX_SIZE = 0x200;
    public const int S_IFMT = 0xF000, S_IFDIR = 0x4000, S_IFREG = 0x8000, S_IFLNK = 0xA000;
    public const byte DT_UNKNOWN = 0, DT_DIR = 4, DT_REG = 8;

    private static bool IsArm => RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm;

    /// <summary><c>int open(const char *pathname, int flags)</c>, without the mode: never used to create.</summary>
    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial SafeFileHandle Open(string path, int flags);

    /// <summary><c>int openat(int dirfd, const char *pathname, int flags, mode_t mode)</c></summary>
    [LibraryImport("libc", EntryPoint = "openat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial SafeFileHandle OpenAt(SafeFileHandle directory, string name, int flags, uint mode);

    /// <summary><c>int mkdirat(int dirfd, const char *pathname, mode_t mode)</c></summary>
    [LibraryImport("libc", EntryPoint = "mkdirat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int MakeDirectoryAt(SafeFileHandle directory, string name, uint mode);

    /// <summary><c>int unlinkat(int dirfd, const char *pathname, int flags)</c></summary>
    [LibraryImport("libc", EntryPoint = "unlinkat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int UnlinkAt(SafeFileHandle directory, string name, int flags);

    /// <summary><c>int linkat(int olddirfd, const char *oldpath, int newdirfd, const char *newpath, int flags)</c></summary>
    [LibraryImport("libc", EntryPoint = "linkat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int LinkAt(SafeFileHandle fromDirectory, string from, SafeFileHandle toDirectory, string to, int flags);

    /// <summary><c>int renameat(int olddirfd, const char *oldpath, int newdirfd, const char *newpath)</c></summary>
    [LibraryImport("libc", EntryPoint = "renameat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int RenameAt(SafeFileHandle fromDirectory, string from, SafeFileHandle toDirectory, string to);

    /// <summary><c>int renameat2(int olddirfd, const char *oldpath, int newdirfd, const char *newpath, unsigned int flags)</c></summary>
    [LibraryImport("libc", EntryPoint = "renameat2", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int RenameAt2(SafeFileHandle fromDirectory, string from, SafeFileHandle toDirectory, string to, uint flags);

    /// <summary><c>ssize_t readlinkat(int dirfd, const char *pathname, char *buf, size_t bufsiz)</c></summary>
    [LibraryImport("libc", EntryPoint = "readlinkat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial nint ReadLinkAt(SafeFileHandle directory, string name, Span<byte> target, nint targetLength);

    /// <summary><c>int fsync(int fd)</c></summary>
    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    public static partial int Fsync(SafeFileHandle file);

    /// <summary><c>int flock(int fd, int operation)</c></summary>
    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    public static partial int Flock(SafeFileHandle file, int operation);

    /// <summary><c>int statx(int dirfd, const char *pathname, int flags, unsigned int mask, struct statx *statxbuf)</c></summary>
    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Statx(SafeFileHandle directory, string name, int flags, uint mask, out Statx result);

    /// <summary><c>int dup(int oldfd)</c>; <see cref="OpenDirectoryStream"/> takes its descriptor over.</summary>
    [LibraryImport("libc", EntryPoint = "dup", SetLastError = true)]
    public static partial int Duplicate(SafeFileHandle file);

    /// <summary><c>DIR *fdopendir(int fd)</c></summary>
    [LibraryImport("libc", EntryPoint = "fdopendir", SetLastError = true)]
    public static partial nint OpenDirectoryStream(int descriptor);

    /// <summary><c>struct dirent *readdir(DIR *dirp)</c>: null at the end with errno unchanged, or on an error with errno set.</summary>
    [LibraryImport("libc", EntryPoint = "readdir", SetLastError = true)]
    public static partial nint ReadDirectory(nint stream);

    /// <summary><c>int closedir(DIR *dirp)</c></summary>
    [LibraryImport("libc", EntryPoint = "closedir", SetLastError = true)]
    public static partial int CloseDirectoryStream(nint stream);

    /// <summary><c>int close(int fd)</c></summary>
    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    public static partial int Close(int descriptor);
}

/// <summary><c>struct statx</c> of linux/stat.h, as far as it is used: 256 bytes, the same on every architecture.</summary>
[StructLayout(LayoutKind.Explicit, Size = 256)]
internal struct Statx
{
    [FieldOffset(16)] public uint LinkCount;
    [FieldOffset(28)] public ushort Mode;
    [FieldOffset(40)] public ulong SizeBytes;
    [FieldOffset(112)] public long ModifiedSeconds;

    public readonly bool IsRegular => (Mode & LibC.S_IFMT) == LibC.S_IFREG;
    public readonly bool IsDirectory => (Mode & LibC.S_IFMT) == LibC.S_IFDIR;
}

/// <summary>errno values of Linux (asm-generic), the same on x86-64 and arm64.</summary>
internal static class Errno
{
    public const int EPERM = 1, ENOENT = 2, EIO = 5, EACCES = 13, EEXIST = 17, ENOTDIR = 20, EISDIR = 21, EINVAL = 22, ENOSPC = 28, EROFS = 30,
        EMLINK = 31, ENAMETOOLONG = 36, ENOSYS = 38, ENOTEMPTY = 39, ELOOP = 40, EOPNOTSUPP = 95, EDQUOT = 122;
}
