using Gateway.Tcmu.Interop;

namespace Gateway.Tcmu;

/// <summary>The ring of a TCMU device, by its UIO node.</summary>
internal sealed class UioPort : IRingPort
{
    private UioPort(FileDescriptor doorbell, RingMapping memory) => (Doorbell, Memory) = (doorbell, memory);

    public RingMapping Memory { get; }

    public FileDescriptor Doorbell { get; }

    /// <summary>Opens and maps a node. <paramref name="mapLengthBytes"/> is exactly what sysfs says in maps/map0/size.</summary>
    /// <exception cref="ErrnoException">EBUSY: another daemon has it open. EINVAL: wrong length.</exception>
    public static UioPort Open(string nodePath, long mapLengthBytes)
    {
        var descriptor = FileDescriptor.OpenDevice(nodePath);
        try
        {
            return new UioPort(descriptor, RingMapping.Map(descriptor, mapLengthBytes));
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }

    public void ClearDoorbell()
    {
        // The value is a running count of events; UIO takes reads of exactly 4 bytes.
        Span<byte> count = stackalloc byte[sizeof(int)];
        Doorbell.Read(count);
    }

    public void Kick() => Doorbell.Write([0, 0, 0, 0]);

    public void Dispose()
    {
        Memory.Dispose();
        Doorbell.Dispose();
    }
}
