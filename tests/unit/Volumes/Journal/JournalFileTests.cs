using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Tests.Shared;
using Gateway.Volumes.Journal;
using Xunit;

namespace Gateway.Volumes.Tests.Journal;

public class JournalFileTests
{
    private const int Page = JournalBatchHeader.PageBytes;
    private const int RingPages = 8;

    private static readonly Guid Volume = Guid.NewGuid();

    [Fact]
    public async Task Reset_BatchLeftBehindATornOne_NeverComesBack()
    {
        var (disk, journal) = await CreateAsync();
        await journal.WriteSuperblockAsync(journal.Superblock with { TailPosition = (RingPages - 1) * Page });
        journal.SkipTo(RingPages * Page); // The batch at the tail, write 1, never reached the disk; write 2 behind it did.
        await AppendAsync(journal, epoch: 1, write: 2);
        journal = await JournalFile.OpenAsync(disk, Volume);
        Assert.Empty(await RecoverAsync(journal));

        await journal.ResetAsync(lastWrite: 1, epoch: 1); // The bucket has write 1.
        journal = await JournalFile.OpenAsync(disk, Volume);

        Assert.Empty(await RecoverAsync(journal));
    }

    [Fact]
    public async Task Recover_NewestSuperblockRottenAndItsTailOverwritten_IsRefusedInsteadOfDropped()
    {
        var (disk, journal) = await CreateAsync();
        for (var write = 1; write <= RingPages; write++) await AppendAsync(journal, epoch: 1, write);
        await journal.WriteSuperblockAsync(journal.Superblock with { TailPosition = RingPages * Page, TailWrite = RingPages });
        for (var write = RingPages + 1; write <= 2 * RingPages; write++) await AppendAsync(journal, epoch: 1, write);
        var image = disk.AfterKill();
        image[(journal.Superblock.Generation % 2 * JournalSuperblock.SlotLengthBytes) + 20] ^= 0xFF;

        journal = await JournalFile.OpenAsync(new SimulatedDisk("rotten", image), Volume);
        var refusal = await Assert.ThrowsAsync<VolumeException>(() => RecoverAsync(journal));

        Assert.Equal(VolumeErrorKind.Damaged, refusal.Kind);
    }

    [Fact]
    public async Task Flush_AfterAFailedOne_FailsEvenIfTheDiskSucceeds()
    {
        var (disk, journal) = await CreateAsync();
        disk.FailFlushes = true;
        await Assert.ThrowsAsync<IOException>(async () => await journal.WriteSuperblockAsync(journal.Superblock));
        disk.FailFlushes = false;

        // The kernel reports a lost write once to each open file: the next fdatasync succeeds and means nothing.
        await Assert.ThrowsAsync<IOException>(async () => await journal.FlushAsync());
    }

    private static async Task<(SimulatedDisk Disk, JournalFile Journal)> CreateAsync()
    {
        var disk = new SimulatedDisk("journal", new byte[JournalFile.RingOffsetBytes + (RingPages * Page)]);
        return (disk, await JournalFile.CreateAsync(disk, Volume, Guid.NewGuid(), 0));
    }

    private static async Task AppendAsync(JournalFile journal, long epoch, long write)
    {
        using var page = new NativeBuffer(Page);
        new JournalRecord(0, 1, JournalRecordKind.Zero, 0, 0, 0).WriteTo(page.Span[JournalBatchHeader.HeaderLengthBytes..]);
        new JournalBatchHeader(journal.Head, epoch, write, journal.Superblock.TailPosition, Page, 1).WriteTo(page.Span, journal.Seed);
        var list = new ScatterList();
        list.Add(page);
        await journal.AppendAsync(list);
    }

    private static async Task<List<long>> RecoverAsync(JournalFile journal)
    {
        var writes = new List<long>();
        await foreach (var (batch, _) in journal.RecoverAsync()) writes.Add(batch.Header.FirstWrite);
        return writes;
    }
}
