using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Gateway.Backends.Core;
using Gateway.Backends.File.Interop;
using Microsoft.Win32.SafeHandles;

namespace Gateway.Backends.File;

/// <summary>A directory as a blob store: one file per blob, its key the path below the root.</summary>
/// <remarks>
/// A put writes a temporary file, syncs it, gives it its name in one step (renameat, or renameat2 with RENAME_NOREPLACE where the blob must be
/// absent, which is exact between processes too) and syncs every directory down to it. So a blob is there whole or not at all, and what a
/// completed put left survives power loss. Links below the root are never followed. One key cannot be both a blob and a folder of others.
/// </remarks>
public sealed class FileBlobStore : IBlobStore
{
    /// <summary>Names fetched from the disk at a time while a listing is enumerated.</summary>
    private const int ListPageNames = 1000;

    /// <summary>How often a put starts over when others keep removing the folder it puts into; then it gives up as Unavailable.</summary>
    private const int PutTriesMax = 100;

    private readonly string _root;
    private readonly DiskThreads _threads;
    private readonly TempFiles _temp;

    /// <summary>Opens nothing yet: a root that is missing is reported by each operation, and is used as soon as it is there.</summary>
    /// <param name="options">Read once, here.</param>
    /// <param name="time">Tells the age of leftovers; the system's clock if null.</param>
    public FileBlobStore(FileStoreOptions options, TimeProvider? time = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(options.Path);
        _root = Path.TrimEndingDirectorySeparator(Path.GetFullPath(options.Path));
        _threads = new DiskThreads(options.Threads);
        _temp = new TempFiles(_root, time ?? TimeProvider.System);
    }

    public string Description => $"directory {_root}";

    public async ValueTask<int> ReadAsync(BlobKey key, long offsetBytes, Memory<byte> destination, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offsetBytes);
        return await _threads.RunAsync(() => Read(key, offsetBytes, destination.Span), cancellationToken);
    }

    public async ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken) =>
        await _threads.RunAsync(() => Put(key, content.Span, precondition), cancellationToken);

    public async ValueTask<long?> GetLengthAsync(BlobKey key, CancellationToken cancellationToken) =>
        await _threads.RunAsync(() => GetLength(key), cancellationToken);

    public IAsyncEnumerable<BlobInfo> ListAsync(string prefix, string? startAfter, CancellationToken cancellationToken) =>
        PagedAsync(BlobWalk.Blobs(_root, prefix, startAfter), cancellationToken);

    public IAsyncEnumerable<string> ListFoldersAsync(string prefix, CancellationToken cancellationToken)
    {
        // Foreign folders have names that are no keys, but ".." would lead out of the root.
        if (prefix.Length > 0 && (prefix[^1] != '/' || prefix[..^1].Split('/').Any(s => s is "" or "." or "..")))
            throw new ArgumentException("A folder prefix is empty, or names joined by '/' and ending in one.", nameof(prefix));
        return PagedAsync(BlobWalk.Folders(_root, prefix), cancellationToken);
    }

    public async ValueTask DeleteAsync(BlobKey key, CancellationToken cancellationToken) =>
        await _threads.RunAsync(() => Delete(key), cancellationToken);

    public ValueTask DisposeAsync() => _threads.DisposeAsync();

    private string Place(BlobKey key) => $"{_root}/{key.Value}";

    private int Read(BlobKey key, long offsetBytes, Span<byte> destination)
    {
        using var file = OpenBlob(key);
        var total = 0;
        try
        {
            while (total < destination.Length)
            {
                var read = RandomAccess.Read(file, destination[total..], offsetBytes + total);
                if (read == 0) break;
                total += read;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw FileErrors.From(e, Place(key), "reading");
        }

        return total;
    }

    private SafeFileHandle OpenBlob(BlobKey key)
    {
        var (folders, leaf) = Split(key);
        using var chain = DirectoryChain.TryOpen(_root, folders, create: false) ?? throw FileErrors.NotFound(Place(key));
        // Non-blocking, so that a foreign pipe does not hold the thread.
        var file = LibC.OpenAt(chain.Last, leaf, LibC.O_RDONLY | LibC.O_NOFOLLOW | LibC.O_NONBLOCK | LibC.O_CLOEXEC, 0);
        var errno = file.IsInvalid ? Marshal.GetLastPInvokeError() : 0;
        if (errno == 0)
        {
            if (LibC.Statx(file, "", LibC.AT_EMPTY_PATH, LibC.STATX_TYPE, out var stat) == 0 && stat.IsRegular) return file;
            errno = stat.IsDirectory ? Errno.ENOENT : Errno.EINVAL;
        }

        file.Dispose();
        throw errno == Errno.ENOENT ? FileErrors.NotFound(Place(key)) : FileErrors.From(errno, Place(key), "opening");
    }

    private long? GetLength(BlobKey key)
    {
        var (folders, leaf) = Split(key);
        using var chain = DirectoryChain.TryOpen(_root, folders, create: false);
        if (chain is null) return null;
        if (LibC.Statx(chain.Last, leaf, LibC.AT_SYMLINK_NOFOLLOW, LibC.STATX_TYPE | LibC.STATX_SIZE, out var stat) == 0)
        {
            if ((stat.Mode & LibC.S_IFMT) == LibC.S_IFLNK) throw FileErrors.From(Errno.ELOOP, Place(key), "looking at it");
            return stat.IsRegular ? (long)stat.SizeBytes : null;
        }

        var errno = Marshal.GetLastPInvokeError();
        return errno == Errno.ENOENT ? null : throw FileErrors.From(errno, Place(key), "looking at it");
    }

    private bool Put(BlobKey key, ReadOnlySpan<byte> content, Precondition precondition)
    {
        using var temp = DirectoryChain.TryOpen(_root, [TempFiles.Folder], create: true)
            ?? throw FileErrors.From(Errno.ENOENT, $"{_root}/{TempFiles.Folder}", "making a directory");
        _temp.CleanOnce(temp.Last);
        using var file = _temp.Create(temp.Last, out var tempName);
        try
        {
            WriteAndSync(file, content, key);
            Publish(temp.Last, tempName, key, precondition);
            return true;
        }
        catch
        {
            // After a rename there is nothing of that name; before one, it must not stay.
            _ = LibC.UnlinkAt(temp.Last, tempName, 0);
            throw;
        }
    }

    private void WriteAndSync(SafeFileHandle file, ReadOnlySpan<byte> content, BlobKey key)
    {
        try
        {
            RandomAccess.Write(file, content, 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw FileErrors.From(e, Place(key), "writing");
        }

        if (LibC.Fsync(file) != 0) throw FileErrors.Last(Place(key), "syncing");
    }

    private void Publish(SafeFileHandle temp, string tempName, BlobKey key, Precondition precondition)
    {
        var (folders, leaf) = Split(key);
        for (var tries = 1; ; tries++)
        {
            using var chain = DirectoryChain.TryOpen(_root, folders, create: true);
            var errno = chain is null ? Errno.ENOENT : GiveName(temp, tempName, chain.Last, leaf, precondition);
            if (errno == Errno.ENOENT && tries < PutTriesMax) continue; // A delete took the empty folder away between our two steps.
            if (errno is not (0 or Errno.EEXIST)) throw FileErrors.From(errno, Place(key), "giving the blob its name");
            if (errno == Errno.EEXIST && LibC.Statx(chain!.Last, leaf, LibC.AT_SYMLINK_NOFOLLOW, LibC.STATX_TYPE, out var stat) == 0 && !stat.IsRegular)
                throw FileErrors.From(Errno.EISDIR, Place(key), "giving the blob its name");
            // Also for the loser: the winner may be an earlier try of its own, whose sync failed.
            chain!.Sync();
            if (errno == Errno.EEXIST) throw new BlobStoreException(BlobErrorKind.PreconditionFailed, $"{Place(key)}: the blob exists already.");
            return;
        }
    }

    /// <summary>Returns 0 or errno.</summary>
    private static int GiveName(SafeFileHandle temp, string tempName, SafeFileHandle folder, string leaf, Precondition precondition)
    {
        if (precondition == Precondition.None) return LibC.RenameAt(temp, tempName, folder, leaf) == 0 ? 0 : Marshal.GetLastPInvokeError();
        if (LibC.RenameAt2(temp, tempName, folder, leaf, LibC.RENAME_NOREPLACE) == 0) return 0;
        var errno = Marshal.GetLastPInvokeError();
        if (errno is not (Errno.EINVAL or Errno.ENOSYS or Errno.EOPNOTSUPP)) return errno;
        // NFS, for one, renames only with replacement, but its link is exact.
        if (LibC.LinkAt(temp, tempName, folder, leaf, 0) != 0) return Marshal.GetLastPInvokeError();
        _ = LibC.UnlinkAt(temp, tempName, 0);
        return 0;
    }

    /// <remarks>Not synced: a blob that comes back after power loss is garbage that its owner removes again.</remarks>
    private bool Delete(BlobKey key)
    {
        var (folders, leaf) = Split(key);
        using (var chain = DirectoryChain.TryOpen(_root, folders, create: false))
        {
            if (chain is null) return false;
            if (LibC.UnlinkAt(chain.Last, leaf, 0) != 0)
            {
                // EISDIR: a folder of that name is not a blob of that name.
                var errno = Marshal.GetLastPInvokeError();
                return errno is Errno.ENOENT or Errno.EISDIR ? false : throw FileErrors.From(errno, Place(key), "removing");
            }
        }

        RemoveEmptyFolders(folders);
        return true;
    }

    /// <summary>A folder is there only for the blobs in it, as in a bucket. rmdir refuses where a put came first.</summary>
    private void RemoveEmptyFolders(string[] folders)
    {
        for (var depth = folders.Length - 1; depth >= 0; depth--)
        {
            using var above = DirectoryChain.TryOpen(_root, folders.AsSpan(0, depth), create: false);
            if (above is null || LibC.UnlinkAt(above.Last, folders[depth], LibC.AT_REMOVEDIR) != 0) return;
        }
    }

    private static (string[] Folders, string Leaf) Split(BlobKey key)
    {
        var parts = key.Value.Split('/');
        return (parts[..^1], parts[^1]);
    }

    private async IAsyncEnumerable<T> PagedAsync<T>(IEnumerable<T> source, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var enumerator = source.GetEnumerator();
        List<T> page;
        do
        {
            page = await _threads.RunAsync(() => TakePage(enumerator), cancellationToken);
            foreach (var item in page)
            {
                cancellationToken.ThrowIfCancellationRequested();
                yield return item;
            }
        }
        while (page.Count == ListPageNames);
    }

    private static List<T> TakePage<T>(IEnumerator<T> source)
    {
        var page = new List<T>();
        while (page.Count < ListPageNames && source.MoveNext()) page.Add(source.Current);
        return page;
    }
}
