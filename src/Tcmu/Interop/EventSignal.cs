namespace Gateway.Tcmu.Interop;

/// <summary>An eventfd: any thread sets it, one thread polls and clears it. Thread safe.</summary>
public sealed class EventSignal : IDisposable
{
    /// <summary>Creates the signal, not set.</summary>
    public EventSignal()
    {
        var fd = Libc.EventFd(0, Libc.EventFdCloseOnExec | Libc.EventFdNonBlocking);
        if (fd < 0) throw ErrnoException.Last("eventfd");
        Descriptor = new FileDescriptor(fd);
    }

    /// <summary>Readable while the signal is set.</summary>
    public FileDescriptor Descriptor { get; }

    /// <summary>Sets the signal. Setting it again before it is cleared is the same as once.</summary>
    public void Set()
    {
        var one = 1UL;
        // EAGAIN means that the counter is at its limit, hence set.
        Descriptor.Write(System.Runtime.InteropServices.MemoryMarshal.AsBytes(new Span<ulong>(ref one)));
    }

    /// <summary>Clears the signal; true if it was set.</summary>
    public bool Clear()
    {
        Span<byte> count = stackalloc byte[sizeof(ulong)];
        return Descriptor.Read(count) > 0;
    }

    /// <summary>Waits until the signal is set, without clearing it; false after the time given.</summary>
    public bool Wait(int timeoutMilliseconds) => Poller.Wait(Descriptor, timeoutMilliseconds);

    public void Dispose() => Descriptor.Dispose();
}
