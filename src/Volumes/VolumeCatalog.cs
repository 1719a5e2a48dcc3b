using System.Globalization;
using System.Runtime.CompilerServices;
using Gateway.Backends.Core;
using Gateway.Volumes.Checkpoints;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Leases;
using Gateway.Volumes.Log;
using Gateway.Volumes.Names;

namespace Gateway.Volumes;

/// <summary>What a new volume shall be.</summary>
/// <param name="SizeBytes">Capacity in bytes, a multiple of the logical block length.</param>
/// <param name="BlockSizeBytes">Logical block length: 512 or 4096.</param>
/// <param name="Compression">How its data is compressed.</param>
public readonly record struct VolumeSpec(
    long SizeBytes, int BlockSizeBytes = VolumeSpec.BlockSizeDefaultBytes, VolumeCompression Compression = VolumeCompression.Lz4)
{
    public const int BlockSizeDefaultBytes = 512;
    public const int PhysicalBlockSizeBytes = 4096;
    public const long SizeMinBytes = 1L << 20;
    public const long SizeMaxBytes = 64L << 40;
}

/// <summary>What the bucket says of a volume, without opening it.</summary>
/// <param name="Name">Name.</param>
/// <param name="Id">Identity.</param>
/// <param name="SizeBytes">Capacity in bytes.</param>
/// <param name="BlockSizeBytes">Logical block length in bytes.</param>
/// <param name="Compression">How its data is compressed: lz4, zstd or none.</param>
/// <param name="CreatedAt">When it was made.</param>
/// <param name="Epoch">Newest writer number; 0 before the first opening.</param>
/// <param name="Owner">The newest writer, as it named itself.</param>
/// <param name="LastSequence">Last segment of the valid log; 0 for none.</param>
/// <param name="LastWriteNumber">Last write that the bucket holds; 0 for none.</param>
/// <param name="Segments">Segments of the valid log.</param>
/// <param name="StaleSegments">Segments that fenced writers left behind.</param>
/// <param name="BucketBytes">Bytes of all its blobs.</param>
public sealed record VolumeInfo(
    string Name,
    Guid Id,
    long SizeBytes,
    int BlockSizeBytes,
    string Compression,
    DateTimeOffset CreatedAt,
    long Epoch,
    string? Owner,
    long LastSequence,
    long LastWriteNumber,
    int Segments,
    int StaleSegments,
    long BucketBytes)
{
    /// <summary>Who serves it; null: not looked at.</summary>
    public VolumeOwnership? Ownership { get; init; }

    /// <summary>The folder of the store that holds all of it: the name with which it was created.</summary>
    public string Folder { get; init; } = Name;

    /// <summary>What it is being imported from; null: that is done, or it was not.</summary>
    public string? ImportOf { get; init; }

    /// <summary>When it was moved to the trash; null: it was not.</summary>
    public DateTimeOffset? RemovedAt { get; init; }

    /// <summary>From when on it may be purged.</summary>
    public DateTimeOffset? PurgeAfter { get; init; }

    /// <summary>Journals on this host that no volume replays any more, and whose writes are in no other place.</summary>
    public IReadOnlyList<string> KeptAside { get; init; } = [];
}

/// <summary>The volumes of one store: making, listing and describing them, without opening any for writing.</summary>
public sealed class VolumeCatalog(IBlobStore store, TimeProvider time)
{
    private const int FirstRecord = 1;

    /// <summary>Creates a volume; nothing is there after a failure that was not there before.</summary>
    /// <exception cref="VolumeException">A bad name or size, or the name is taken.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public Task<VolumeInfo> CreateAsync(string name, VolumeSpec spec, CancellationToken cancellationToken) => CreateAsync(name, spec, null, cancellationToken);

    /// <param name="importOf">What it is going to be filled from; null: it may be opened at once.</param>
    /// <inheritdoc cref="CreateAsync(string, VolumeSpec, CancellationToken)"/>
    internal async Task<VolumeInfo> CreateAsync(string name, VolumeSpec spec, string? importOf, CancellationToken cancellationToken)
    {
        CheckName(name);
        CheckSize(spec.SizeBytes, spec.BlockSizeBytes);
        var keys = new VolumeKeys(name);
        await RefuseTakenAsync(name, cancellationToken);
        await foreach (var blob in store.ListAsync(keys.Prefix, null, cancellationToken))
        {
            if (blob.Name.StartsWith(keys.AliasPrefix, StringComparison.Ordinal)) continue; // Of volumes that had this name, or meant to.
            throw keys.IsOurs(blob.Name)
                ? AlreadyExists(name)
                : new VolumeException(VolumeErrorKind.Foreign, $"{store.Description} already holds '{blob.Name}', which no volume made. Nothing was changed. Choose another volume name, or move what is below '{keys.Prefix}' elsewhere.");
        }

        await CheckStoreAsync(cancellationToken);
        var compression = VolumeCompressionNames.NameOf(spec.Compression);
        var record = new VolumeRecord
        {
            Name = name,
            Id = Guid.NewGuid(),
            SizeBytes = spec.SizeBytes,
            BlockSizeBytes = spec.BlockSizeBytes,
            PhysicalBlockSizeBytes = VolumeSpec.PhysicalBlockSizeBytes,
            CreatedAt = time.GetUtcNow(),
            Features = [.. spec.Compression == VolumeCompression.None ? Array.Empty<string>() : [compression], .. importOf is null ? Array.Empty<string>() : [RecordCodec.ImportingFeature]],
            ImportOf = importOf,
            CompressionName = spec.Compression == VolumeCompression.None ? null : compression,
        };
        var key = keys.Record(FirstRecord);
        try
        {
            await store.PutAsync(key, RecordCodec.Encode(record), Precondition.Absent, cancellationToken);
        }
        catch (BlobStoreException e) when (e.Kind == BlobErrorKind.PreconditionFailed)
        {
            // Our own put may have been carried out twice below us, or somebody else was faster: the identity tells.
            var existing = RecordCodec.DecodeVolume(await RecordEnvelope.ReadAsync(store, key, cancellationToken), key.Value);
            if (existing.Id != record.Id) throw AlreadyExists(name);
        }

        try
        {
            await RefuseTakenAsync(name, cancellationToken); // By a renaming at the same moment, which looks for our record after it has put its alias.
        }
        catch (VolumeException)
        {
            await store.DeleteAsync(key, cancellationToken);
            throw;
        }

        return new VolumeInfo(name, record.Id, record.SizeBytes, record.BlockSizeBytes, compression, record.CreatedAt, 0, null, 0, 0, 0, 0, 0);
    }

    /// <summary>The names of the volumes in the store, in order; folders that are none are left out, and so are volumes in the trash.</summary>
    /// <remarks>A volume whose record cannot be read is there under the name of its folder.</remarks>
    public async Task<IReadOnlyList<string>> ListAsync(CancellationToken cancellationToken)
    {
        var names = new SortedSet<string>(StringComparer.Ordinal);
        await foreach (var (folder, record) in FoldersAsync(cancellationToken))
            if (record is not { IsRemoved: true }) names.Add(record?.Name ?? folder);
        return [.. names];
    }

    /// <summary>The folders that have a volume, with its record; null: it cannot be read.</summary>
    internal async IAsyncEnumerable<(string Folder, VolumeRecord? Record)> FoldersAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var path in store.ListFoldersAsync("", cancellationToken))
        {
            var folder = path.TrimEnd('/');
            if (!VolumeKeys.IsValidName(folder)) continue;
            VolumeRecord? record = null;
            try
            {
                record = await LogState.ReadVolumeAsync(store, new VolumeKeys(folder), cancellationToken);
            }
            catch (VolumeException e) when (e.Kind == VolumeErrorKind.NotFound)
            {
                continue;
            }
            catch (Exception e) when (e is VolumeException or BlobStoreException { Kind: BlobErrorKind.NotFound or BlobErrorKind.Corrupt })
            {
                if (!await HasRecordsAsync(new VolumeKeys(folder), cancellationToken)) continue; // Another program's folder.
            }

            yield return (folder, record);
        }
    }

    private async Task<bool> HasRecordsAsync(VolumeKeys keys, CancellationToken cancellationToken)
    {
        await foreach (var _ in store.ListAsync(keys.RecordPrefix, null, cancellationToken)) return true;
        return false;
    }

    /// <summary>The folder in which the volume of a name is. Everything that takes a volume's name resolves it by itself; this is for those that look at blobs.</summary>
    /// <exception cref="VolumeException">No such volume.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public Task<string> ResolveAsync(string name, CancellationToken cancellationToken)
    {
        CheckName(name);
        return VolumeNames.ResolveAsync(store, name, cancellationToken);
    }

    /// <summary>Makes a volume larger in the bucket. A gateway that serves it goes on with the size that it knows, until it is told.</summary>
    /// <returns>Its size before, in bytes; the same as the new one if there was nothing to do.</returns>
    /// <exception cref="VolumeException">No such volume, a size that cannot be, or a smaller one.</exception>
    /// <exception cref="BlobStoreException">The store failed; the volume has one of the two sizes. It can be run again.</exception>
    public async Task<long> ResizeAsync(string name, long sizeBytes, CancellationToken cancellationToken)
    {
        CheckName(name);
        var keys = new VolumeKeys(await VolumeNames.ResolveAsync(store, name, cancellationToken));
        var before = 0L;
        await VolumeRecords.ChangeAsync(store, keys, record => Grown(record, sizeBytes, out before), cancellationToken);
        return before;
    }

    /// <summary>The record of the volume with a larger size; null if it has that already.</summary>
    /// <exception cref="VolumeException">The size cannot be, or is smaller; or the volume is in the trash.</exception>
    internal static VolumeRecord? Grown(VolumeRecord record, long sizeBytes, out long before)
    {
        record.RefuseUnusable(null);
        before = record.SizeBytes;
        if (sizeBytes == record.SizeBytes) return null;
        CheckSize(sizeBytes, record.BlockSizeBytes);
        if (sizeBytes < record.SizeBytes)
            throw new VolumeException(VolumeErrorKind.InvalidArgument, $"Volume '{record.Name}' has {record.SizeBytes} bytes and cannot be made smaller: {sizeBytes}. Make a new volume of that size and copy what it shall hold; unused space of this one takes no room in the store.");
        return record with { SizeBytes = sizeBytes };
    }

    /// <summary>A volume's identity, capacity in bytes and logical block length in bytes, without a look at its log: a few requests, however large it is.</summary>
    /// <exception cref="VolumeException">No such volume, it is in the trash, or it is damaged.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public async Task<(Guid Id, long SizeBytes, int BlockSizeBytes)> IdentifyAsync(string name, CancellationToken cancellationToken)
    {
        CheckName(name);
        var record = await LogState.ReadVolumeAsync(store, new VolumeKeys(await VolumeNames.ResolveAsync(store, name, cancellationToken)), cancellationToken);
        record.RefuseUnusable(null);
        return (record.Id, record.SizeBytes, record.BlockSizeBytes);
    }

    /// <summary>Describes a volume as the bucket has it.</summary>
    /// <exception cref="VolumeException">No such volume, or it is damaged.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    public async Task<VolumeInfo> DescribeAsync(string name, CancellationToken cancellationToken)
    {
        CheckName(name);
        var state = await VolumeNames.LoadAsync(store, name, cancellationToken);
        var lastWrite = state.Root?.LastWrite ?? 0;
        if (state.Segments.Length > 0) lastWrite = (await state.ReadMetadataAsync(store, state.Segments[^1], cancellationToken)).Header.LastWrite;
        var (segments, bucketBytes) = await CountAsync(state.Keys, cancellationToken);
        var valid = state.Segments.Length + (state.Root is null ? 0 : await CountCoveredAsync(state, cancellationToken));
        return new VolumeInfo(
            state.Volume.Name,
            state.Volume.Id,
            state.Volume.SizeBytes,
            state.Volume.BlockSizeBytes,
            VolumeCompressionNames.NameOf(state.Volume.Compression),
            state.Volume.CreatedAt,
            state.NewestEpoch,
            state.NewestRecord?.Owner,
            state.End.Sequence,
            lastWrite,
            valid,
            Math.Max(0, segments - valid),
            bucketBytes)
        {
            Folder = state.Keys.VolumeName,
            ImportOf = state.Volume.ImportOf,
            RemovedAt = state.Volume.RemovedAt,
            PurgeAfter = state.Volume.PurgeAfter,
        };
    }

    /// <summary>Segments that the checkpoint says exist.</summary>
    private async Task<int> CountCoveredAsync(LogState state, CancellationToken cancellationToken)
    {
        var index = new BucketIndex(state.Volume);
        await index.RestoreAsync(state.Root!, new MapLoader(store, state.Volume, state.Keys, index, new Lock()), cancellationToken);
        return (int)index.Segments.Count;
    }

    private async Task<(int Segments, long Bytes)> CountAsync(VolumeKeys keys, CancellationToken cancellationToken)
    {
        var segments = 0;
        long bytes = 0;
        await foreach (var blob in store.ListAsync(keys.Prefix, null, cancellationToken))
        {
            bytes += blob.LengthBytes;
            if (blob.Name.StartsWith(keys.LogPrefix, StringComparison.Ordinal)) segments++;
        }

        return (segments, bytes);
    }

    /// <summary>Whether a volume, or a store in the configuration, can have that name.</summary>
    public static bool IsValidName(string name) => VolumeKeys.IsValidName(name);

    /// <exception cref="VolumeException">The name cannot be a volume's.</exception>
    public static void CheckName(string name)
    {
        if (!IsValidName(name))
            throw new VolumeException(VolumeErrorKind.InvalidArgument, $"'{name}' cannot be a volume's name. Use 1 to {VolumeKeys.NameLengthMax} lower-case letters, digits, '.', '_' or '-', starting with a letter or digit.");
    }

    /// <summary>A store that ignores a condition it does not know looks healthy until two gateways meet: no volume is made in one.</summary>
    private async Task CheckStoreAsync(CancellationToken cancellationToken)
    {
        var result = await StoreSelfTest.RunAsync(store, new Random(Guid.NewGuid().GetHashCode()), cancellationToken);
        if (result.Passed) return;
        if (result.ErrorKind is { } kind) throw new BlobStoreException(kind, $"{store.Description} could not be tested. {result}");
        throw new VolumeException(VolumeErrorKind.Unsupported, $"{store.Description} does not do what volumes rest on, so no volume was made in it. {result} Use another store, or a newer version of this one.");
    }

    private static void CheckSize(long sizeBytes, int blockSizeBytes)
    {
        if (blockSizeBytes is not (512 or 4096))
            throw new VolumeException(VolumeErrorKind.InvalidArgument, $"A block size of {blockSizeBytes} bytes is not supported. Use 512 or 4096.");
        if (sizeBytes is < VolumeSpec.SizeMinBytes or > VolumeSpec.SizeMaxBytes)
            throw new VolumeException(VolumeErrorKind.InvalidArgument, $"A size of {sizeBytes} bytes is not supported. Use 1 MiB to 64 TiB.");
        var rest = sizeBytes % blockSizeBytes;
        if (rest != 0)
        {
            var down = sizeBytes - rest;
            throw new VolumeException(VolumeErrorKind.InvalidArgument, string.Create(CultureInfo.InvariantCulture, $"A size of {sizeBytes} bytes is not a multiple of the block size, {blockSizeBytes} bytes. Use {down} or {down + blockSizeBytes}."));
        }
    }

    /// <summary>A name that leads to a volume in another folder, or is reserved for one, is not free.</summary>
    private async Task RefuseTakenAsync(string name, CancellationToken cancellationToken)
    {
        if ((await VolumeNames.ReadAliasAsync(store, name, cancellationToken)).Standing != AliasStanding.Free) throw AlreadyExists(name);
    }

    private static VolumeException AlreadyExists(string name) => new(
        VolumeErrorKind.AlreadyExists,
        $"A volume '{name}' exists already; it was left as it is. Choose another name, or serve that one ('tcmu-gateway volume info' describes it; 'volume list --trash' shows what is in the trash; the first name of a renamed volume is its folder's, and stays its own).");
}
