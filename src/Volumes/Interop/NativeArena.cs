using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Gateway.Volumes.Interop;

/// <summary>A large piece of zeroed memory outside the managed heap. The kernel gives it page by page, as it is first written.</summary>
internal sealed partial class NativeArena : SafeHandle
{
    private readonly long _lengthBytes;

    /// <param name="lengthBytes">Length in bytes, 1 or more.</param>
    /// <exception cref="InsufficientMemoryException">The address space is exhausted.</exception>
    public NativeArena(long lengthBytes)
        : base(-1, ownsHandle: true)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(lengthBytes);
        _lengthBytes = lengthBytes;
        // PROT_READ | PROT_WRITE; MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE (asm-generic/mman-common.h).
        var address = Mmap(0, (nuint)lengthBytes, 1 | 2, 0x2 | 0x20 | 0x4000, -1, 0);
        if (address == -1) throw new InsufficientMemoryException($"Could not map {lengthBytes} bytes: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");
        SetHandle(address);
    }

    public override bool IsInvalid => handle == -1;

    /// <summary>A part of the memory. It must not be used after disposal.</summary>
    public unsafe Span<byte> Slice(long offsetBytes, int lengthBytes)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)offsetBytes, (ulong)(_lengthBytes - lengthBytes));
        return new((void*)(handle + (nint)offsetBytes), lengthBytes);
    }

    protected override bool ReleaseHandle() => Munmap(handle, (nuint)_lengthBytes) == 0;

    /// <summary><c>void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)</c>: the address, or MAP_FAILED (-1).</summary>
    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint Mmap(nint address, nuint length, int protection, int flags, int file, long offset);

    /// <summary><c>int munmap(void *addr, size_t length)</c>: 0, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int Munmap(nint address, nuint length);
}
