using Gateway.Backends.Core;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Gateway.Volumes.Formats;

/// <summary>What a metadata blob holds.</summary>
internal enum RecordType : ushort
{
    Volume = 1,
    Epoch = 2,
    Takeover = 3,
    Heartbeat = 4,
    Release = 5,
    Handover = 6,
    Alias = 7,
    Import = 8,
}

/// <summary>The 64 bytes before the JSON text of a metadata blob: identity and checksums. See docs/formats.md, "Records".</summary>
internal static class RecordEnvelope
{
    public const int LengthBytes = 64;
    public const ushort FormatVersion = 1;

    /// <summary>Upper bound for a whole record blob; anything longer is not ours.</summary>
    public const int RecordLengthMaxBytes = 1 << 20;

    private static ReadOnlySpan<byte> Magic => "TCMUGREC"u8;

    public static byte[] Encode(RecordType type, Guid volumeId, ReadOnlySpan<byte> json)
    {
        var blob = new byte[LengthBytes + json.Length];
        json.CopyTo(blob.AsSpan(LengthBytes));
        Magic.CopyTo(blob);
        WriteUInt16LittleEndian(blob.AsSpan(8), FormatVersion);
        WriteUInt16LittleEndian(blob.AsSpan(10), (ushort)type);
        WriteInt32LittleEndian(blob.AsSpan(12), json.Length);
        volumeId.TryWriteBytes(blob.AsSpan(16), bigEndian: true, out _);
        WriteUInt32LittleEndian(blob.AsSpan(32), Crc32C.Compute(json));
        WriteUInt32LittleEndian(blob.AsSpan(60), Crc32C.Compute(blob.AsSpan(0, 60)));
        return blob;
    }

    /// <summary>A record's blob, whatever is in it. If that fails its checks it is read once more: a transfer may have gone wrong.</summary>
    /// <exception cref="BlobStoreException">The store failed, or there is no such blob.</exception>
    public static async ValueTask<byte[]> ReadAsync(IBlobStore store, BlobKey key, CancellationToken cancellationToken)
    {
        var blob = await store.ReadWholeAsync(key, RecordLengthMaxBytes, cancellationToken);
        return IsWhole(blob) ? blob : await store.ReadWholeAsync(key, RecordLengthMaxBytes, cancellationToken);
    }

    /// <summary>Checks a record blob and returns its JSON text.</summary>
    /// <param name="name">The blob's name, for the message.</param>
    /// <exception cref="VolumeException">Foreign, damaged or newer.</exception>
    public static ReadOnlySpan<byte> Decode(ReadOnlySpan<byte> blob, RecordType type, string name, out Guid volumeId)
    {
        if (blob.Length < LengthBytes || !blob.StartsWith(Magic))
            throw new VolumeException(VolumeErrorKind.Foreign, $"Object '{name}' is not a tcmu-gateway record. Move it out of the volume's prefix, or restore the original from a backup or an older object version.");
        if (ReadUInt32LittleEndian(blob[60..]) != Crc32C.Compute(blob[..60])) throw Damaged(name, "its header fails its checksum");
        var version = ReadUInt16LittleEndian(blob[8..]);
        if (version != FormatVersion)
            throw new VolumeException(VolumeErrorKind.Unsupported, $"Object '{name}' has format version {version}, this tcmu-gateway knows {FormatVersion}. Use a newer tcmu-gateway.");
        if (ReadUInt16LittleEndian(blob[10..]) != (ushort)type) throw Damaged(name, $"it is not a record of type {type}");
        var json = blob[LengthBytes..];
        if (ReadInt32LittleEndian(blob[12..]) != json.Length) throw Damaged(name, "its length is not what its header says");
        if (ReadUInt32LittleEndian(blob[32..]) != Crc32C.Compute(json)) throw Damaged(name, "its content fails its checksum");
        volumeId = new Guid(blob[16..32], bigEndian: true);
        return json;
    }

    private static bool IsWhole(ReadOnlySpan<byte> blob) =>
        blob.Length >= LengthBytes && blob.StartsWith(Magic) && ReadUInt32LittleEndian(blob[60..]) == Crc32C.Compute(blob[..60])
        && ReadInt32LittleEndian(blob[12..]) == blob.Length - LengthBytes && ReadUInt32LittleEndian(blob[32..]) == Crc32C.Compute(blob[LengthBytes..]);

    internal static VolumeException Damaged(string name, string why) => new(
        VolumeErrorKind.Damaged,
        $"Object '{name}' is damaged: {why}. Nothing was changed. Restore the object from a backup or an older object version, then try again.");
}
