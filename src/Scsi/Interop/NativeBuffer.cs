using System.Runtime.InteropServices;

namespace Gateway.Scsi.Interop;

/// <summary>Page-aligned memory outside the managed heap, zeroed, freed once after its last user lets go.</summary>
/// <remarks>Its address never moves, so that it may stand in an <see cref="Iovec"/> handed to the kernel.</remarks>
public sealed class NativeBuffer : SafeHandle
{
    private const int AlignmentBytes = 4096;

    /// <summary>Allocates <paramref name="lengthBytes"/> zeroed bytes (1 or more).</summary>
    public unsafe NativeBuffer(int lengthBytes)
        : base(0, ownsHandle: true)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(lengthBytes);
        LengthBytes = lengthBytes;
        SetHandle((nint)NativeMemory.AlignedAlloc((nuint)lengthBytes, AlignmentBytes));
        Span.Clear();
    }

    /// <summary>Length in bytes.</summary>
    public int LengthBytes { get; }

    /// <summary>Address of the first byte; aligned to 4,096.</summary>
    public nint Address => handle;

    /// <summary>The bytes. Must not be used after disposal.</summary>
    public unsafe Span<byte> Span => new((void*)handle, LengthBytes);

    public override bool IsInvalid => handle == 0;

    protected override unsafe bool ReleaseHandle()
    {
        NativeMemory.AlignedFree((void*)handle);
        return true;
    }
}
