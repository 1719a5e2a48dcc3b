using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Gateway.Tcmu.Interop;

/// <summary>A file descriptor, closed once after its last user lets go. Reads and writes repeat when a signal interrupts them.</summary>
public sealed class FileDescriptor : SafeHandleMinusOneIsInvalid
{
    /// <summary>Takes over an open descriptor, or -1.</summary>
    public FileDescriptor(int fd)
        : base(ownsHandle: true) => SetHandle(fd);

    /// <summary>The descriptor's number, for poll(2).</summary>
    internal int Number => (int)handle;

    /// <summary>Opens a device node for reading and writing, non-blocking and close-on-exec.</summary>
    /// <exception cref="ErrnoException">EBUSY: another process has the device open.</exception>
    internal static FileDescriptor OpenDevice(string path)
    {
        var fd = Libc.Open(path, Libc.OpenReadWrite | Libc.OpenCloseOnExec | Libc.OpenNonBlocking);
        return fd >= 0 ? new FileDescriptor(fd) : throw ErrnoException.Last($"open {path}");
    }

    /// <summary>Reads up to the length of <paramref name="destination"/>; -1 if there is nothing now (EAGAIN).</summary>
    internal unsafe int Read(Span<byte> destination)
    {
        fixed (byte* buffer = destination)
        {
            while (true)
            {
                var read = Libc.Read(this, buffer, (nuint)destination.Length);
                if (read >= 0) return (int)read;
                var errno = Marshal.GetLastPInvokeError();
                if (errno == Libc.EAGAIN) return -1;
                if (errno != Libc.EINTR) throw new ErrnoException("read", errno);
            }
        }
    }

    /// <summary>Writes <paramref name="source"/> in one call; false if the descriptor takes nothing now (EAGAIN).</summary>
    internal unsafe bool Write(ReadOnlySpan<byte> source)
    {
        fixed (byte* buffer = source)
        {
            while (true)
            {
                if (Libc.Write(this, buffer, (nuint)source.Length) >= 0) return true;
                var errno = Marshal.GetLastPInvokeError();
                if (errno == Libc.EAGAIN) return false;
                if (errno != Libc.EINTR) throw new ErrnoException("write", errno);
            }
        }
    }

    protected override bool ReleaseHandle() => Libc.Close((int)handle) == 0;
}
