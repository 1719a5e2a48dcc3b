using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Gateway.Volumes.Formats;

namespace Gateway.Volumes.Leases;

/// <summary>
/// Content of <c>heartbeat</c>: the newest writer's sign of life, and what of its journal the bucket lacks. It is overwritten; its loss harms
/// nothing, and nothing that keeps data safe depends on it.
/// </summary>
internal sealed record HeartbeatRecord
{
    /// <summary>The epoch of whoever gives the sign.</summary>
    public required long Epoch { get; init; }

    /// <summary>For people: host name and process.</summary>
    public required string Owner { get; init; }

    /// <summary>Random for every sign: a change says that somebody lives, whatever the clocks say.</summary>
    public required Guid Beat { get; init; }

    /// <summary>For people.</summary>
    public required DateTimeOffset At { get; init; }

    public required Guid JournalId { get; init; }

    /// <summary>The last write in the journal.</summary>
    public required long LastWrite { get; init; }

    /// <summary>The last write that an acknowledged flush covers.</summary>
    public required long LastWriteFlushed { get; init; }

    /// <summary>The last write that counted in the bucket.</summary>
    public required long LastWriteInBucket { get; init; }

    /// <summary>What a writer says of itself.</summary>
    public static HeartbeatRecord Of(WriterIdentity writer, WriterProgress progress, Guid beat, DateTimeOffset at) => new()
    {
        Epoch = writer.Epoch,
        Owner = writer.Owner,
        Beat = beat,
        At = at,
        JournalId = writer.JournalId,
        LastWrite = progress.LastWrite,
        LastWriteFlushed = progress.LastWriteFlushed,
        LastWriteInBucket = progress.LastWriteInBucket,
    };
}

/// <summary>
/// Content of <c>handover</c>: the sign of life of a gateway that has claimed the volume, and waits until the writer before it has surely stopped. A
/// blob of its own, since that writer's last heartbeat may still be on its way, and must not be overwritten.
/// </summary>
internal sealed record HandoverRecord
{
    /// <summary>The epoch that was claimed.</summary>
    public required long Epoch { get; init; }

    /// <summary>For people: host name and process.</summary>
    public required string Owner { get; init; }

    /// <summary>Random for every sign.</summary>
    public required Guid Beat { get; init; }

    /// <summary>For people.</summary>
    public required DateTimeOffset At { get; init; }
}

/// <summary>Content of <c>releases/&lt;n&gt;</c>: writer n, and every one before it, will acknowledge nothing more.</summary>
internal sealed record ReleaseRecord
{
    public required long Epoch { get; init; }

    /// <summary>Who released it, for people.</summary>
    public required string Owner { get; init; }

    /// <summary>Tells our own put, whose answer was lost, from somebody else's.</summary>
    public required Guid Nonce { get; init; }

    public required DateTimeOffset At { get; init; }

    /// <summary>Epoch of the writer whose journal the following is about.</summary>
    public required long JournalEpoch { get; init; }

    /// <summary>That writer, for people.</summary>
    public required string JournalOwner { get; init; }

    public required Guid JournalId { get; init; }

    /// <summary>The last write that its journal may hold and that must not be lost.</summary>
    public required long LastWriteFlushed { get; init; }

    public required long LastWriteInBucket { get; init; }

    /// <summary>True if an operator has given up what the journal holds beyond the bucket.</summary>
    public bool Abandoned { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(HeartbeatRecord))]
[JsonSerializable(typeof(HandoverRecord))]
[JsonSerializable(typeof(ReleaseRecord))]
internal sealed partial class LeaseJson : JsonSerializerContext;

/// <summary>Encodes and decodes the records of leases.</summary>
internal static class LeaseCodec
{
    public static byte[] Encode(HeartbeatRecord record, Guid volumeId) =>
        RecordEnvelope.Encode(RecordType.Heartbeat, volumeId, JsonSerializer.SerializeToUtf8Bytes(record, LeaseJson.Default.HeartbeatRecord));

    public static byte[] Encode(HandoverRecord record, Guid volumeId) =>
        RecordEnvelope.Encode(RecordType.Handover, volumeId, JsonSerializer.SerializeToUtf8Bytes(record, LeaseJson.Default.HandoverRecord));

    public static byte[] Encode(ReleaseRecord record, Guid volumeId) =>
        RecordEnvelope.Encode(RecordType.Release, volumeId, JsonSerializer.SerializeToUtf8Bytes(record, LeaseJson.Default.ReleaseRecord));

    /// <exception cref="VolumeException">Foreign, damaged, newer, or of another volume.</exception>
    public static HeartbeatRecord DecodeHeartbeat(ReadOnlySpan<byte> blob, string name, Guid volumeId) =>
        Parse(blob, RecordType.Heartbeat, LeaseJson.Default.HeartbeatRecord, name, volumeId);

    /// <exception cref="VolumeException">Foreign, damaged, newer, or of another volume.</exception>
    public static HandoverRecord DecodeHandover(ReadOnlySpan<byte> blob, string name, Guid volumeId) =>
        Parse(blob, RecordType.Handover, LeaseJson.Default.HandoverRecord, name, volumeId);

    /// <exception cref="VolumeException">Foreign, damaged, newer, or of another volume.</exception>
    public static ReleaseRecord DecodeRelease(ReadOnlySpan<byte> blob, string name, Guid volumeId, long epoch)
    {
        var record = Parse(blob, RecordType.Release, LeaseJson.Default.ReleaseRecord, name, volumeId);
        return record.Epoch == epoch ? record : throw RecordEnvelope.Damaged(name, "it holds another epoch than its name says");
    }

    private static T Parse<T>(ReadOnlySpan<byte> blob, RecordType recordType, JsonTypeInfo<T> type, string name, Guid volumeId)
    {
        var json = RecordEnvelope.Decode(blob, recordType, name, out var id);
        if (id != volumeId) throw new VolumeException(VolumeErrorKind.Foreign, $"Object '{name}' belongs to another volume ({id}). Move it out of this volume's prefix.");
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
