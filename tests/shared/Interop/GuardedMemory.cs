using System.Runtime.InteropServices;

namespace Gateway.Tests.Shared.Interop;

/// <summary>Memory whose last byte stands before a page that cannot be touched: a read or write past the end kills the process.</summary>
public sealed partial class GuardedMemory : IDisposable
{
    private const int PageBytes = 4096;
    private const int ProtectNone = 0; // PROT_NONE, asm-generic/mman-common.h.
    private const int ProtectReadWrite = 1 | 2; // PROT_READ | PROT_WRITE.
    private const int MapPrivateAnonymous = 0x2 | 0x20; // MAP_PRIVATE | MAP_ANONYMOUS.

    private readonly nint _address;
    private readonly int _mappedBytes;

    /// <summary>Maps room for up to <paramref name="lengthMaxBytes"/>, with a guard page before and one behind.</summary>
    public GuardedMemory(int lengthMaxBytes)
    {
        var pages = (lengthMaxBytes + PageBytes - 1) / PageBytes;
        _mappedBytes = (pages + 2) * PageBytes;
        _address = Map(0, (nuint)_mappedBytes, ProtectReadWrite, MapPrivateAnonymous, -1, 0);
        if (_address == -1) throw new InvalidOperationException($"mmap failed with errno {Marshal.GetLastPInvokeError()}.");
        if (Protect(_address, PageBytes, ProtectNone) != 0 || Protect(_address + _mappedBytes - PageBytes, PageBytes, ProtectNone) != 0)
            throw new InvalidOperationException($"mprotect failed with errno {Marshal.GetLastPInvokeError()}.");
    }

    /// <summary>The last <paramref name="lengthBytes"/> before the guard page behind.</summary>
    public unsafe Span<byte> AtEnd(int lengthBytes) => new((void*)(_address + _mappedBytes - PageBytes - lengthBytes), lengthBytes);

    /// <summary>The first <paramref name="lengthBytes"/> after the guard page before.</summary>
    public unsafe Span<byte> AtStart(int lengthBytes) => new((void*)(_address + PageBytes), lengthBytes);

    public void Dispose() => _ = Unmap(_address, (nuint)_mappedBytes);

    /// <summary><c>void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)</c>: the address, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint Map(nint address, nuint length, int protection, int flags, int file, long offset);

    /// <summary><c>int mprotect(void *addr, size_t len, int prot)</c>: 0, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    private static partial int Protect(nint address, nuint length, int protection);

    /// <summary><c>int munmap(void *addr, size_t length)</c>: 0, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int Unmap(nint address, nuint length);
}
