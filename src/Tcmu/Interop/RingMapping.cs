using System.Runtime.CompilerServices;
using Microsoft.Win32.SafeHandles;

namespace Gateway.Tcmu.Interop;

/// <summary>The shared region of a TCMU device: mailbox, command ring, data area. Unmapped once, by its owner.</summary>
/// <remarks>
/// Offsets count bytes from the start of the mapping and are checked against its length, so nothing outside is touched. Pages of the data
/// area that no command owns may be absent, and touching one raises SIGBUS: only iovecs of commands in flight may be followed.
/// Spans and refs must not outlive the mapping.
/// </remarks>
public sealed unsafe class RingMapping : SafeHandleZeroOrMinusOneIsInvalid
{
    private RingMapping(nint address, long lengthBytes)
        : base(ownsHandle: true)
    {
        SetHandle(address);
        LengthBytes = lengthBytes;
    }

    /// <summary>Length of the mapping in bytes; may pass 2 GiB.</summary>
    public long LengthBytes { get; }

    /// <summary>Address of the first byte: of the mailbox.</summary>
    public nint Address => handle;

    /// <summary>Maps <paramref name="lengthBytes"/> from offset 0, shared, for reading and writing. A UIO device takes no other length than its map's.</summary>
    /// <exception cref="ErrnoException">The kernel refuses.</exception>
    public static RingMapping Map(FileDescriptor descriptor, long lengthBytes)
    {
        var address = Libc.Mmap(0, checked((nuint)lengthBytes), Libc.ProtReadWrite, Libc.MapShared, descriptor, 0);
        return address != -1 ? new RingMapping(address, lengthBytes) : throw ErrnoException.Last($"mmap of {lengthBytes} bytes");
    }

    /// <summary>A part of the mapping.</summary>
    public Span<byte> Span(long offset, int lengthBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(lengthBytes);
        if ((ulong)offset > (ulong)(LengthBytes - lengthBytes)) throw new ArgumentOutOfRangeException(nameof(offset));
        return new Span<byte>((byte*)handle + offset, lengthBytes);
    }

    /// <summary>A field that both sides access, for <see cref="Volatile"/>. The offset is a multiple of 4.</summary>
    public ref uint Field(int offset)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(offset % sizeof(uint), 0);
        if ((ulong)offset > (ulong)(LengthBytes - sizeof(uint))) throw new ArgumentOutOfRangeException(nameof(offset));
        return ref Unsafe.AsRef<uint>((byte*)handle + offset);
    }

    protected override bool ReleaseHandle() => Libc.Munmap(handle, (nuint)LengthBytes) == 0;
}
