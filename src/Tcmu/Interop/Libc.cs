using System.Runtime.InteropServices;

namespace Gateway.Tcmu.Interop;

/// <summary><c>struct pollfd</c> of poll.h: 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct PollFd
{
    public int Fd;
    public short Events;
    public short Revents;
}

/// <summary><c>struct sockaddr_nl</c> of linux/netlink.h: 12 bytes. A port id of 0 is the kernel.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct SockaddrNl
{
    public ushort Family;
    public ushort Pad;
    public uint PortId;
    public uint Groups;
}

/// <summary>The libc calls of this project, with the values of the asm-generic headers (x86-64, arm64).</summary>
internal static unsafe partial class Libc
{
    public const int OpenReadWrite = 0x2;
    public const int OpenNonBlocking = 0x800;
    public const int OpenCloseOnExec = 0x80000;

    public const int ProtReadWrite = 0x1 | 0x2;
    public const int MapShared = 0x1;

    public const int EventFdNonBlocking = OpenNonBlocking;
    public const int EventFdCloseOnExec = OpenCloseOnExec;

    public const short PollIn = 0x1;
    public const short PollFailed = 0x8 | 0x10 | 0x20; // POLLERR, POLLHUP, POLLNVAL.

    public const int AddressFamilyNetlink = 16;
    public const int SocketRaw = 3;
    public const int SocketCloseOnExec = OpenCloseOnExec;
    public const int NetlinkGeneric = 16;
    public const int LevelSocket = 1;
    public const int ReceiveBufferForce = 33; // SO_RCVBUFFORCE.
    public const int LevelNetlink = 270;
    public const int NetlinkAddMembership = 1;
    public const int NetlinkBroadcastError = 4;

    public const int ENOENT = 2;
    public const int EINTR = 4;
    public const int EIO = 5;
    public const int EAGAIN = 11;
    public const int ENOBUFS = 105;

    /// <summary><c>int open(const char *path, int flags, ...)</c>.</summary>
    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Open(string path, int flags);

    /// <summary><c>int close(int fd)</c>.</summary>
    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    public static partial int Close(int fd);

    /// <summary><c>ssize_t read(int fd, void *buffer, size_t count)</c>.</summary>
    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    public static partial nint Read(FileDescriptor fd, void* buffer, nuint count);

    /// <summary><c>ssize_t write(int fd, const void *buffer, size_t count)</c>.</summary>
    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    public static partial nint Write(FileDescriptor fd, void* buffer, nuint count);

    /// <summary><c>int poll(struct pollfd *fds, nfds_t count, int timeout)</c>; a timeout of -1 waits without limit.</summary>
    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    public static partial int Poll(PollFd* fds, nuint count, int timeoutMilliseconds);

    /// <summary><c>void *mmap(void *address, size_t length, int prot, int flags, int fd, off_t offset)</c>; -1 on failure.</summary>
    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    public static partial nint Mmap(nint address, nuint lengthBytes, int protection, int flags, FileDescriptor fd, long offset);

    /// <summary><c>int munmap(void *address, size_t length)</c>.</summary>
    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    public static partial int Munmap(nint address, nuint lengthBytes);

    /// <summary><c>int eventfd(unsigned int initial, int flags)</c>.</summary>
    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    public static partial int EventFd(uint initial, int flags);

    /// <summary><c>int socket(int domain, int type, int protocol)</c>.</summary>
    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    public static partial int Socket(int domain, int type, int protocol);

    /// <summary><c>int bind(int fd, const struct sockaddr *address, socklen_t length)</c>.</summary>
    [LibraryImport("libc", EntryPoint = "bind", SetLastError = true)]
    public static partial int Bind(FileDescriptor fd, SockaddrNl* address, uint lengthBytes);

    /// <summary><c>int setsockopt(int fd, int level, int option, const void *value, socklen_t length)</c>.</summary>
    [LibraryImport("libc", EntryPoint = "setsockopt", SetLastError = true)]
    public static partial int SetSockOpt(FileDescriptor fd, int level, int option, void* value, uint lengthBytes);

    /// <summary><c>ssize_t sendto(int fd, const void *buffer, size_t length, int flags, const struct sockaddr *to, socklen_t toLength)</c>.</summary>
    [LibraryImport("libc", EntryPoint = "sendto", SetLastError = true)]
    public static partial nint SendTo(FileDescriptor fd, void* buffer, nuint lengthBytes, int flags, SockaddrNl* to, uint toLengthBytes);

    /// <summary><c>ssize_t recvfrom(int fd, void *buffer, size_t length, int flags, struct sockaddr *from, socklen_t *fromLength)</c>.</summary>
    [LibraryImport("libc", EntryPoint = "recvfrom", SetLastError = true)]
    public static partial nint ReceiveFrom(FileDescriptor fd, void* buffer, nuint lengthBytes, int flags, SockaddrNl* from, uint* fromLengthBytes);
}
