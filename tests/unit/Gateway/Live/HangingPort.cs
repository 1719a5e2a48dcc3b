using Gateway.Tcmu;
using Gateway.Tcmu.Interop;

namespace Gateway.Tests.Live;

/// <summary>A ring whose doorbell, once told so, does not come back: as when the kernel holds the device's mutex.</summary>
internal sealed class HangingPort(IRingPort inner, ManualResetEventSlim mayRing) : IRingPort
{
    public RingMapping Memory => inner.Memory;

    public FileDescriptor Doorbell => inner.Doorbell;

    public void ClearDoorbell() => inner.ClearDoorbell();

    public void Kick()
    {
        mayRing.Wait();
        inner.Kick();
    }

    public void Dispose() => inner.Dispose();
}
