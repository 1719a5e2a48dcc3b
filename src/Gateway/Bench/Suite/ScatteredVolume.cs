using Gateway.Backends.Core;
using Gateway.Backends.File;
using Gateway.Volumes;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Frames;
using Gateway.Volumes.Log;

namespace Gateway.Bench.Suite;

/// <summary>Makes a volume that was written block by block in random order, every block once: nothing in its map joins with anything.</summary>
/// <remarks>
/// Its segments are built by the engine's own sealer and put behind those of a writer that has ended, instead of going through a journal: forty
/// gigabytes would take minutes. The data compress to almost nothing. Then the engine opens the volume, and leaves a checkpoint as it closes.
/// </remarks>
internal sealed class ScatteredVolume(string folder, SuiteContext context)
{
    public const long Extents = 10_000_000;

    private const int BlockBytes = 4096;
    private const int BlocksPerSegment = 2048;

    // Coprime to the number of extents, near its golden section: multiples of it visit every block once, neighbours far apart in time.
    private const long Step = 6_180_339;

    private readonly byte[] _buffer = new byte[SegmentSealer.ReserveBytes(BlocksPerSegment) + BlocksPerSegment * (FrameHeader.HeaderLengthBytes + BlockBytes)];
    private readonly SegmentSealer.Extent[] _extents = new SegmentSealer.Extent[BlocksPerSegment];
    private readonly CompressionHistory _history = new();

    public async Task MakeAsync(CancellationToken cancellationToken)
    {
        var spec = new VolumeSpec(Extents * BlockBytes, BlockBytes);
        var options = new VolumeOptions { CloseTimeout = TimeSpan.FromMinutes(5), MapBytes = 1L << 30 };
        await using (await BenchTarget.InStoreAsync("scattered", NewStore(), null, spec, options, Journal, context.Time, context.Logger, cancellationToken))
        {
            // Claims the first epoch, and ends.
        }

        await using (var store = NewStore())
        {
            var state = await LogState.LoadAsync(store, BenchTarget.VolumeName, cancellationToken);
            var sequence = state.End.Sequence;
            for (long first = 0; first < Extents; first += BlocksPerSegment) await PutAsync(store, state, ++sequence, first, cancellationToken);
        }

        await using (await BenchTarget.ReopenAsync("scattered", NewStore(), null, options, Journal, context.Time, context.Logger, cancellationToken))
        {
            // Reads the log, and leaves a checkpoint.
        }
    }

    public JournalOptions Journal { get; } = new() { Directory = Path.Combine(folder, "journal"), CapacityBytes = JournalOptions.CapacityMinBytes };

    public FileBlobStore NewStore() => new(new FileStoreOptions { Path = Directory.CreateDirectory(Path.Combine(folder, "store")).FullName }, context.Time);

    private async Task PutAsync(FileBlobStore store, LogState state, long sequence, long first, CancellationToken cancellationToken)
    {
        var count = (int)Math.Min(BlocksPerSegment, Extents - first);
        var id = new SegmentId(state.NewestEpoch, sequence);
        var segment = Build(state.Volume, id, first, count);
        var path = Path.Combine(folder, "store", state.Keys.Segment(id).Value);
        if (first == 0) await store.PutAsync(state.Keys.Segment(id), segment.Content, Precondition.Absent, cancellationToken); // Makes the folder.
        else await File.WriteAllBytesAsync(path, segment.Content, cancellationToken); // As the store would, without waiting for the disk five thousand times.
    }

    private BuiltSegment Build(VolumeRecord volume, SegmentId id, long first, int count)
    {
        for (var i = 0; i < count; i++) _extents[i] = new SegmentSealer.Extent((ulong)((Int128)(first + i) * Step % Extents), 1, 0);
        var extents = _extents.AsSpan(0, count);
        extents.Sort(static (a, b) => a.Lba.CompareTo(b.Lba));
        var reserve = SegmentSealer.ReserveBytes(BlocksPerSegment);
        for (var i = 0; i < count; i++)
        {
            var at = reserve + i * (FrameHeader.HeaderLengthBytes + BlockBytes) + FrameHeader.HeaderLengthBytes;
            extents[i] = extents[i] with { PayloadOffset = at };
            _buffer.AsSpan(at, BlockBytes).Fill((byte)(1 + extents[i].Lba % 255)); // Not zeroes: those take no frame.
        }

        using var sealer = new SegmentSealer();
        var identity = new SegmentSealer.Identity(volume, id, Guid.Empty, DateTimeOffset.UnixEpoch, SegmentKind.Log, first + 1, first + count, 0);
        return sealer.Seal(identity, extents, _buffer, reserve, VolumeCompression.Lz4, _history, SegmentBufferPool.Shared);
    }
}
