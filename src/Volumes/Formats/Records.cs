using System.Text.Json;
using System.Text.Json.Serialization;
using Gateway.Scsi;

namespace Gateway.Volumes.Formats;

/// <summary>Content of <c>volume/&lt;n&gt;</c>: what the volume is. A change is the next number.</summary>
internal sealed record VolumeRecord
{
    public required string Name { get; init; }

    public required Guid Id { get; init; }

    /// <summary>Capacity in bytes, a multiple of the logical block length.</summary>
    public required long SizeBytes { get; init; }

    /// <summary>Logical block length in bytes: 512 or 4096.</summary>
    public required int BlockSizeBytes { get; init; }

    public required int PhysicalBlockSizeBytes { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>Features that a reader must know to open the volume: each codec that frames may have, and later encryption. Unknown ones are refused.</summary>
    public string[] Features { get; init; } = [];

    /// <summary>Name of how new data is compressed, one of <see cref="Features"/>; null: not at all.</summary>
    [JsonPropertyName("compression")]
    public string? CompressionName { get; init; }

    /// <summary>How new data is compressed.</summary>
    [JsonIgnore]
    public VolumeCompression Compression => CompressionName is not null && VolumeCompressionNames.TryParse(CompressionName, out var compression) ? compression : VolumeCompression.None;

    /// <summary>For a clone: where its first blocks come from. Reserved.</summary>
    public string? Parent { get; init; }

    /// <summary>When it was moved to the trash; null: it was not.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public DateTimeOffset? RemovedAt { get; init; }

    /// <summary>From when on it may be purged without being asked for by name.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public DateTimeOffset? PurgeAfter { get; init; }

    /// <summary>Its blobs are being removed: it cannot come back.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool Purging { get; init; }

    /// <summary>What it is being filled from: only an import of the same opens it. Null: nothing, or that is done.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? ImportOf { get; init; }

    /// <summary>True in the trash: nobody may open it.</summary>
    [JsonIgnore]
    public bool IsRemoved => RemovedAt is not null;

    /// <summary>Capacity in logical blocks.</summary>
    [JsonIgnore]
    public ulong CapacityBlocks => (ulong)(SizeBytes / BlockSizeBytes);

    /// <exception cref="VolumeException">It is in the trash.</exception>
    public void RefuseRemoved()
    {
        if (Purging) throw new VolumeException(VolumeErrorKind.NotFound, $"Volume '{Name}' is being purged: it cannot be used any more. 'tcmu-gateway volume purge STORE/{Name}' goes on with it.");
        if (IsRemoved) throw new VolumeException(VolumeErrorKind.NotFound, $"Volume '{Name}' is in the trash since {RemovedAt:u}. 'tcmu-gateway volume restore STORE/{Name}' brings it back, 'tcmu-gateway volume purge STORE/{Name}' removes it for good.");
    }

    /// <param name="importOf">What the caller imports into it; null: nothing.</param>
    /// <exception cref="VolumeException">It is in the trash, or being filled from something else.</exception>
    public void RefuseUnusable(string? importOf)
    {
        RefuseRemoved();
        if (ImportOf is not null && ImportOf != importOf)
            throw new VolumeException(VolumeErrorKind.OwnedElsewhere, $"Volume '{Name}' is being imported from {ImportOf}, and holds only a part of it. Run that 'tcmu-gateway volume import' again: it goes on where it was; or remove the volume ('tcmu-gateway volume rm').");
    }

    /// <summary>What initiators see of it.</summary>
    public BlockGeometry ToGeometry() => new(Id, (ulong)(SizeBytes / BlockSizeBytes), BlockSizeBytes, PhysicalBlockSizeBytes);
}

/// <summary>Content of <c>epochs/&lt;n&gt;</c>: who claims to be writer n. It fences every writer before; it serves once its takeover is recorded.</summary>
internal sealed record EpochRecord
{
    public required long Epoch { get; init; }

    /// <summary>For people: host name and process.</summary>
    public required string Owner { get; init; }

    /// <summary>Tells our own put, whose answer was lost, from somebody else's.</summary>
    public required Guid Nonce { get; init; }

    /// <summary>Lease length in seconds; 0: the owner holds no clock-bound authority.</summary>
    public double LeaseSeconds { get; init; }

    /// <summary>The owner's journal: whoever has it locked knows that the owner is dead. Null: written by an older version.</summary>
    public Guid? JournalId { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
}

/// <summary>
/// Content of <c>takeovers/&lt;n&gt;</c>: where the log before writer n ends for good. Made after the claim, from a listing made after the
/// claim: every segment that an earlier writer counted is in it.
/// </summary>
internal sealed record TakeoverRecord
{
    public required long Epoch { get; init; }

    /// <summary>The nonce of the epoch's claim.</summary>
    public required Guid Nonce { get; init; }

    /// <summary>Epoch of the last segment that was taken over; 0 when the log was empty.</summary>
    public required long LastEpoch { get; init; }

    /// <summary>Sequence of the last segment that was taken over; 0 when the log was empty.</summary>
    public required long LastSequence { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(VolumeRecord))]
[JsonSerializable(typeof(EpochRecord))]
[JsonSerializable(typeof(TakeoverRecord))]
internal sealed partial class RecordJson : JsonSerializerContext;

/// <summary>Encodes and decodes whole record blobs.</summary>
internal static class RecordCodec
{
    /// <summary>In the features of a volume in the trash, so that a version that knows of none does not open it.</summary>
    public const string RemovedFeature = "removed";

    /// <summary>In the features of a volume that is being imported, so that a version that knows of none does not serve half of it.</summary>
    public const string ImportingFeature = "importing";

    private static readonly string[] KnownFeatures = [RemovedFeature, ImportingFeature, VolumeCompressionNames.NameOf(VolumeCompression.Lz4), VolumeCompressionNames.NameOf(VolumeCompression.Zstd)];

    public static byte[] Encode(VolumeRecord record) =>
        RecordEnvelope.Encode(RecordType.Volume, record.Id, JsonSerializer.SerializeToUtf8Bytes(record, RecordJson.Default.VolumeRecord));

    public static byte[] Encode(EpochRecord record, Guid volumeId) =>
        RecordEnvelope.Encode(RecordType.Epoch, volumeId, JsonSerializer.SerializeToUtf8Bytes(record, RecordJson.Default.EpochRecord));

    public static byte[] Encode(TakeoverRecord record, Guid volumeId) =>
        RecordEnvelope.Encode(RecordType.Takeover, volumeId, JsonSerializer.SerializeToUtf8Bytes(record, RecordJson.Default.TakeoverRecord));

    /// <exception cref="VolumeException">Foreign, damaged or newer.</exception>
    public static VolumeRecord DecodeVolume(ReadOnlySpan<byte> blob, string name)
    {
        var record = Parse(RecordEnvelope.Decode(blob, RecordType.Volume, name, out var id), RecordJson.Default.VolumeRecord, name);
        if (record.Id != id) throw RecordEnvelope.Damaged(name, "its two volume identifiers differ");
        if (record.BlockSizeBytes is not (512 or 4096) || record.SizeBytes <= 0 || record.SizeBytes % record.BlockSizeBytes != 0)
            throw RecordEnvelope.Damaged(name, "its size or block size cannot be");
        if (record.Parent is not null)
            throw new VolumeException(VolumeErrorKind.Unsupported, $"Volume '{record.Name}' is a clone, which this tcmu-gateway does not know. Use a newer tcmu-gateway.");
        if (record.Features is null) throw RecordEnvelope.Damaged(name, "it has no list of features");
        var unknown = record.Features.Where(f => !KnownFeatures.Contains(f)).ToArray();
        if (unknown.Length > 0)
            throw new VolumeException(VolumeErrorKind.Unsupported, $"Volume '{record.Name}' uses features that this tcmu-gateway does not know: {string.Join(", ", unknown)}. Use a newer tcmu-gateway.");
        if (record.CompressionName is { } compression && !record.Features.Contains(compression))
            throw RecordEnvelope.Damaged(name, $"it compresses by '{compression}', which its features do not name");
        if (record.IsRemoved != record.Features.Contains(RemovedFeature) || (record.Purging && !record.IsRemoved))
            throw RecordEnvelope.Damaged(name, "it does not say clearly whether the volume is in the trash");
        if ((record.ImportOf is not null) != record.Features.Contains(ImportingFeature)) throw RecordEnvelope.Damaged(name, "it does not say clearly whether the volume is being imported");
        return VolumeKeys.IsValidName(record.Name) ? record : throw RecordEnvelope.Damaged(name, "the volume's name in it cannot be");
    }

    /// <exception cref="VolumeException">Foreign, damaged, newer, or of another volume.</exception>
    public static EpochRecord DecodeEpoch(ReadOnlySpan<byte> blob, string name, Guid volumeId, long epoch)
    {
        var record = Parse(RecordEnvelope.Decode(blob, RecordType.Epoch, name, out var id), RecordJson.Default.EpochRecord, name);
        if (id != volumeId) throw new VolumeException(VolumeErrorKind.Foreign, $"Object '{name}' belongs to another volume ({id}). Move it out of this volume's prefix.");
        if (record.Epoch != epoch) throw RecordEnvelope.Damaged(name, "it holds another epoch than its name says");
        return record;
    }

    /// <exception cref="VolumeException">Foreign, damaged, newer, or of another volume.</exception>
    public static TakeoverRecord DecodeTakeover(ReadOnlySpan<byte> blob, string name, Guid volumeId, long epoch)
    {
        var record = Parse(RecordEnvelope.Decode(blob, RecordType.Takeover, name, out var id), RecordJson.Default.TakeoverRecord, name);
        if (id != volumeId) throw new VolumeException(VolumeErrorKind.Foreign, $"Object '{name}' belongs to another volume ({id}). Move it out of this volume's prefix.");
        if (record.Epoch != epoch) throw RecordEnvelope.Damaged(name, "it holds another epoch than its name says");
        var possible = record.LastEpoch < epoch && record.LastEpoch >= 0 && record.LastSequence >= 0 && (record.LastEpoch == 0) == (record.LastSequence == 0);
        return possible ? record : throw RecordEnvelope.Damaged(name, "it takes over from an impossible position");
    }

    private static T Parse<T>(ReadOnlySpan<byte> json, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type, string name)
    {
        try
        {
            return JsonSerializer.Deserialize(json, type) ?? throw RecordEnvelope.Damaged(name, "it is empty");
        }
        catch (JsonException e)
        {
            throw new VolumeException(VolumeErrorKind.Damaged, $"Object '{name}' does not hold what it should: {e.Message}", e);
        }
    }
}
