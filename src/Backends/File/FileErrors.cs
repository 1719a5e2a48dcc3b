using System.Runtime.InteropServices;
using Gateway.Backends.Core;
using Gateway.Backends.File.Interop;

namespace Gateway.Backends.File;

/// <summary>errno to <see cref="BlobErrorKind"/>, in words that say what to do.</summary>
internal static class FileErrors
{
    /// <summary>The exception for the errno of the last failed call.</summary>
    /// <param name="place">The path that the call was about, for people.</param>
    /// <param name="action">What was being done: "writing", say.</param>
    public static BlobStoreException Last(string place, string action) => From(Marshal.GetLastPInvokeError(), place, action);

    public static BlobStoreException From(int errno, string place, string action, Exception? inner = null)
    {
        var (kind, advice) = errno switch
        {
            Errno.EACCES or Errno.EPERM => (BlobErrorKind.AccessDenied, "Give this process's user read and write access to it (chown, chmod)."),
            Errno.EROFS => (BlobErrorKind.AccessDenied, "The file system is mounted read-only: remount it read-write, and look in the kernel log for why."),
            Errno.ENOSPC => (BlobErrorKind.Unavailable, "The file system is full (see df -h and df -i): free some space."),
            Errno.EDQUOT => (BlobErrorKind.Unavailable, "The disk quota of this process's user is used up: raise it, or free some space."),
            Errno.EIO => (BlobErrorKind.Unavailable, "The disk below it reports errors: look in the kernel log."),
            Errno.ENAMETOOLONG => (BlobErrorKind.Rejected, "A file system takes at most 255 bytes between two '/': use shorter names."),
            Errno.ENOTDIR or Errno.EISDIR or Errno.ENOTEMPTY => (BlobErrorKind.Rejected, "A directory cannot have the name of a blob, nor a blob that of a directory: rename or remove what is in the way."),
            Errno.ELOOP => (BlobErrorKind.Rejected, "A symbolic link is in the way, and links below the store's root are not followed: replace it by what it points to."),
            _ => (BlobErrorKind.Unavailable, "See errno(3) and the kernel log."),
        };
        return new BlobStoreException(kind, $"{place}: {action} failed: {Marshal.GetPInvokeErrorMessage(errno)} (errno {errno}). {advice}", inner);
    }

    /// <summary>For what <see cref="RandomAccess"/> throws; on Unix its exceptions carry errno as HResult.</summary>
    public static BlobStoreException From(Exception e, string place, string action) =>
        From(e is UnauthorizedAccessException ? Errno.EACCES : e.HResult is > 0 and < 4096 ? e.HResult : Errno.EIO, place, action, e);

    public static BlobStoreException NotFound(string place) => new(BlobErrorKind.NotFound, $"{place}: there is no such blob.");

    public static BlobStoreException RootMissing(string root, bool isNoDirectory) => new(BlobErrorKind.ContainerMissing, isNoDirectory
        ? $"{root}: the store's root is not a directory. Point the store at another path, or move the file away and create it: mkdir -p {root}"
        : $"{root}: the store's root directory does not exist. Mount it, or create it: mkdir -p {root}");
}
