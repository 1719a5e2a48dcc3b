using System.Runtime.InteropServices;

namespace Gateway.Scsi.Interop;

/// <summary>One contiguous piece of memory, laid out as the C library's <c>struct iovec { void *iov_base; size_t iov_len; }</c>.</summary>
/// <param name="address">Absolute address of the first byte.</param>
/// <param name="lengthBytes">Length in bytes, not negative.</param>
[StructLayout(LayoutKind.Sequential)]
public readonly struct Iovec(nint address, nint lengthBytes) : IEquatable<Iovec>
{
    /// <summary>Absolute address of the first byte.</summary>
    public readonly nint Address = address;

    /// <summary>Length in bytes.</summary>
    public readonly nint LengthBytes = lengthBytes;

    /// <summary>The bytes themselves. The span must not outlive the memory, which the <see cref="Iovec"/> does not own.</summary>
    public unsafe Span<byte> AsSpan() => new((void*)Address, checked((int)LengthBytes));

    public bool Equals(Iovec other) => Address == other.Address && LengthBytes == other.LengthBytes;

    public override bool Equals(object? obj) => obj is Iovec other && Equals(other);

    public override int GetHashCode() => HashCode.Combine(Address, LengthBytes);

    public static bool operator ==(Iovec left, Iovec right) => left.Equals(right);

    public static bool operator !=(Iovec left, Iovec right) => !left.Equals(right);
}
