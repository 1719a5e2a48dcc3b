using System.ComponentModel;
using System.Runtime.InteropServices;
using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Volumes.Journal;
using Microsoft.Win32.SafeHandles;

namespace Gateway.Volumes.Interop;

/// <summary>A preallocated file on local disk, exclusively locked while open.</summary>
internal sealed partial class DiskFile : IJournalDisk
{
    private const int IovecsMax = 1024; // UIO_MAXIOV, linux/uio.h.
    private const int ReadNoWait = 0x8; // RWF_NOWAIT, linux/fs.h.
    private const int LockExclusiveNonBlocking = 2 | 4; // LOCK_EX | LOCK_NB, fcntl.h.

    private readonly SafeFileHandle _file;

    private DiskFile(string path, SafeFileHandle file)
    {
        Name = path;
        _file = file;
        LengthBytes = RandomAccess.GetLength(file);
    }

    public string Name { get; }

    public long LengthBytes { get; }

    /// <summary>Makes a file of <paramref name="lengthBytes"/> with its space reserved, so that no later write can run out of it.</summary>
    /// <exception cref="IOException">It exists, or there is no room.</exception>
    public static DiskFile Create(string path, long lengthBytes)
    {
        var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        try
        {
            if (Fallocate(file, 0, 0, lengthBytes) != 0) throw Error("reserve space for", path);
            return Locked(path, file);
        }
        catch
        {
            file.Dispose();
            File.Delete(path);
            throw;
        }
    }

    /// <exception cref="IOException">It cannot be opened, or another process has it open.</exception>
    public static DiskFile Open(string path)
    {
        var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        try
        {
            return Locked(path, file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Makes a name that was created, renamed or removed in a directory durable.</summary>
    public static void FlushDirectory(string path)
    {
        using var directory = OpenDirectory(path, 0x10000 | 0x80000, 0); // O_DIRECTORY | O_CLOEXEC, asm-generic/fcntl.h.
        if (directory.IsInvalid || Fsync(directory) != 0) throw Error("flush directory", path);
    }

    public ValueTask WriteAsync(ScatterList content, long offsetBytes)
    {
        Write(content.Segments, offsetBytes);
        return ValueTask.CompletedTask;
    }

    public ValueTask ReadAsync(Memory<byte> destination, long offsetBytes)
    {
        // What the page cache holds is read here and now; what the disk must fetch is fetched elsewhere, since callers must not block.
        var done = TryReadCached(destination.Span, offsetBytes);
        return done == destination.Length ? ValueTask.CompletedTask : new ValueTask(Task.Run(() => ReadAll(destination[done..], offsetBytes + done)));
    }

    public ValueTask FlushAsync() => new(Task.Factory.StartNew(
        () =>
        {
            if (Fdatasync(_file) != 0) throw Error("flush", Name);
        },
        CancellationToken.None,
        TaskCreationOptions.DenyChildAttach,
        TaskScheduler.Default));

    public void Dispose() => _file.Dispose();

    private static DiskFile Locked(string path, SafeFileHandle file) =>
        Flock(file, LockExclusiveNonBlocking) == 0 ? new DiskFile(path, file) : throw new IOException($"'{path}' is in use by another process.");

    private unsafe void Write(ReadOnlySpan<Iovec> segments, long offsetBytes)
    {
        while (!segments.IsEmpty)
        {
            nint written;
            fixed (Iovec* first = segments) written = Pwritev(_file, first, Math.Min(segments.Length, IovecsMax), offsetBytes);
            if (written < 0)
            {
                if (Marshal.GetLastPInvokeError() == 4) continue; // EINTR
                throw Error("write", Name);
            }

            offsetBytes += written;
            while (!segments.IsEmpty && written >= segments[0].LengthBytes)
            {
                written -= segments[0].LengthBytes;
                segments = segments[1..];
            }

            if (written == 0) continue;
            // A short write inside a piece (a signal, a full disk): finish that piece by itself.
            var rest = new Iovec(segments[0].Address + written, segments[0].LengthBytes - written);
            Write([rest], offsetBytes);
            offsetBytes += rest.LengthBytes;
            segments = segments[1..];
        }
    }

    private unsafe int TryReadCached(Span<byte> destination, long offsetBytes)
    {
        fixed (byte* buffer = destination)
        {
            var piece = new Iovec((nint)buffer, destination.Length);
            return (int)Math.Max(0, Preadv2(_file, &piece, 1, offsetBytes, ReadNoWait));
        }
    }

    private void ReadAll(Memory<byte> destination, long offsetBytes)
    {
        while (!destination.IsEmpty)
        {
            var read = RandomAccess.Read(_file, destination.Span, offsetBytes);
            if (read == 0) throw new IOException($"'{Name}' ends at {offsetBytes} bytes, before it should.");
            destination = destination[read..];
            offsetBytes += read;
        }
    }

    private static IOException Error(string verb, string path)
    {
        var error = new Win32Exception(Marshal.GetLastPInvokeError());
        return new IOException($"Could not {verb} '{path}': {error.Message}", error);
    }

    /// <summary><c>ssize_t pwritev(int fd, const struct iovec *iov, int iovcnt, off_t offset)</c>: bytes written, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "pwritev", SetLastError = true)]
    private static unsafe partial nint Pwritev(SafeFileHandle file, Iovec* iov, int count, long offset);

    /// <summary><c>ssize_t preadv2(int fd, const struct iovec *iov, int iovcnt, off_t offset, int flags)</c>: bytes read, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "preadv2", SetLastError = true)]
    private static unsafe partial nint Preadv2(SafeFileHandle file, Iovec* iov, int count, long offset, int flags);

    /// <summary><c>int fdatasync(int fd)</c>: 0, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int Fdatasync(SafeFileHandle file);

    /// <summary><c>int fsync(int fd)</c>: 0, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Fsync(SafeFileHandle file);

    /// <summary><c>int fallocate(int fd, int mode, off_t offset, off_t len)</c>: 0, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "fallocate", SetLastError = true)]
    private static partial int Fallocate(SafeFileHandle file, int mode, long offset, long length);

    /// <summary><c>int flock(int fd, int operation)</c>: 0, or -1 with EWOULDBLOCK when another open file has the lock.</summary>
    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    private static partial int Flock(SafeFileHandle file, int operation);

    /// <summary><c>int open(const char *path, int flags, mode_t mode)</c>: a descriptor, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle OpenDirectory(string path, int flags, int mode);
}
