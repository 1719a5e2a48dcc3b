using System.Runtime.InteropServices;

namespace Gateway.Volumes.Interop;

/// <summary>What kind of file system a path is on.</summary>
internal static partial class FileSystem
{
    /// <summary>Longer than <c>struct statfs</c> is anywhere (120 bytes on 64-bit Linux); its first word is <c>f_type</c>.</summary>
    private const int StatfsBytes = 512;

    /// <summary>
    /// Why an fdatasync on the file system of a directory may promise nothing, in words that complete "it is on …"; null if nothing is known against it.
    /// </summary>
    /// <exception cref="IOException">The directory cannot be looked at.</exception>
    public static unsafe string? FindFault(string directory)
    {
        var buffer = stackalloc byte[StatfsBytes];
        if (Statfs(directory, buffer) != 0) throw new IOException($"Could not look at the file system of '{directory}': {Marshal.GetLastPInvokeErrorMessage()}");

        // linux/magic.h; the types of 32 bits are compared as such, whatever their sign.
        return (uint)*(nint*)buffer switch
        {
            0x01021994 => "tmpfs, which is memory",
            0x858458F6 => "ramfs, which is memory",
            0x958458F6 => "hugetlbfs, which is memory",
            0x794C7630 => "overlayfs, which containers and live systems lose when they end",
            0x6969 => "NFS, a network file system",
            0xFF534D42 or 0xFE534D42 or 0x517B => "SMB, a network file system",
            0x00C36400 => "CephFS, a network file system",
            0x5346414F or 0x6B414653 => "AFS, a network file system",
            0x0BD00BD0 => "Lustre, a network file system",
            0x01021997 => "9P, a network file system",
            0x65735546 => "FUSE: a program that may take a flush for a hint",
            _ => null,
        };
    }

    /// <summary><c>int statfs(const char *path, struct statfs *buf)</c>: 0, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "statfs", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int Statfs(string path, byte* buffer);
}
