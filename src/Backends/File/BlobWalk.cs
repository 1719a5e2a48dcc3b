using System.Runtime.InteropServices;
using Gateway.Backends.Core;
using Gateway.Backends.File.Interop;
using Microsoft.Win32.SafeHandles;

namespace Gateway.Backends.File;

/// <summary>Walks the tree so that blobs come out in the ordinal order of their whole names.</summary>
/// <remarks>
/// Within one directory, a subdirectory sorts as its name and a '/', a file as its name: '/' comes after '-' and '.' and before digits, so
/// "a-b" and "a.b" come before all of "a/", and "a0" after. That makes the depth-first order the ordinal order of the whole names.
/// One directory's names are in memory at a time per level. Links, sockets and the like are no blobs.
/// </remarks>
internal static class BlobWalk
{
    private static readonly int OpenFlags = LibC.O_RDONLY | LibC.O_DIRECTORY | LibC.O_NOFOLLOW | LibC.O_CLOEXEC;

    /// <summary>The blobs whose names start with <paramref name="prefix"/> and come after <paramref name="startAfter"/>. Blocks on the disk as it is enumerated.</summary>
    public static IEnumerable<BlobInfo> Blobs(string rootPath, string prefix, string? startAfter)
    {
        using var root = DirectoryChain.OpenRoot(rootPath);
        foreach (var blob in Walk(rootPath, root.Last, "", prefix, startAfter)) yield return blob;
    }

    /// <summary>The folders directly below <paramref name="prefix"/> that hold a blob at any depth.</summary>
    public static IEnumerable<string> Folders(string rootPath, string prefix)
    {
        var folders = prefix.Split('/', StringSplitOptions.RemoveEmptyEntries);
        using var chain = DirectoryChain.TryOpen(rootPath, folders, create: false);
        if (chain is null) yield break;
        foreach (var entry in ReadSorted(rootPath, chain.Last, prefix))
        {
            if (!entry.IsFolder) continue;
            using var folder = LibC.OpenAt(chain.Last, entry.SortName[..^1], OpenFlags, 0);
            if (!folder.IsInvalid && Walk(rootPath, folder, prefix + entry.SortName, "", null).Any()) yield return entry.SortName;
        }
    }

    private static IEnumerable<BlobInfo> Walk(string rootPath, SafeFileHandle directory, string path, string prefix, string? startAfter)
    {
        foreach (var entry in ReadSorted(rootPath, directory, path))
        {
            var name = path + entry.SortName;
            if (entry.IsFolder)
            {
                if (!MayHold(name, prefix, startAfter)) continue;
                using var folder = LibC.OpenAt(directory, entry.SortName[..^1], OpenFlags, 0);
                if (folder.IsInvalid)
                {
                    // Gone, or no directory any more, is a change during the walk; the rest is not.
                    if (Marshal.GetLastPInvokeError() is var errno and not (Errno.ENOENT or Errno.ENOTDIR or Errno.ELOOP))
                        throw FileErrors.From(errno, $"{rootPath}/{name}", "listing");
                    continue;
                }

                foreach (var blob in Walk(rootPath, folder, name, prefix, startAfter)) yield return blob;
            }
            else if (name.StartsWith(prefix, StringComparison.Ordinal) && (startAfter is null || string.CompareOrdinal(name, startAfter) > 0)
                && LibC.Statx(directory, entry.SortName, LibC.AT_SYMLINK_NOFOLLOW, LibC.STATX_TYPE | LibC.STATX_SIZE, out var stat) == 0 && stat.IsRegular)
            {
                yield return new BlobInfo(name, (long)stat.SizeBytes);
            }
        }
    }

    /// <summary>Whether names that begin with <paramref name="folder"/> (ending in '/') can be asked for.</summary>
    private static bool MayHold(string folder, string prefix, string? startAfter)
    {
        if (!folder.StartsWith(prefix, StringComparison.Ordinal) && !prefix.StartsWith(folder, StringComparison.Ordinal)) return false;
        return startAfter is null || string.CompareOrdinal(folder, startAfter) > 0 || startAfter.StartsWith(folder, StringComparison.Ordinal);
    }

    private static List<(string SortName, bool IsFolder)> ReadSorted(string rootPath, SafeFileHandle directory, string path)
    {
        var raw = new List<(string Name, byte Type)>();
        var errno = DirectoryReader.TryRead(directory, raw);
        if (errno is not (0 or Errno.ENOENT)) throw FileErrors.From(errno, $"{rootPath}/{path}", "listing");
        var sorted = new List<(string SortName, bool IsFolder)>(raw.Count);
        foreach (var (name, type) in raw)
        {
            if (path.Length == 0 && name == TempFiles.Folder) continue;
            var isFolder = type == LibC.DT_DIR || (type == LibC.DT_UNKNOWN && IsDirectory(directory, name));
            if (isFolder) sorted.Add((name + "/", true));
            else if (type is LibC.DT_REG or LibC.DT_UNKNOWN) sorted.Add((name, false));
        }

        sorted.Sort(static (a, b) => string.CompareOrdinal(a.SortName, b.SortName));
        return sorted;
    }

    private static bool IsDirectory(SafeFileHandle directory, string name) =>
        LibC.Statx(directory, name, LibC.AT_SYMLINK_NOFOLLOW, LibC.STATX_TYPE, out var stat) == 0 && stat.IsDirectory;
}
