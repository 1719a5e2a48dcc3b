using System.Runtime.InteropServices;
using Gateway.Backends.Core;
using Gateway.Backends.File.Interop;
using Microsoft.Win32.SafeHandles;

namespace Gateway.Backends.File;

/// <summary>The open directories from the store's root down to the one that holds a blob, each opened relative to the one before.</summary>
/// <remarks>No link is followed below the root, so that no name leads out of it, whoever changes the tree meanwhile.</remarks>
internal sealed class DirectoryChain : IDisposable
{
    private const int OpenFlags = LibC.O_RDONLY | LibC.O_CLOEXEC;
    private const uint DirectoryMode = 0x1ED; // 0755 before the umask.

    private readonly List<SafeFileHandle> _directories = [];
    private readonly string _rootPath;

    private DirectoryChain(string rootPath) => _rootPath = rootPath;

    /// <summary>The innermost directory.</summary>
    public SafeFileHandle Last => _directories[^1];

    /// <summary>Opens the root alone. The root itself may be a link: that is the operator's choice.</summary>
    public static DirectoryChain OpenRoot(string rootPath)
    {
        var root = LibC.Open(rootPath, OpenFlags | LibC.O_DIRECTORY);
        if (root.IsInvalid)
        {
            var errno = Marshal.GetLastPInvokeError();
            root.Dispose();
            throw errno is Errno.ENOENT or Errno.ENOTDIR ? FileErrors.RootMissing(rootPath, errno == Errno.ENOTDIR) : FileErrors.From(errno, rootPath, "opening the store's root");
        }

        var chain = new DirectoryChain(rootPath);
        chain._directories.Add(root);
        return chain;
    }

    /// <summary>Opens the directories named, in which the blob is; null if one of them is not there and none is to be made.</summary>
    public static DirectoryChain? TryOpen(string rootPath, ReadOnlySpan<string> folders, bool create)
    {
        var chain = OpenRoot(rootPath);
        try
        {
            foreach (var folder in folders)
                if (!chain.TryEnter(folder, create))
                {
                    chain.Dispose();
                    return null;
                }

            return chain;
        }
        catch
        {
            chain.Dispose();
            throw;
        }
    }

    /// <summary>Makes every name in the chain durable, innermost first: another process may have made a directory and not have synced it yet.</summary>
    public void Sync()
    {
        for (var i = _directories.Count - 1; i >= 0; i--)
            if (LibC.Fsync(_directories[i]) != 0) throw FileErrors.Last(_rootPath, "syncing a directory");
    }

    public void Dispose()
    {
        for (var i = _directories.Count - 1; i >= 0; i--) _directories[i].Dispose();
    }

    private bool TryEnter(string folder, bool create)
    {
        if (create && LibC.MakeDirectoryAt(Last, folder, DirectoryMode) != 0 && Marshal.GetLastPInvokeError() is var made and not Errno.EEXIST)
        {
            // The directory above was removed under us: the caller starts again.
            if (made == Errno.ENOENT) return false;
            throw FileErrors.From(made, $"{_rootPath}/…/{folder}", "making a directory");
        }

        var next = LibC.OpenAt(Last, folder, OpenFlags | LibC.O_DIRECTORY | LibC.O_NOFOLLOW, 0);
        if (!next.IsInvalid)
        {
            _directories.Add(next);
            return true;
        }

        var errno = Marshal.GetLastPInvokeError();
        next.Dispose();
        if (errno == Errno.ENOENT) return false;
        if (errno is Errno.ENOTDIR or Errno.ELOOP)
        {
            if (IsLink(Last, folder)) throw FileErrors.From(Errno.ELOOP, $"{_rootPath}/…/{folder}", "opening a directory");
            if (!create) return false;
        }

        throw FileErrors.From(errno, $"{_rootPath}/…/{folder}", "opening a directory");
    }

    private static bool IsLink(SafeFileHandle directory, string name)
    {
        Span<byte> target = stackalloc byte[1];
        return LibC.ReadLinkAt(directory, name, target, target.Length) >= 0;
    }
}
