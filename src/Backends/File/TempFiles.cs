using System.Runtime.InteropServices;
using Gateway.Backends.Core;
using Gateway.Backends.File.Interop;
using Microsoft.Win32.SafeHandles;

namespace Gateway.Backends.File;

/// <summary>Files being written, in a folder of the root whose name no blob key can have.</summary>
/// <remarks>
/// A writer holds an flock on its file for as long as it needs it, so that leftovers of killed processes are told from files in use, also
/// in other processes: 1. create; 2. lock; 3. look whether the file still has a name, since a cleaner may have come between 1 and 2.
/// A cleaner removes a file only while it holds the lock itself, and only one that is older than an hour: some network file systems lock in name only.
/// </remarks>
internal sealed class TempFiles(string rootPath, TimeProvider time)
{
    /// <summary>'+' is in no <see cref="BlobKey"/>.</summary>
    public const string Folder = "+tmp";

    private const int CleanedMax = 10_000;
    private const uint FileMode = 0x1A4; // 0644 before the umask.
    private static readonly TimeSpan LeftoverAge = TimeSpan.FromHours(1);

    private readonly string _unique = Guid.NewGuid().ToString("N")[..12];
    private long _count;
    private int _cleaned;

    /// <summary>A new, empty, locked file in the folder; <paramref name="name"/> is its name there.</summary>
    public SafeFileHandle Create(SafeFileHandle folder, out string name)
    {
        while (true)
        {
            name = $"{_unique}-{Interlocked.Increment(ref _count):x}";
            var file = LibC.OpenAt(folder, name, LibC.O_WRONLY | LibC.O_CREAT | LibC.O_EXCL | LibC.O_CLOEXEC | LibC.O_NOFOLLOW, FileMode);
            if (file.IsInvalid)
            {
                var errno = Marshal.GetLastPInvokeError();
                file.Dispose();
                throw FileErrors.From(errno, $"{rootPath}/{Folder}", "creating a file");
            }

            // Where locks are not supported, the age alone protects the file.
            _ = LibC.Flock(file, LibC.LOCK_EX | LibC.LOCK_NB);
            if (LibC.Statx(file, "", LibC.AT_EMPTY_PATH, LibC.STATX_NLINK, out var stat) == 0 && stat.LinkCount > 0) return file;
            file.Dispose();
        }
    }

    /// <summary>Removes what processes that are gone have left behind; once per store, and no more than 10,000 files.</summary>
    public void CleanOnce(SafeFileHandle folder)
    {
        if (Interlocked.Exchange(ref _cleaned, 1) != 0) return;
        var entries = new List<(string Name, byte Type)>();
        if (DirectoryReader.TryRead(folder, entries) != 0) return; // Leftovers only cost space.
        var newest = time.GetUtcNow() - LeftoverAge;
        foreach (var (name, _) in entries.Take(CleanedMax)) CleanIfAbandoned(folder, name, newest.ToUnixTimeSeconds());
    }

    private static void CleanIfAbandoned(SafeFileHandle folder, string name, long newestSeconds)
    {
        using var file = LibC.OpenAt(folder, name, LibC.O_RDONLY | LibC.O_NONBLOCK | LibC.O_CLOEXEC | LibC.O_NOFOLLOW, 0);
        if (file.IsInvalid) return;
        if (LibC.Statx(file, "", LibC.AT_EMPTY_PATH, LibC.STATX_TYPE | LibC.STATX_MTIME, out var stat) != 0) return;
        if (!stat.IsRegular || stat.ModifiedSeconds > newestSeconds) return;
        if (LibC.Flock(file, LibC.LOCK_EX | LibC.LOCK_NB) == 0) _ = LibC.UnlinkAt(folder, name, 0);
    }
}
