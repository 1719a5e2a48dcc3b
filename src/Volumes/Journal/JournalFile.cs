using System.Runtime.CompilerServices;
using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Volumes.Formats;

namespace Gateway.Volumes.Journal;

/// <summary>A whole batch found or written in the journal.</summary>
/// <param name="Header">Its header.</param>
/// <param name="DataBytes">Sum of its records' data.</param>
internal readonly record struct JournalBatch(JournalBatchHeader Header, int DataBytes);

/// <summary>
/// The journal on disk: two superblock slots, then a ring of batches between tail and head. Positions only grow; the ring offset is
/// position modulo capacity. Free space is reused only after a superblock with the new tail is durable, so that replay, which starts at
/// the superblock's tail, never meets a batch of a later lap where an earlier one should be.
/// </summary>
/// <remarks>One appender at a time, one superblock writer at a time; <see cref="ReadAsync"/> may run beside both.</remarks>
internal sealed class JournalFile : IDisposable
{
    public const int RingOffsetBytes = 2 * JournalSuperblock.SlotLengthBytes;

    /// <summary>A record carries at most this much, so that proving a small read costs little.</summary>
    public const int RecordDataMaxBytes = FrameHeader.PayloadMaxBytes;

    /// <summary>How far past a damaged batch recovery looks for proof that flushed data is missing.</summary>
    private const long DamageSearchBytes = 64 << 20;

    private readonly IJournalDisk _disk;
    private readonly uint _seed;
    private readonly NativeBuffer _slot = new(JournalSuperblock.SlotLengthBytes);
    private readonly ScatterList _slotList = new();
    private readonly SemaphoreSlim _flushing = new(1);
    private IOException? _flushFailure;
    private JournalSuperblock _superblock;

    private JournalFile(IJournalDisk disk, JournalSuperblock superblock)
    {
        _disk = disk;
        _superblock = superblock;
        _seed = BatchSeed(superblock.JournalId);
        _slotList.Add(_slot);
        Head = superblock.TailPosition;
    }

    public string Path => _disk.Name;

    public JournalSuperblock Superblock => _superblock;

    /// <summary>Where the next batch goes. Only the appender and recovery move it.</summary>
    public long Head { get; private set; }

    public long CapacityBytes => _superblock.CapacityBytes;

    /// <summary>What batch checksums of this journal start from.</summary>
    public uint Seed => _seed;

    /// <summary>Lays out an empty journal on a new disk file.</summary>
    public static async ValueTask<JournalFile> CreateAsync(IJournalDisk disk, Guid volumeId, Guid journalId, long lastWrite)
    {
        var capacity = (disk.LengthBytes - RingOffsetBytes) / JournalBatchHeader.PageBytes * JournalBatchHeader.PageBytes;
        var journal = new JournalFile(disk, new JournalSuperblock
        {
            VolumeId = volumeId,
            JournalId = journalId,
            Generation = 0,
            CapacityBytes = capacity,
            TailPosition = 0,
            TailWrite = lastWrite,
            Epoch = 0,
            ClaimEpoch = 0,
            ClaimNonce = default,
        });
        // Both slots, so that a damaged one never brings back what the disk held before.
        await journal.WriteSuperblockAsync(journal.Superblock);
        await journal.WriteSuperblockAsync(journal.Superblock);
        return journal;
    }

    /// <summary>Reads the superblock of an existing journal; its batches are read by <see cref="RecoverAsync"/>.</summary>
    /// <exception cref="VolumeException">Not a journal, of another volume, newer, or damaged.</exception>
    /// <remarks>Closes the disk when it fails.</remarks>
    public static async ValueTask<JournalFile> OpenAsync(IJournalDisk disk, Guid volumeId)
    {
        try
        {
            return await ReadSuperblockAsync(disk, volumeId);
        }
        catch
        {
            disk.Dispose();
            throw;
        }
    }

    private static async ValueTask<JournalFile> ReadSuperblockAsync(IJournalDisk disk, Guid volumeId)
    {
        var slots = new byte[RingOffsetBytes];
        if (disk.LengthBytes < RingOffsetBytes) throw NotAJournal(disk.Name);
        await disk.ReadAsync(slots, 0);
        var first = JournalSuperblock.TryParse(slots, disk.Name, out var a);
        var second = JournalSuperblock.TryParse(slots.AsSpan(JournalSuperblock.SlotLengthBytes), disk.Name, out var b);
        if (!first && !second) throw NotAJournal(disk.Name);
        var superblock = !second || (first && a.Generation > b.Generation != Mutation.OlderSuperblockTaken) ? a : b;
        if (superblock.VolumeId != volumeId)
            throw new VolumeException(VolumeErrorKind.JournalMismatch, $"Journal '{disk.Name}' belongs to another volume ({superblock.VolumeId}), not to {volumeId}. Move the file away; it may hold writes of that volume that are not in its bucket yet.");
        var possible = superblock.CapacityBytes > 0 && superblock.CapacityBytes % JournalBatchHeader.PageBytes == 0
            && superblock.CapacityBytes <= disk.LengthBytes - RingOffsetBytes && superblock.TailPosition >= 0 && superblock.TailWrite >= 0;
        if (!possible)
            throw new VolumeException(VolumeErrorKind.Damaged, $"Journal '{disk.Name}' is damaged: its superblock does not fit a file of {disk.LengthBytes} bytes. Restore the whole file if it was truncated; otherwise move it away, and the volume opens at the state that had reached the bucket.");
        return new JournalFile(disk, superblock);
    }

    /// <summary>
    /// Reads all whole batches from the tail on, in order, and leaves the head behind the last of them.
    /// </summary>
    /// <exception cref="VolumeException">Data that had been flushed is damaged.</exception>
    public async IAsyncEnumerable<(JournalBatch Batch, ReadOnlyMemory<byte> Content)> RecoverAsync()
    {
        Head = _superblock.TailPosition;
        var nextWrite = _superblock.TailWrite + 1;
        long epoch = 0;
        var content = new byte[1 << 20];
        while (true)
        {
            var room = (int)Math.Min(_superblock.TailPosition + CapacityBytes - Head, CapacityBytes - (Head % CapacityBytes));
            if (room < JournalBatchHeader.PageBytes) yield break; // The ring is full to the last page.
            await ReadAsync(content.AsMemory(0, JournalBatchHeader.PageBytes), Head);
            var whole = JournalBatchHeader.TryParse(content, _seed, out var header)
                && header.Position == Head && header.Epoch >= epoch && header.FirstWrite == nextWrite && header.LengthBytes <= room;
            if (whole && header.RecordCount > 0)
            {
                if (header.LengthBytes > content.Length) Array.Resize(ref content, header.LengthBytes);
                await ReadAsync(content.AsMemory(JournalBatchHeader.PageBytes, header.LengthBytes - JournalBatchHeader.PageBytes), Head + JournalBatchHeader.PageBytes);
                RefuseUnknownRecords(content, header);
                whole = TryCheckRecords(content.AsSpan(0, header.LengthBytes), header, out var dataBytes);
                if (whole) yield return (new JournalBatch(header, dataBytes), content.AsMemory(0, header.LengthBytes));
            }

            if (!whole)
            {
                await RefuseIfFlushedDataIsMissingAsync(epoch);
                yield break;
            }

            epoch = header.Epoch;
            nextWrite += header.RecordCount;
            Head = header.EndPosition;
        }
    }

    /// <summary>Appends one batch at the head, which the caller has found to fit, and moves the head behind it.</summary>
    /// <param name="content">Its pages, sealed for position <see cref="Head"/>; a multiple of 4,096 bytes, not past the end of the ring.</param>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask AppendAsync(ScatterList content)
    {
        await _disk.WriteAsync(content, Offset(Head));
        Head += content.LengthBytes;
    }

    /// <summary>Moves the head over space that holds nothing: the rest of padding.</summary>
    public void SkipTo(long position) => Head = position;

    /// <summary>Bytes from the head to the end of the ring.</summary>
    public int RoomToEnd => (int)Math.Min(int.MaxValue, CapacityBytes - (Head % CapacityBytes));

    /// <summary>Makes everything appended before the call durable. After one failure every later call fails, too.</summary>
    /// <remarks>
    /// One at a time: the kernel reports a lost write to an open file once, so that of two fdatasyncs side by side the second could
    /// succeed and vouch for what the first found lost.
    /// </remarks>
    /// <param name="brief">The caller goes on with little work: it may do so on the disk's own thread.</param>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask FlushAsync(bool brief = false)
    {
        await _flushing.WaitAsync();
        try
        {
            if (_flushFailure is not null) throw new IOException(_flushFailure.Message, _flushFailure);
            if (!Mutation.SkipFlush) await (brief ? _disk.FlushBrieflyAsync() : _disk.FlushAsync());
        }
        catch (IOException e)
        {
            _flushFailure ??= e;
            throw;
        }
        finally
        {
            _flushing.Release();
        }
    }

    /// <summary>Fills <paramref name="destination"/> from a position; the range does not cross the end of the ring.</summary>
    public ValueTask ReadAsync(Memory<byte> destination, long position) => _disk.ReadAsync(destination, Offset(position));

    /// <summary>Makes a new superblock durable. It goes to the slot that the present one is not in.</summary>
    public async ValueTask WriteSuperblockAsync(JournalSuperblock superblock)
    {
        superblock = superblock with { Generation = _superblock.Generation + 1 };
        superblock.WriteTo(_slot.Span);
        await _disk.WriteAsync(_slotList, superblock.Generation % 2 * JournalSuperblock.SlotLengthBytes);
        await FlushAsync();
        _superblock = superblock;
    }

    /// <summary>Forgets everything: the next batch follows write <paramref name="lastWrite"/>. The positions go on, so that no old batch fits.</summary>
    /// <remarks>
    /// Batches behind a torn one reach up to a capacity beyond the tail, and to two if this superblock is the older one: three laps on, no
    /// batch left on the disk is where the new ones go.
    /// </remarks>
    /// <param name="lastWrite">The last write in the bucket.</param>
    /// <param name="epoch">The epoch of the segment that holds it.</param>
    public async ValueTask ResetAsync(long lastWrite, long epoch)
    {
        Head = Mutation.ResetInPlace ? _superblock.TailPosition : ((_superblock.TailPosition / CapacityBytes) + 3) * CapacityBytes;
        await WriteSuperblockAsync(_superblock with { TailPosition = Head, TailWrite = lastWrite, Epoch = Math.Max(_superblock.Epoch, epoch) });
    }

    public void Dispose()
    {
        _disk.Dispose();
        _slot.Dispose();
        _flushing.Dispose();
    }

    /// <summary>Checks every record of a batch against its data.</summary>
    public static bool TryCheckRecords(ReadOnlySpan<byte> batch, in JournalBatchHeader header, out int dataBytes)
    {
        dataBytes = 0;
        for (var i = 0; i < header.RecordCount; i++)
        {
            var record = JournalBatchHeader.RecordAt(batch, i);
            if (record.Kind == JournalRecordKind.Zero) continue;
            var inside = record.Kind == JournalRecordKind.Data && record.DataLengthBytes is > 0 and <= RecordDataMaxBytes
                && record.DataOffsetBytes >= JournalBatchHeader.PageBytes && record.DataOffsetBytes <= batch.Length - record.DataLengthBytes;
            if (!inside || (!Mutation.TornBatchAccepted && Crc32C.Compute(batch.Slice(record.DataOffsetBytes, record.DataLengthBytes)) != record.DataCrc)) return false;
            dataBytes += record.DataLengthBytes;
        }

        return true;
    }

    /// <summary>A batch whose checksum holds but whose records mean nothing to us is no torn end: a newer version wrote it.</summary>
    private void RefuseUnknownRecords(ReadOnlySpan<byte> page, in JournalBatchHeader header)
    {
        for (var i = 0; i < header.RecordCount; i++)
        {
            if (JournalBatchHeader.RecordAt(page, i).Kind is not (JournalRecordKind.Data or JournalRecordKind.Zero))
                throw new VolumeException(VolumeErrorKind.Unsupported, $"Journal '{Path}' holds records that this tcmu-gateway does not know. Use the newer version that wrote it; they may not be in the bucket yet.");
        }
    }

    private long Offset(long position) => RingOffsetBytes + (position % CapacityBytes);

    /// <summary>
    /// A bad batch is the torn end of the journal, unless a later batch says that it had been flushed: then the disk lost what it had
    /// promised to keep, and going on would silently drop acknowledged writes. So it would if a batch of a later lap is in its place: then
    /// the superblock that gave the place back is lost.
    /// </summary>
    private async ValueTask RefuseIfFlushedDataIsMissingAsync(long epoch)
    {
        var chunk = new byte[1 << 20];
        var end = Math.Min(Head + DamageSearchBytes, _superblock.TailPosition + CapacityBytes);
        for (var position = Head; position < end;)
        {
            var length = (int)Math.Min(Math.Min(chunk.Length, end - position), CapacityBytes - (position % CapacityBytes));
            await ReadAsync(chunk.AsMemory(0, length), position);
            for (var at = 0; at < length; at += JournalBatchHeader.PageBytes)
            {
                var later = JournalBatchHeader.TryParse(chunk.AsSpan(at), _seed, out var header)
                    && ((header.Position == position + at && header.Epoch >= epoch && header.DurablePosition > Head) || header.Position > position + at);
                if (later)
                    throw new VolumeException(
                        VolumeErrorKind.Damaged,
                        $"Journal '{Path}' is damaged at position {Head}: writes from {header.FirstWrite} on follow, which were made after that place had been flushed to disk or given back. Copy the file away first. If the disk cannot be repaired, remove the journal: the volume then opens at the state that had reached the bucket.");
            }

            position += length;
        }
    }

    private static uint BatchSeed(Guid journalId)
    {
        Span<byte> bytes = stackalloc byte[16];
        journalId.TryWriteBytes(bytes, bigEndian: true, out _);
        return Crc32C.Compute(bytes);
    }

    private static VolumeException NotAJournal(string path) => new(
        VolumeErrorKind.Foreign,
        $"'{path}' is not a tcmu-gateway journal, or both its superblocks are damaged. Move the file away; the volume then opens at the state that had reached the bucket.");
}
