using System.Text.Json;
using System.Text.Json.Serialization;
using Gateway.Backends.Core;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Log;
using Gateway.Volumes.Names;

namespace Gateway.Volumes;

/// <summary>How far an import has come.</summary>
/// <param name="Volume">The volume that is being filled.</param>
/// <param name="PositionBytes">Everything of the source below is in the bucket, or, while it verifies, was found to be the same.</param>
/// <param name="IsVerifying">True if all of it is in the bucket and is being compared with the source.</param>
public readonly record struct ImportPoint(string Volume, long PositionBytes, bool IsVerifying);

/// <summary>
/// Volumes that are being filled from somewhere else. From its creation on, such a volume's record says so, and only an import of the same source opens it:
/// nobody can take half of a disk for the whole of it. A blob beside says how far the import was, so that it can go on there.
/// </summary>
/// <remarks>The position is a hint for speed: a lost or an older one has some of the same bytes written again.</remarks>
public sealed class VolumeImports(IBlobStore store, TimeProvider time)
{
    /// <summary>Makes the volume, or finds the one that an earlier run made for the same source.</summary>
    /// <param name="name">The volume.</param>
    /// <param name="spec">What it is to be; the same in every run.</param>
    /// <param name="source">Says what is imported, to people, and in which state, so that it changes when the source does.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>Where to go on.</returns>
    /// <exception cref="VolumeException">There is a volume of that name that is not being filled from this source.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public async Task<ImportPoint> BeginAsync(string name, VolumeSpec spec, string source, CancellationToken cancellationToken)
    {
        VolumeCatalog.CheckName(name);
        VolumeKeys keys;
        VolumeRecord record;
        try
        {
            (keys, record) = await ReadAsync(name, cancellationToken);
        }
        catch (VolumeException e) when (e.Kind == VolumeErrorKind.NotFound)
        {
            await new VolumeCatalog(store, time).CreateAsync(name, spec, source, cancellationToken);
            return new ImportPoint(name, 0, false);
        }

        record.RefuseUnusable(source);
        if (record.ImportOf is null)
            throw new VolumeException(VolumeErrorKind.AlreadyExists, $"A volume '{name}' exists already; it was left as it is. Import into another name.");
        if ((record.SizeBytes, record.BlockSizeBytes, record.Compression) != (spec.SizeBytes, spec.BlockSizeBytes, spec.Compression))
        {
            throw new VolumeException(
                VolumeErrorKind.InvalidArgument,
                $"The import into volume '{name}' began with a size of {record.SizeBytes} bytes, blocks of {record.BlockSizeBytes} bytes and compression {VolumeCompressionNames.NameOf(record.Compression)}. Go on with the same; or remove the volume ('tcmu-gateway volume rm --keep 0') and begin anew.");
        }

        return await ReadPointAsync(name, keys, record, cancellationToken);
    }

    /// <summary>Keeps a position. What it says must be in the bucket.</summary>
    /// <exception cref="VolumeException">The volume is gone.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public async Task SaveAsync(ImportPoint point, CancellationToken cancellationToken)
    {
        var (keys, record) = await ReadAsync(point.Volume, cancellationToken);
        if (record.ImportOf is not { } source) return;
        var content = new ImportRecord { ImportOf = source, PositionBytes = point.PositionBytes, IsVerifying = point.IsVerifying, At = time.GetUtcNow() };
        await store.PutAsync(keys.ImportKey, RecordEnvelope.Encode(RecordType.Import, record.Id, JsonSerializer.SerializeToUtf8Bytes(content, ImportJson.Default.ImportRecord)), Precondition.None, cancellationToken);
    }

    /// <summary>All of it is there: from now on any gateway may open the volume.</summary>
    /// <exception cref="VolumeException">The volume is gone.</exception>
    /// <exception cref="BlobStoreException">The store failed; it can be called again.</exception>
    public async Task FinishAsync(string name, CancellationToken cancellationToken)
    {
        var (keys, _) = await ReadAsync(name, cancellationToken);
        await VolumeRecords.ChangeAsync(
            store, keys,
            record => record.ImportOf is null ? null : record with { ImportOf = null, Features = [.. record.Features.Where(f => f != RecordCodec.ImportingFeature)] },
            cancellationToken);
        await store.DeleteAsync(keys.ImportKey, cancellationToken);
    }

    private async Task<(VolumeKeys Keys, VolumeRecord Record)> ReadAsync(string name, CancellationToken cancellationToken)
    {
        var keys = new VolumeKeys(await VolumeNames.ResolveAsync(store, name, cancellationToken));
        return (keys, await LogState.ReadVolumeAsync(store, keys, cancellationToken));
    }

    private async Task<ImportPoint> ReadPointAsync(string name, VolumeKeys keys, VolumeRecord record, CancellationToken cancellationToken)
    {
        var start = new ImportPoint(name, 0, false);
        try
        {
            var json = RecordEnvelope.Decode(await RecordEnvelope.ReadAsync(store, keys.ImportKey, cancellationToken), RecordType.Import, keys.ImportKey.Value, out var id);
            var content = JsonSerializer.Deserialize(json, ImportJson.Default.ImportRecord);
            if (content is null || id != record.Id || content.ImportOf != record.ImportOf || content.PositionBytes < 0 || content.PositionBytes > record.SizeBytes) return start;
            return new ImportPoint(name, content.PositionBytes, content.IsVerifying);
        }
        catch (Exception e) when (e is VolumeException or JsonException or BlobStoreException { Kind: BlobErrorKind.NotFound })
        {
            return start;
        }
    }
}

/// <summary>Content of <c>import</c>: how far an import has come. Overwritten while it goes on.</summary>
internal sealed record ImportRecord
{
    /// <summary>As in the volume's record.</summary>
    public required string ImportOf { get; init; }

    public required long PositionBytes { get; init; }

    public required bool IsVerifying { get; init; }

    public required DateTimeOffset At { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(ImportRecord))]
internal sealed partial class ImportJson : JsonSerializerContext;
