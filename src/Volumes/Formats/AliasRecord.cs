using System.Text.Json;
using System.Text.Json.Serialization;

namespace Gateway.Volumes.Formats;

/// <summary>
/// Content of <c>&lt;name&gt;/alias/&lt;n&gt;</c>: the volume in another folder takes this name. It does so with its own record <see cref="Record"/>, and
/// not before: until that exists the name is reserved; if that says another name, this came to nothing.
/// </summary>
internal sealed record AliasRecord
{
    /// <summary>The folder in which the volume is: the name that it was created with.</summary>
    public required string Folder { get; init; }

    /// <summary>The volume.</summary>
    public required Guid Id { get; init; }

    /// <summary>Number of the volume record that gives the volume this name.</summary>
    public required long Record { get; init; }

    /// <summary>For people.</summary>
    public required DateTimeOffset At { get; init; }

    public byte[] Encode() => RecordEnvelope.Encode(RecordType.Alias, Id, JsonSerializer.SerializeToUtf8Bytes(this, AliasJson.Default.AliasRecord));

    /// <exception cref="VolumeException">Foreign, damaged or newer.</exception>
    public static AliasRecord Decode(ReadOnlySpan<byte> blob, string name)
    {
        var json = RecordEnvelope.Decode(blob, RecordType.Alias, name, out var id);
        try
        {
            var alias = JsonSerializer.Deserialize(json, AliasJson.Default.AliasRecord);
            return alias is not null && alias.Id == id && alias.Record > 0 && VolumeKeys.IsValidName(alias.Folder) ? alias : throw RecordEnvelope.Damaged(name, "it names a volume that cannot be");
        }
        catch (JsonException e)
        {
            throw new VolumeException(VolumeErrorKind.Damaged, $"Object '{name}' does not hold what it should: {e.Message}", e);
        }
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(AliasRecord))]
internal sealed partial class AliasJson : JsonSerializerContext;
