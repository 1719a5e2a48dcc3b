using System.Globalization;
using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Journal;
using Gateway.Volumes.Names;
using Microsoft.Win32.SafeHandles;

namespace Gateway.Volumes.Leases;

/// <summary>A journal file, as its superblock has it.</summary>
/// <param name="File">Path.</param>
/// <param name="VolumeId">Its volume.</param>
/// <param name="JournalId">Its own identity.</param>
/// <param name="KeptAside">True: no volume replays it any more.</param>
/// <param name="Epoch">The newest epoch that served from it.</param>
/// <param name="CapacityBytes">Bytes of its ring.</param>
/// <param name="LastWriteInBucket">The last write that it knows to be in the bucket.</param>
/// <param name="ChangedAt">When the file was last written.</param>
public sealed record JournalSummary(
    string File, Guid VolumeId, Guid JournalId, bool KeptAside, long Epoch, long CapacityBytes, long LastWriteInBucket, DateTimeOffset ChangedAt);

/// <summary>One write in a journal.</summary>
/// <param name="Write">Write number.</param>
/// <param name="Lba">First block.</param>
/// <param name="Blocks">Number of blocks.</param>
/// <param name="Kind"><c>data</c> or <c>zeroes</c>.</param>
public sealed record JournaledWrite(long Write, ulong Lba, uint Blocks, string Kind);

/// <summary>Writes that were appended together.</summary>
/// <param name="Position">Place in the journal.</param>
/// <param name="Epoch">The epoch that wrote it.</param>
/// <param name="InBucket">Whether all of it is in the bucket; null: the bucket was not looked at.</param>
/// <param name="Writes">Its writes.</param>
public sealed record JournaledBatch(long Position, long Epoch, bool? InBucket, IReadOnlyList<JournaledWrite> Writes);

/// <summary>What a journal holds.</summary>
/// <param name="Journal">The file.</param>
/// <param name="Batches">Everything behind what it knows to be in the bucket, in order.</param>
/// <param name="Damage">Why reading it ended early; null: it did not.</param>
public sealed record JournalReport(JournalSummary Journal, IReadOnlyList<JournaledBatch> Batches, string? Damage);

/// <summary>Reads journals without opening their volumes: takes no lock and changes nothing. Of a journal in use it shows a moment that may never have been.</summary>
public static class JournalInspector
{
    /// <summary>The journals in a directory (null: there is none), those of one volume or all, in order of their names; files that are none are left out.</summary>
    public static async Task<IReadOnlyList<JournalSummary>> ListAsync(string? directory, Guid? volumeId)
    {
        if (!Directory.Exists(directory)) return [];
        var found = new List<JournalSummary>();
        foreach (var file in Directory.EnumerateFiles(directory, $"{volumeId?.ToString() ?? ""}*{JournalShelf.Suffix}").Order(StringComparer.Ordinal))
        {
            try
            {
                using var journal = await OpenAsync(file);
                found.Add(Summarize(file, journal.Superblock));
            }
            catch (Exception e) when (e is VolumeException or IOException)
            {
                // Not a journal, or gone meanwhile.
            }
        }

        return found;
    }

    /// <summary>Names of the files in a directory (null: there is none) that are kept aside for a volume.</summary>
    public static IReadOnlyList<string> KeptAside(string? directory, Guid volumeId) => Directory.Exists(directory)
        ? [.. Directory.EnumerateFiles(directory, $"{volumeId}.*{JournalShelf.AsideSuffix}").Order(StringComparer.Ordinal)]
        : [];

    /// <summary>Reads all of a journal.</summary>
    /// <param name="file">Its path.</param>
    /// <param name="volume">Where its volume is: then each batch says whether it is in the bucket.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    /// <exception cref="VolumeException">Not a journal, or not that volume's.</exception>
    /// <exception cref="BlobStoreException">The store failed.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static async Task<JournalReport> ReadAsync(string file, (IBlobStore Store, string Name)? volume, CancellationToken cancellationToken)
    {
        using var journal = await OpenAsync(file);
        var summary = Summarize(file, journal.Superblock);
        var bucket = volume is { } v ? await LoadAsync(v.Store, v.Name, journal, cancellationToken) : null;
        var batches = new List<JournaledBatch>();
        string? damage = null;
        try
        {
            await foreach (var (batch, content) in journal.RecoverAsync())
            {
                cancellationToken.ThrowIfCancellationRequested();
                batches.Add(Describe(batch.Header, content.Span, bucket?.Holds(batch.Header, journal.Superblock.Epoch)));
            }
        }
        catch (VolumeException e)
        {
            damage = e.Message;
        }

        return new JournalReport(summary, batches, damage);
    }

    private static async Task<JournalFile> OpenAsync(string file)
    {
        var disk = new ReadOnlyDisk(file);
        try
        {
            return await JournalFile.OpenAsync(disk, await ReadVolumeIdAsync(disk));
        }
        catch
        {
            disk.Dispose();
            throw;
        }
    }

    private static async Task<Guid> ReadVolumeIdAsync(ReadOnlyDisk disk)
    {
        var slots = new byte[Math.Min(disk.LengthBytes, JournalFile.RingOffsetBytes)];
        await disk.ReadAsync(slots, 0);
        for (var at = 0; at + JournalSuperblock.SlotLengthBytes <= slots.Length; at += JournalSuperblock.SlotLengthBytes)
            if (JournalSuperblock.TryParse(slots.AsSpan(at), disk.Name, out var superblock)) return superblock.VolumeId;
        throw new VolumeException(VolumeErrorKind.Foreign, $"'{disk.Name}' is not a tcmu-gateway journal, or both its superblocks are damaged.");
    }

    private static JournalSummary Summarize(string file, in JournalSuperblock superblock) => new(
        file,
        superblock.VolumeId,
        superblock.JournalId,
        JournalShelf.IsAside(Path.GetFileName(file)),
        superblock.Epoch,
        superblock.CapacityBytes,
        superblock.TailWrite,
        File.GetLastWriteTimeUtc(file));

    private static async Task<RecoveredVolume> LoadAsync(IBlobStore store, string name, JournalFile journal, CancellationToken cancellationToken)
    {
        var state = await VolumeNames.LoadAsync(store, name, cancellationToken);
        if (state.Volume.Id != journal.Superblock.VolumeId)
            throw new VolumeException(VolumeErrorKind.JournalMismatch, $"'{journal.Path}' is a journal of volume {journal.Superblock.VolumeId}, but volume '{name}' is {state.Volume.Id}.");
        var bucket = new RecoveredVolume(state, journal, store);
        await bucket.LoadAsync(cancellationToken);
        return bucket;
    }

    private static JournaledBatch Describe(in JournalBatchHeader header, ReadOnlySpan<byte> content, bool? inBucket)
    {
        var writes = new JournaledWrite[header.RecordCount];
        for (var i = 0; i < writes.Length; i++)
        {
            var record = JournalBatchHeader.RecordAt(content, i);
            writes[i] = new JournaledWrite(header.FirstWrite + i, record.Lba, record.Blocks, record.Kind == JournalRecordKind.Zero ? "zeroes" : "data");
        }

        return new JournaledBatch(header.Position, header.Epoch, inBucket, writes);
    }

    /// <summary>A journal file that is only looked at.</summary>
    private sealed class ReadOnlyDisk(string path) : IJournalDisk
    {
        private readonly SafeFileHandle _file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);

        public string Name => path;

        public long LengthBytes => RandomAccess.GetLength(_file);

        public ValueTask ReadAsync(Memory<byte> destination, long offsetBytes)
        {
            while (!destination.IsEmpty)
            {
                var read = RandomAccess.Read(_file, destination.Span, offsetBytes);
                if (read == 0) throw new IOException(string.Create(CultureInfo.InvariantCulture, $"'{path}' ends at {offsetBytes} bytes, before it should."));
                destination = destination[read..];
                offsetBytes += read;
            }

            return ValueTask.CompletedTask;
        }

        public ValueTask WriteAsync(ScatterList content, long offsetBytes) => throw new NotSupportedException();

        public ValueTask FlushAsync() => throw new NotSupportedException();

        public void Dispose() => _file.Dispose();
    }
}
