using System.Runtime.InteropServices;

namespace Gateway.Volumes.Interop;

/// <summary>A mapping of its own of any length, zeroed; the kernel backs only the pages that were written.</summary>
/// <remarks>Thread safe as memory is. Use after disposal is an <see cref="ObjectDisposedException"/>, also when it happens at the same time.</remarks>
internal sealed partial class AnonymousMemory : SafeHandle
{
    private const int ReadWrite = 1 | 2; // PROT_READ | PROT_WRITE, sys/mman.h.
    private const int PrivateAnonymousNoReserve = 0x02 | 0x20 | 0x4000; // MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE.

    private readonly long _lengthBytes;

    /// <exception cref="IOException">There is not so much address space.</exception>
    public AnonymousMemory(long lengthBytes)
        : base(-1, ownsHandle: true)
    {
        _lengthBytes = lengthBytes;
        SetHandle(Mmap(0, (nuint)lengthBytes, ReadWrite, PrivateAnonymousNoReserve, -1, 0));
        if (IsInvalid) throw new IOException($"Could not map {lengthBytes} bytes of memory: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    public override bool IsInvalid => handle == -1;

    public unsafe void Write(ReadOnlySpan<byte> source, long offsetBytes)
    {
        var held = false;
        try
        {
            DangerousAddRef(ref held);
            source.CopyTo(new Span<byte>((void*)At(offsetBytes, source.Length), source.Length));
        }
        finally
        {
            if (held) DangerousRelease();
        }
    }

    public unsafe void Read(Span<byte> destination, long offsetBytes)
    {
        var held = false;
        try
        {
            DangerousAddRef(ref held);
            new ReadOnlySpan<byte>((void*)At(offsetBytes, destination.Length), destination.Length).CopyTo(destination);
        }
        finally
        {
            if (held) DangerousRelease();
        }
    }

    protected override bool ReleaseHandle() => Munmap(handle, (nuint)_lengthBytes) == 0;

    private nint At(long offsetBytes, int lengthBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offsetBytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offsetBytes, _lengthBytes - lengthBytes);
        return handle + (nint)offsetBytes;
    }

    /// <summary><c>void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)</c>: the address, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint Mmap(nint address, nuint length, int protection, int flags, int file, long offset);

    /// <summary><c>int munmap(void *addr, size_t length)</c>: 0, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int Munmap(nint address, nuint length);
}
