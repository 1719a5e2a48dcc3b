using Gateway.Tcmu.Interop;

namespace Gateway.Tcmu.Simulation;

/// <summary>The consumer's side of a simulated ring, with a mapping of its own, so that use after closing faults as with UIO.</summary>
internal sealed class SimulatedPort(RingSimulator simulator, RingMapping memory, EventSignal doorbell, EventSignal kick) : IRingPort
{
    public RingMapping Memory => memory;

    public FileDescriptor Doorbell => doorbell.Descriptor;

    public void ClearDoorbell()
    {
        ThrowIfGone();
        doorbell.Clear();
    }

    public void Kick()
    {
        ThrowIfGone();
        kick.Set();
    }

    public void Dispose()
    {
        memory.Dispose();
        simulator.OnPortClosed();
    }

    private void ThrowIfGone()
    {
        if (simulator.IsGone) throw new ErrnoException("simulated doorbell", Libc.EIO);
    }
}
