using System.Runtime.InteropServices;

namespace Gateway.Tcmu.Interop;

/// <summary>What poll(2) saw on a descriptor.</summary>
[Flags]
internal enum Readiness
{
    None = 0,

    /// <summary>A read gives something.</summary>
    Readable = 1,

    /// <summary>The other side is gone: POLLERR, POLLHUP or POLLNVAL.</summary>
    Failed = 2,
}

/// <summary>Waits for one or two descriptors.</summary>
internal static unsafe class Poller
{
    /// <summary>Waits without limit until one of two descriptors is ready or failed. A null first descriptor is left out.</summary>
    public static (Readiness First, Readiness Second) Wait(FileDescriptor? first, FileDescriptor second)
    {
        var fds = stackalloc PollFd[2];
        fds[0] = new PollFd { Fd = first?.Number ?? -1, Events = Libc.PollIn };
        fds[1] = new PollFd { Fd = second.Number, Events = Libc.PollIn };
        Poll(fds, 2, -1);
        return (Decode(fds[0].Revents), Decode(fds[1].Revents));
    }

    /// <summary>Waits until a descriptor is readable; false after the time given.</summary>
    public static bool Wait(FileDescriptor descriptor, int timeoutMilliseconds)
    {
        var fd = new PollFd { Fd = descriptor.Number, Events = Libc.PollIn };
        return Poll(&fd, 1, timeoutMilliseconds) > 0;
    }

    private static int Poll(PollFd* fds, nuint count, int timeoutMilliseconds)
    {
        while (true)
        {
            var ready = Libc.Poll(fds, count, timeoutMilliseconds);
            if (ready >= 0) return ready;
            var errno = Marshal.GetLastPInvokeError();
            if (errno != Libc.EINTR) throw new ErrnoException("poll", errno);
        }
    }

    private static Readiness Decode(short revents) =>
        ((revents & Libc.PollIn) != 0 ? Readiness.Readable : Readiness.None)
        | ((revents & Libc.PollFailed) != 0 ? Readiness.Failed : Readiness.None);
}
