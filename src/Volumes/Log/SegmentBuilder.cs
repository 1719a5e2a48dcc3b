using System.Diagnostics;
using System.Runtime.InteropServices;
using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Frames;
using Gateway.Volumes.Journal;

namespace Gateway.Volumes.Log;

/// <summary>
/// Makes segments of consecutive journal batches. Of blocks written more than once only the last content is kept (a segment takes effect
/// whole), and what remains is laid out by LBA, neighbours together in frames of up to 128 KiB.
/// </summary>
/// <remarks>
/// 1. Read the batches' first pages, one after the other, which say what was written where. 2. Find what is left of it, and give every piece its place in the
/// buffer. 3. Read the data, check it, and copy each piece to its place. 4. Seal. The journal is read in large steps, in order; memory is the data that
/// is left, at most an eighth more, and a window of 512 KiB. One build at a time with one workspace, any number of builds side by side.
/// </remarks>
internal sealed class SegmentBuilder(VolumeRecord volume, JournalFile journal, SegmentBufferPool pool)
{
    private const int WorkspacesKept = 4; // About 1 MiB each, with zstd 2 MiB.

    private static readonly BoundedPool<Workspace> Workspaces = new(() => new Workspace(), WorkspacesKept);
    private static readonly Comparison<Piece> ByRecord = static (a, b) => a.Record != b.Record ? a.Record.CompareTo(b.Record) : a.Offset.CompareTo(b.Offset);

    private readonly CompressionHistory _history = new();
    private ulong _capacityBlocks = volume.CapacityBlocks;

    /// <summary>Takes writes up to a larger capacity from now on. Before any of them is journaled. Thread safe.</summary>
    public void Grow(ulong capacityBlocks) => Volatile.Write(ref _capacityBlocks, capacityBlocks);

    /// <summary>Builds a segment of stretches that follow each other in the journal.</summary>
    /// <exception cref="IOException">The journal failed, or does not return what was written to it.</exception>
    public async ValueTask<BuiltSegment> BuildAsync(List<JournalStretch> batches, SegmentId id, Guid nonce, DateTimeOffset now)
    {
        var workspace = Workspaces.Rent();
        workspace.Clear();
        workspace.Window.Attach(journal, batches[^1].EndPosition);
        await ReadRecordsAsync(workspace, batches);
        workspace.Effect.Compute();
        var (reserve, length) = Plan(workspace);
        var buffer = pool.Rent(length);
        try
        {
            await PlaceAsync(workspace, buffer);
            var identity = new SegmentSealer.Identity(volume, id, nonce, now, SegmentKind.Log, batches[0].FirstWrite, batches[^1].LastWrite, 0);
            var segment = workspace.Sealer.Seal(identity, CollectionsMarshal.AsSpan(workspace.Extents), buffer, reserve, volume.Compression, _history, pool);
            Workspaces.Return(workspace);
            return segment;
        }
        catch
        {
            pool.Return(buffer); // A read of the journal that has failed has ended.
            throw;
        }
    }

    /// <summary>Step 1: what was written where, from the batches' first pages.</summary>
    private async ValueTask ReadRecordsAsync(Workspace workspace, List<JournalStretch> stretches)
    {
        var window = workspace.Window;
        foreach (var stretch in stretches)
        {
            // Of large batches only the first page; small ones come several at a time.
            var step = stretch.LengthBytes / stretch.BatchCount > JournalWindow.LengthBytes / 4 ? JournalBatchHeader.PageBytes : JournalWindow.LengthBytes;
            var (position, nextWrite) = (stretch.Position, stretch.FirstWrite);
            for (var batch = 0; batch < stretch.BatchCount; batch++)
            {
                if (!window.Holds(position, JournalBatchHeader.PageBytes)) await window.FillAsync(position, step);
                if (!TryAddRecords(workspace, position, nextWrite, window, out var header)) throw Changed(position);
                (position, nextWrite) = (header.EndPosition, nextWrite + header.RecordCount);
            }

            if (position != stretch.EndPosition || nextWrite != stretch.LastWrite + 1) throw Changed(stretch.Position);
        }
    }

    private bool TryAddRecords(Workspace workspace, long position, long firstWrite, JournalWindow window, out JournalBatchHeader header)
    {
        header = default;
        if (!window.Holds(position, JournalBatchHeader.PageBytes)) return false;
        var page = window.Get(position, JournalBatchHeader.PageBytes);
        if (!JournalBatchHeader.TryParse(page, journal.Seed, out header) || header.Position != position || header.FirstWrite != firstWrite) return false;
        for (var i = 0; i < header.RecordCount; i++)
        {
            var record = JournalBatchHeader.RecordAt(page, i);
            if (record.Blocks == 0 || !new BlockRange(record.Lba, record.Blocks).FitsIn(Volatile.Read(ref _capacityBlocks))) return false;
            if (record.Kind == JournalRecordKind.Zero)
            {
                workspace.Effect.Add(record.Lba, record.Blocks, NetEffect.Zero);
                continue;
            }

            var possible = record.Kind == JournalRecordKind.Data && record.DataLengthBytes <= JournalFile.RecordDataMaxBytes
                && record.DataLengthBytes == record.Blocks * (long)volume.BlockSizeBytes
                && record.DataOffsetBytes >= JournalBatchHeader.PageBytes && record.DataOffsetBytes <= header.LengthBytes - record.DataLengthBytes;
            if (!possible) return false;
            workspace.Effect.Add(record.Lba, record.Blocks, workspace.Records.Count);
            workspace.Records.Add(new Record(header.Position + record.DataOffsetBytes, record.DataLengthBytes, record.DataCrc));
        }

        return true;
    }

    /// <summary>Step 2: joins runs that follow each other into extents of at most 128 KiB, and gives each piece of them its place.</summary>
    /// <returns>Where the first extent's gap starts in the buffer, and the length of the buffer.</returns>
    private (int ReserveBytes, int BufferBytes) Plan(Workspace workspace)
    {
        var blocksMax = (uint)(FrameHeader.PayloadMaxBytes / volume.BlockSizeBytes);
        var (extents, pieces) = (workspace.Extents, workspace.Pieces);
        var end = 0; // Relative to the reserve, whose length is known only at the end.
        foreach (var run in workspace.Effect.Runs)
        {
            if (run.Write == NetEffect.Zero)
            {
                extents.Add(new SegmentSealer.Extent(run.Lba, run.Blocks, -1));
                continue;
            }

            for (uint done = 0, take; done < run.Blocks; done += take)
            {
                var last = extents.Count == 0 ? default : extents[^1];
                var joins = extents.Count > 0 && last.PayloadOffset >= 0 && last.Lba + last.Blocks == run.Lba + done && last.Blocks < blocksMax;
                if (!joins)
                {
                    last = new SegmentSealer.Extent(run.Lba + done, 0, end += FrameHeader.HeaderLengthBytes);
                    extents.Add(last);
                }

                take = Math.Min(run.Blocks - done, blocksMax - last.Blocks);
                var length = (int)take * volume.BlockSizeBytes;
                // The checksum of a whole record goes all the way from the write to the frame.
                var record = workspace.Records[run.Write];
                extents[^1] = last with { Blocks = last.Blocks + take, Crc = !joins && length == record.LengthBytes ? record.Crc : null };
                pieces.Add(new Piece(run.Write, (int)(run.WriteOffset + done) * volume.BlockSizeBytes, length, end));
                end += length;
            }
        }

        var entriesMax = 0;
        foreach (var extent in extents)
            entriesMax += extent.PayloadOffset < 0 ? 1 : SegmentSealer.EntriesMax((int)extent.Blocks * volume.BlockSizeBytes, volume.BlockSizeBytes);
        var reserve = SegmentSealer.ReserveBytes(entriesMax);
        foreach (ref var extent in CollectionsMarshal.AsSpan(extents))
        {
            if (extent.PayloadOffset >= 0) extent = extent with { PayloadOffset = reserve + extent.PayloadOffset };
        }

        foreach (ref var piece in CollectionsMarshal.AsSpan(pieces)) piece = piece with { Destination = reserve + piece.Destination };
        return (reserve, reserve + end);
    }

    /// <summary>Step 3: reads the records of which anything is left, in order of the journal, checks them, and copies each piece to its place.</summary>
    private async ValueTask PlaceAsync(Workspace workspace, byte[] buffer)
    {
        var (window, pieces) = (workspace.Window, workspace.Pieces);
        pieces.Sort(ByRecord);
        for (var i = 0; i < pieces.Count;)
        {
            var record = workspace.Records[pieces[i].Record];
            if (!window.Holds(record.Position, record.LengthBytes)) await window.FillAsync(record.Position, JournalWindow.LengthBytes);
            var data = window.Get(record.Position, record.LengthBytes);
            if (Crc32C.Compute(data) != record.Crc) throw Changed(record.Position);
            for (var of = pieces[i].Record; i < pieces.Count && pieces[i].Record == of; i++)
            {
                var piece = pieces[i];
                data.Slice(piece.Offset, piece.LengthBytes).CopyTo(buffer.AsSpan(piece.Destination));
            }
        }
    }

    private IOException Changed(long position) => new($"Journal '{journal.Path}' does not return what was written to it at position {position}.");

    /// <summary>Data that a record holds: where in the journal, and its checksum.</summary>
    private readonly record struct Record(long Position, int LengthBytes, uint Crc);

    /// <summary>Part of a record's data, and where in the buffer it goes.</summary>
    private readonly record struct Piece(int Record, int Offset, int LengthBytes, int Destination);

    /// <summary>What a build needs besides its buffer; reused, so that a warm build allocates next to nothing.</summary>
    private sealed class Workspace : IDisposable
    {
        public NetEffect Effect { get; } = new();

        public List<Record> Records { get; } = [];

        public List<SegmentSealer.Extent> Extents { get; } = [];

        public List<Piece> Pieces { get; } = [];

        public JournalWindow Window { get; } = new();

        public SegmentSealer Sealer { get; } = new();

        public void Clear()
        {
            Effect.Clear();
            Records.Clear();
            Extents.Clear();
            Pieces.Clear();
        }

        public void Dispose() => Sealer.Dispose();
    }
}
