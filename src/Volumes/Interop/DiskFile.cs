using System.ComponentModel;
using System.Runtime.InteropServices;
using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Volumes.Journal;
using Microsoft.Win32.SafeHandles;

namespace Gateway.Volumes.Interop;

/// <summary>A preallocated file on local disk, exclusively locked while open.</summary>
/// <remarks>
/// Reserved space that was never written costs every first flush a transaction of the file system (ten times as long, measured on ext4). So a
/// thread fills what is reserved and unwritten with zeroes, from the start of the file on. It looks for such a place and fills it under a lock
/// that writes take, too, as long as it runs: so it never meets data.
/// </remarks>
internal sealed partial class DiskFile : IJournalDisk
{
    private const int IovecsMax = 1024; // UIO_MAXIOV, linux/uio.h.
    private const int ReadNoWait = 0x8; // RWF_NOWAIT, linux/fs.h.
    private const int LockExclusiveNonBlocking = 2 | 4; // LOCK_EX | LOCK_NB, fcntl.h.
    private const int Unlock = 8; // LOCK_UN
    private const int SeekData = 3; // SEEK_DATA, linux/fs.h.
    private const int SeekHole = 4; // SEEK_HOLE, linux/fs.h.
    private const int WriteAndWait = 1 | 2 | 4; // SYNC_FILE_RANGE_WAIT_BEFORE | _WRITE | _WAIT_AFTER, linux/fs.h.
    private const int Interrupted = 4; // EINTR, asm-generic/errno-base.h.
    private const int NotSupported = 95; // EOPNOTSUPP, asm-generic/errno.h.

    /// <summary>Zeroes written at a time: what a write waits for at most while the file is filled.</summary>
    private const int FillBytes = 512 << 10;

    private readonly SafeFileHandle _file;
    private readonly DiskThread _flushes;
    private readonly Lock _filling = new();
    private volatile bool _isFilled;
    private volatile IOException? _failure;

    private DiskFile(string path, SafeFileHandle file)
    {
        Name = path;
        _file = file;
        LengthBytes = RandomAccess.GetLength(file);
        _flushes = new DiskThread("journal flush", () => Flush(_file, Name));
    }

    public string Name { get; }

    public long LengthBytes { get; }

    /// <summary>No place of it is unwritten any more, or no more of them will be filled.</summary>
    public bool IsFilled => _isFilled;

    /// <summary>Makes a file of <paramref name="lengthBytes"/> with its space reserved, so that no later write can run out of it.</summary>
    /// <remarks>An unfinished one of that name is taken over if nobody has it open: the lock comes before any change.</remarks>
    /// <exception cref="IOException">Another process works on it, or there is no room.</exception>
    public static DiskFile Create(string path, long lengthBytes)
    {
        var file = OpenLocked(path, FileMode.OpenOrCreate);
        try
        {
            RandomAccess.SetLength(file, 0);
            RandomAccess.SetLength(file, lengthBytes);
            return Reserved(path, file);
        }
        catch
        {
            File.Delete(path);
            file.Dispose(); // With the lock, after the name is gone.
            throw;
        }
    }

    /// <exception cref="IOException">It cannot be opened, or another process has it open.</exception>
    public static DiskFile Open(string path)
    {
        var file = OpenLocked(path, FileMode.Open);
        try
        {
            return Reserved(path, file);
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
        if (directory.IsInvalid) throw Error("flush directory", path);
        while (Fsync(directory) != 0)
            if (Marshal.GetLastPInvokeError() != Interrupted) throw Error("flush directory", path);
    }

    /// <summary>Makes what was written to a file durable, but for its times.</summary>
    public static void Flush(SafeFileHandle file, string path)
    {
        while (Fdatasync(file) != 0)
            if (Marshal.GetLastPInvokeError() != Interrupted) throw Error("flush", path);
    }

    public ValueTask WriteAsync(ScatterList content, long offsetBytes)
    {
        if (_isFilled)
        {
            Write(content.Segments, offsetBytes);
        }
        else
        {
            lock (_filling) Write(content.Segments, offsetBytes);
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask ReadAsync(Memory<byte> destination, long offsetBytes)
    {
        // What the page cache holds is read here and now; what the disk must fetch is fetched elsewhere, since callers must not block.
        var done = TryReadCached(destination.Span, offsetBytes);
        return done == destination.Length ? ValueTask.CompletedTask : new ValueTask(Task.Run(() => ReadAll(destination[done..], offsetBytes + done)));
    }

    public ValueTask FlushAsync() => FlushAsync(brief: false);

    public ValueTask FlushBrieflyAsync() => FlushAsync(brief: true);

    public void Dispose()
    {
        lock (_filling) _isFilled = true; // Nothing is written from here on.
        _flushes.Dispose();
        if (!_file.IsClosed) _ = Flock(_file, Unlock); // Here and now: a thread that is still in a call keeps the descriptor open.
        _file.Dispose();
    }

    private static SafeFileHandle OpenLocked(string path, FileMode mode)
    {
        var file = File.OpenHandle(path, mode, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        var locked = Flock(file, LockExclusiveNonBlocking);
        while (locked != 0 && Marshal.GetLastPInvokeError() == Interrupted) locked = Flock(file, LockExclusiveNonBlocking);

        // Whoever had it a moment ago may have renamed or removed it: then it is not the file of that name that is locked.
        var name = locked == 0 ? Path.GetFileName(new FileInfo($"/proc/self/fd/{file.DangerousGetHandle()}").LinkTarget) : null;
        if (name == Path.GetFileName(path)) return file;
        file.Dispose();
        throw new IOException($"'{path}' is in use by another process.");
    }

    private static DiskFile Reserved(string path, SafeFileHandle file)
    {
        var disk = new DiskFile(path, file);
        var reserved = disk.LengthBytes == 0 || Fallocate(file, 0, 0, disk.LengthBytes) == 0;
        while (!reserved && Marshal.GetLastPInvokeError() == Interrupted) reserved = Fallocate(file, 0, 0, disk.LengthBytes) == 0;
        if (reserved)
        {
            disk._isFilled = disk.NextUnwritten(0) is null;
            if (!disk._isFilled) new Thread(() => disk.Fill(background: true), 256 << 10) { Name = "journal fill", IsBackground = true }.Start();
            return disk;
        }

        if (Marshal.GetLastPInvokeError() != NotSupported) throw Error("reserve space for", path);
        disk.Fill(background: false); // The other way to be sure of the space.
        return disk._failure is { } failure ? throw failure : disk;
    }

    private ValueTask FlushAsync(bool brief) => _failure is { } failure ? ValueTask.FromException(new IOException(failure.Message, failure)) : _flushes.RunAsync(brief);

    /// <summary>Writes zeroes wherever nothing was ever written, which changes nothing but the speed of later flushes.</summary>
    private void Fill(bool background)
    {
        try
        {
            using var zeroes = new NativeBuffer(FillBytes);
            for (long at = 0; ;)
            {
                int length;
                lock (_filling)
                {
                    if (_isFilled) return;
                    if (NextUnwritten(at) is not { } place)
                    {
                        _isFilled = true;
                        return;
                    }

                    (at, length) = (place.Offset, (int)Math.Min(place.Length, FillBytes));
                    Write([new Iovec(zeroes.Address, length)], at);
                }

                if (background) Drain(at, length);
                at += length;
            }
        }
        catch (ObjectDisposedException)
        {
            // Closed meanwhile; the next opening goes on.
        }
        catch (IOException e)
        {
            _failure = e; // The kernel may have told this thread alone: no flush may succeed any more.
        }
        finally
        {
            _isFilled = true;
        }
    }

    /// <summary>The first place from <paramref name="offsetBytes"/> on where nothing was ever written, or null.</summary>
    private (long Offset, long Length)? NextUnwritten(long offsetBytes)
    {
        if (offsetBytes >= LengthBytes) return null;
        var start = Lseek(_file, offsetBytes, SeekHole);
        if (start < 0 || start >= LengthBytes) return null; // There is none, or the file system cannot tell.
        var end = Lseek(_file, start, SeekData);
        return (start, (end < 0 ? LengthBytes : end) - start); // ENXIO: nothing behind it either.
    }

    /// <summary>Keeps the zeroes from piling up before the next flush, which would wait for them.</summary>
    private void Drain(long offsetBytes, long lengthBytes)
    {
        while (SyncFileRange(_file, offsetBytes, lengthBytes, WriteAndWait) != 0)
            if (Marshal.GetLastPInvokeError() != Interrupted) throw Error("write", Name);
    }

    private unsafe void Write(ReadOnlySpan<Iovec> segments, long offsetBytes)
    {
        while (!segments.IsEmpty)
        {
            nint written;
            fixed (Iovec* first = segments) written = Pwritev(_file, first, Math.Min(segments.Length, IovecsMax), offsetBytes);
            if (written < 0 && Marshal.GetLastPInvokeError() == Interrupted) continue;
            if (written < 0) throw Error("write", Name);
            if (written == 0) throw new IOException($"Could not write '{Name}': the file system took nothing at {offsetBytes} bytes.");

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
            return (int)Math.Max(0, Preadv2(_file, &piece, 1, offsetBytes, ReadNoWait)); // Whatever it failed of, the full read tells.
        }
    }

    private void ReadAll(Memory<byte> destination, long offsetBytes)
    {
        while (!destination.IsEmpty)
        {
            var read = RandomAccess.Read(_file, destination.Span, offsetBytes); // Repeats an interrupted read by itself.
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

    /// <summary><c>off_t lseek(int fd, off_t offset, int whence)</c>: the offset, or -1. The position that it sets is not used by anything here.</summary>
    [LibraryImport("libc", EntryPoint = "lseek", SetLastError = true)]
    private static partial long Lseek(SafeFileHandle file, long offset, int whence);

    /// <summary><c>int sync_file_range(int fd, off_t offset, off_t nbytes, unsigned int flags)</c>: 0, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "sync_file_range", SetLastError = true)]
    private static partial int SyncFileRange(SafeFileHandle file, long offset, long length, uint flags);

    /// <summary><c>int flock(int fd, int operation)</c>: 0, or -1 with EWOULDBLOCK when another open file has the lock.</summary>
    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    private static partial int Flock(SafeFileHandle file, int operation);

    /// <summary><c>int open(const char *path, int flags, mode_t mode)</c>: a descriptor, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle OpenDirectory(string path, int flags, int mode);
}
