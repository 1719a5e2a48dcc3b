namespace Gateway.Tcmu;

/// <summary>Datagrams to and from the kernel's generic netlink. A seam: tests play the kernel.</summary>
internal interface INetlinkTransport : IDisposable
{
    /// <summary><see cref="Receive"/>: <see cref="Stop"/> was called.</summary>
    const int Stopped = 0;

    /// <summary><see cref="Receive"/>: datagrams were lost, since they came faster than they were received.</summary>
    const int Overrun = -1;

    /// <summary>Joins a multicast group.</summary>
    void JoinGroup(uint group);

    /// <summary>Sends one datagram. Thread safe.</summary>
    void Send(ReadOnlySpan<byte> message);

    /// <summary>Waits for a datagram from the kernel: its length in bytes, <see cref="Stopped"/> or <see cref="Overrun"/>. One thread.</summary>
    int Receive(Span<byte> buffer);

    /// <summary>Ends <see cref="Receive"/>, now and later. Thread safe.</summary>
    void Stop();
}
