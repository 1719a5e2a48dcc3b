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

    /// <summary>The checksum of a piece starts from its blob's identity, so that a piece of another blob never passes.</summary>
    public static uint Seed(Guid volumeId, MapBlobId id) => throw new NotImplementedException();

    public void WriteTo(Span<byte> header) => throw new NotImplementedException();

    /// <summary>Checks and decodes a header.</summary>
    /// <param name="blob">The blob's first bytes.</param>
    /// <param name="name">The blob's name, for the message.</param>
    /// <exception cref="VolumeException">Foreign, damaged or newer.</exception>
    public static MapBlobHeader Parse(ReadOnlySpan<byte> blob, string name) => throw new NotImplementedException();
}
