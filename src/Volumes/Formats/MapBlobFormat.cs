using Gateway.Backends.Core;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Volumes.Formats;

/// <summary>Names a map blob: the epoch that wrote it and its number within that epoch, from 1 on.</summary>
internal readonly record struct MapBlobId(long Epoch, long Number)
{
    public override string ToString() => $"{Epoch}-{Number}";
}

/// <summary>The first 64 bytes of a map blob; the pieces follow. See docs/formats.md, "Map".</summary>
/// <param name="VolumeId">The volume it belongs to.</param>
/// <param name="Id">Epoch and number, as in its name.</param>
/// <param name="LengthBytes">Length of the whole blob in bytes.</param>
internal readonly record struct MapBlobHeader(Guid VolumeId, MapBlobId Id, long LengthBytes)
{
    public const int HeaderLengthBytes = 64;
    public const ushort FormatVersion = 1;

    /// <summary>No map blob is longer: pointers into it have 32 bits.</summary>
    public const long LengthMaxBytes = uint.MaxValue;

    private static ReadOnlySpan<byte> Magic => "TCMUGMAP"u8;

    /// <summary>The checksum of a piece starts from its blob's identity, so that a piece of another blob never passes.</summary>
    public static uint Seed(Guid volumeId, MapBlobId id)
    {
        Span<byte> identity = stackalloc byte[40];
        Magic.CopyTo(identity); // So that a piece is no frame of a segment of the same numbers either.
        volumeId.TryWriteBytes(identity[8..], bigEndian: true, out _);
        WriteInt64LittleEndian(identity[24..], id.Epoch);
        WriteInt64LittleEndian(identity[32..], id.Number);
        return Crc32C.Compute(identity);
    }

    public void WriteTo(Span<byte> header)
    {
        header = header[..HeaderLengthBytes];
        header.Clear();
        Magic.CopyTo(header);
        WriteUInt16LittleEndian(header[8..], FormatVersion);
        WriteUInt16LittleEndian(header[10..], HeaderLengthBytes);
        VolumeId.TryWriteBytes(header[16..], bigEndian: true, out _);
        WriteInt64LittleEndian(header[32..], Id.Epoch);
        WriteInt64LittleEndian(header[40..], Id.Number);
        WriteInt64LittleEndian(header[48..], LengthBytes);
        WriteUInt32LittleEndian(header[60..], Crc32C.Compute(header[..60]));
    }

    /// <summary>Checks and decodes a header.</summary>
    /// <param name="blob">The blob's first bytes.</param>
    /// <param name="name">The blob's name, for the message.</param>
    /// <exception cref="VolumeException">Foreign, damaged or newer.</exception>
    public static MapBlobHeader Parse(ReadOnlySpan<byte> blob, string name)
    {
        if (blob.Length < HeaderLengthBytes || !blob.StartsWith(Magic))
            throw new VolumeException(VolumeErrorKind.Foreign, $"Object '{name}' is not part of a tcmu-gateway map. Move it out of the volume's prefix, or restore the original from a backup or an older object version.");
        if (ReadUInt32LittleEndian(blob[60..]) != Crc32C.Compute(blob[..60])) throw RecordEnvelope.Damaged(name, "its header fails its checksum");
        var version = ReadUInt16LittleEndian(blob[8..]);
        if (version != FormatVersion || ReadUInt16LittleEndian(blob[10..]) != HeaderLengthBytes || ReadUInt32LittleEndian(blob[12..]) != 0)
            throw new VolumeException(VolumeErrorKind.Unsupported, $"Object '{name}' was written by a newer tcmu-gateway (map format {version}). Use that version.");
        var header = new MapBlobHeader(
            new Guid(blob[16..32], bigEndian: true),
            new MapBlobId(ReadInt64LittleEndian(blob[32..]), ReadInt64LittleEndian(blob[40..])),
            ReadInt64LittleEndian(blob[48..]));
        return header.Id is { Epoch: > 0, Number: > 0 } && header.LengthBytes is >= HeaderLengthBytes and <= LengthMaxBytes ? header : throw RecordEnvelope.Damaged(name, "its header holds impossible numbers");
    }
}
