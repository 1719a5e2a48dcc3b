using System.Runtime.InteropServices;

namespace Gateway.Tcmu.Interop;

/// <summary>A generic netlink socket bound to a port of its own. Sending is thread safe; one thread receives.</summary>
internal sealed unsafe class NetlinkSocket : INetlinkTransport
{
    // Events are about 300 bytes each: room for thousands while the receiving thread does not run.
    private const int ReceiveBufferBytes = 4 << 20;

    private readonly EventSignal _stop = new();
    private readonly FileDescriptor _socket;

    public NetlinkSocket()
    {
        var fd = Libc.Socket(Libc.AddressFamilyNetlink, Libc.SocketRaw | Libc.SocketCloseOnExec | Libc.OpenNonBlocking, Libc.NetlinkGeneric);
        if (fd < 0) throw ErrnoException.Last("socket(AF_NETLINK, NETLINK_GENERIC)");
        _socket = new FileDescriptor(fd);
        var address = new SockaddrNl { Family = Libc.AddressFamilyNetlink };
        if (Libc.Bind(_socket, &address, (uint)sizeof(SockaddrNl)) != 0) throw ErrnoException.Last("bind of the netlink socket");

        // Best effort: without CAP_NET_ADMIN the default size remains.
        SetOption(Libc.LevelSocket, Libc.ReceiveBufferForce, ReceiveBufferBytes);
        // An event that does not fit our buffer then fails the operation it tells of, instead of having it wait for a reply to an event we never saw.
        SetOption(Libc.LevelNetlink, Libc.NetlinkBroadcastError, 1);
    }

    public void JoinGroup(uint group)
    {
        if (!SetOption(Libc.LevelNetlink, Libc.NetlinkAddMembership, (int)group)) throw ErrnoException.Last("joining the netlink group");
    }

    public void Send(ReadOnlySpan<byte> message)
    {
        var kernel = new SockaddrNl { Family = Libc.AddressFamilyNetlink };
        fixed (byte* buffer = message)
        {
            while (Libc.SendTo(_socket, buffer, (nuint)message.Length, 0, &kernel, (uint)sizeof(SockaddrNl)) < 0)
            {
                var errno = Marshal.GetLastPInvokeError();
                if (errno != Libc.EINTR) throw new ErrnoException("send to netlink", errno);
            }
        }
    }

    public int Receive(Span<byte> buffer)
    {
        while (true)
        {
            if (Poller.Wait(_socket, _stop.Descriptor).Second != Readiness.None) return INetlinkTransport.Stopped;
            SockaddrNl from = default;
            var fromLength = (uint)sizeof(SockaddrNl);
            nint received;
            fixed (byte* pointer = buffer) received = Libc.ReceiveFrom(_socket, pointer, (nuint)buffer.Length, 0, &from, &fromLength);
            if (received > 0 && from.PortId == 0) return (int)received; // Port 0 is the kernel; others have no say here.
            if (received >= 0) continue;
            var errno = Marshal.GetLastPInvokeError();
            if (errno == Libc.ENOBUFS) return INetlinkTransport.Overrun;
            if (errno is not (Libc.EINTR or Libc.EAGAIN)) throw new ErrnoException("receive from netlink", errno);
        }
    }

    public void Stop() => _stop.Set();

    public void Dispose()
    {
        _socket.Dispose();
        _stop.Dispose();
    }

    private bool SetOption(int level, int option, int value) => Libc.SetSockOpt(_socket, level, option, &value, sizeof(int)) == 0;
}
