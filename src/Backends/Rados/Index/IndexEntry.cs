using System.Buffers.Binary;

namespace Gateway.Backends.Rados.Index;

/// <summary>What the index says of a name: 25 bytes, little-endian: kind, number, id. docs/formats.md has the table.</summary>
/// <param name="IsSettled">The blob exists, and <paramref name="Number"/> is its length in bytes. Else somebody changes it, or has left it so: only its object tells; the number is the Unix time in seconds when that began.</param>
/// <param name="Number">A length or a time.</param>
/// <param name="Id">Never the same twice, so that whoever finds its own entry again knows that nobody was there.</param>
internal readonly record struct IndexEntry(bool IsSettled, long Number, UInt128 Id)
{
    public const int LengthBytes = 1 + 8 + 16;
    private const byte Settled = (byte)'S', Unsettled = (byte)'U';

    public byte[] ToBytes()
    {
        var bytes = new byte[LengthBytes];
        bytes[0] = IsSettled ? Settled : Unsettled;
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(1), Number);
        BinaryPrimitives.WriteUInt128LittleEndian(bytes.AsSpan(9), Id);
        return bytes;
    }

    /// <summary>False if the bytes are no entry of this version.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, out IndexEntry entry)
    {
        entry = default;
        if (bytes.Length != LengthBytes || bytes[0] is not (Settled or Unsettled)) return false;
        var number = BinaryPrimitives.ReadInt64LittleEndian(bytes[1..]);
        if (number < 0) return false;
        entry = new IndexEntry(bytes[0] == Settled, number, BinaryPrimitives.ReadUInt128LittleEndian(bytes[9..]));
        return true;
    }
}
