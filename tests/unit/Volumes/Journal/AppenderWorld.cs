using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Tests.Shared;
using Gateway.Volumes.Journal;
using Gateway.Volumes.Leases;
using Xunit;

namespace Gateway.Volumes.Tests.Journal;

/// <summary>An appender over a simulated disk, on a clock that the test moves, and what it told its volume.</summary>
internal sealed class AppenderWorld : IJournalSink, IAsyncDisposable
{
    public const int BlockBytes = 4096;
    private const int Page = JournalBatchHeader.PageBytes;

    private readonly List<NativeBuffer> _buffers = [];
    private readonly CompletionGate _completions;

    private AppenderWorld(SimulatedDisk disk, JournalFile journal, VolumeOptions options)
    {
        Disk = disk;
        File = journal;
        _completions = new CompletionGate(new WriterAuthority(new LeaseTerms(TimeSpan.Zero), Time), new FlushLedger(0, 0), options.CommandTimeout, Time);
        Appender = new JournalAppender(journal, this, _completions, 1, 1, journal.Head, BlockBytes, options, Time, new VolumeMeasures());

        // The engine's loops come back to where they were started; the test runner's context would run them at some later time.
        var context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        Appender.Start();
        SynchronizationContext.SetSynchronizationContext(context);
    }

    public ManualTime Time { get; } = new();

    public SimulatedDisk Disk { get; }

    public JournalFile File { get; }

    public JournalAppender Appender { get; }

    /// <summary>Every batch, with its records.</summary>
    public List<(JournalBatch Batch, JournalRecord[] Records)> Batches { get; } = [];

    /// <summary>True once for each call for space: whether it was the first since there was plenty.</summary>
    public List<bool> SpaceCalls { get; } = [];

    public List<long> BucketCalls { get; } = [];

    public static async Task<AppenderWorld> CreateAsync(VolumeOptions options, int ringPages)
    {
        var disk = new SimulatedDisk("journal", new byte[JournalFile.RingOffsetBytes + (ringPages * Page)]);
        return new AppenderWorld(disk, await JournalFile.CreateAsync(disk, Guid.NewGuid(), Guid.NewGuid(), 0), options);
    }

    /// <summary>Writes one block, or more, of a byte.</summary>
    public Task<BlockResult> WriteAsync(byte value = 0xA5, int blocks = 1, bool fua = false, CancellationToken cancellationToken = default)
    {
        var data = new byte[blocks * BlockBytes];
        data.AsSpan().Fill(value);
        return WriteAsync(data, fua, cancellationToken);
    }

    public Task<BlockResult> WriteAsync(byte[] data, bool fua = false, CancellationToken cancellationToken = default)
    {
        var buffer = new NativeBuffer(data.Length);
        _buffers.Add(buffer);
        data.CopyTo(buffer.Span);
        var list = new ScatterList();
        list.Add(buffer);
        return Appender.WriteAsync(new BlockRange(0, (uint)(data.Length / BlockBytes)), list, fua, Time.GetTimestamp(), cancellationToken).AsTask();
    }

    /// <summary>Writes single blocks, each a batch of two pages, until so many pages of the ring are in use; none of them waits.</summary>
    public async Task FillAsync(int pages)
    {
        while (File.Head - Appender.TailPosition < pages * (long)Page) await WriteAsync();
    }

    /// <summary>Writes single blocks until so many pages of the ring were used; what is held back gets all the time that it may take.</summary>
    public async Task FillPastTheMarkAsync(int pages)
    {
        while (File.Head < pages * (long)Page)
        {
            var write = WriteAsync();
            while (!write.IsCompleted && !Time.HasTimer) await Task.Yield(); // The appender may run elsewhere since it was last held up.
            Time.Advance(BackPressure.DelayMax);
            Assert.Equal(BlockResult.Success, await write);
        }
    }

    /// <summary>Completes when the appender holds back a write, or waits for space: from then on time counts for it.</summary>
    public async Task WaitsAsync()
    {
        while (!Time.HasTimer) await Task.Yield();
    }

    /// <summary>Completes when so many batches are written: the appender may run elsewhere since it last answered somebody.</summary>
    public async Task AppendedAsync(int batches)
    {
        while (Batches.Count < batches) await Task.Yield();
    }

    void IJournalSink.Appended(in JournalBatch batch, ReadOnlySpan<byte> page)
    {
        var records = new JournalRecord[batch.Header.RecordCount];
        for (var i = 0; i < records.Length; i++) records[i] = JournalBatchHeader.RecordAt(page, i);
        Batches.Add((batch, records));
    }

    void IJournalSink.SpaceNeeded(bool isFirst) => SpaceCalls.Add(isFirst);

    void IJournalSink.BucketNeeded(long position) => BucketCalls.Add(position);

    void IJournalSink.JournalFailed(Exception failure)
    {
    }

    public async ValueTask DisposeAsync()
    {
        await Appender.DisposeAsync();
        _completions.Dispose();
        foreach (var buffer in _buffers) buffer.Dispose();
        File.Dispose();
    }
}
