using Gateway.Tcmu.Interop;

namespace Gateway.Tcmu;

/// <summary>What a <see cref="RingDevice"/> needs of a ring: the shared memory and the two doorbells. A UIO device, or the simulator.</summary>
/// <remarks>All members are called by the device's thread. Disposal unmaps and closes; it comes after the last command gave its buffers back.</remarks>
public interface IRingPort : IDisposable
{
    /// <summary>Mailbox, command ring and data area.</summary>
    RingMapping Memory { get; }

    /// <summary>Readable when the producer has published entries since <see cref="ClearDoorbell"/>.</summary>
    FileDescriptor Doorbell { get; }

    /// <summary>Makes <see cref="Doorbell"/> wait for the next entry. To be called before looking at cmd_head, so that no entry is missed.</summary>
    /// <exception cref="ErrnoException">The device is gone.</exception>
    void ClearDoorbell();

    /// <summary>Tells the producer that cmd_tail moved. For the kernel, this copies the data of the reads completed since the last call.</summary>
    /// <exception cref="ErrnoException">The device is gone.</exception>
    void Kick();
}
