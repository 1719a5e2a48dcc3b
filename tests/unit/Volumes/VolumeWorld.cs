using System.Buffers.Binary;
using System.Collections.Concurrent;
using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Tests.Shared;
using Gateway.Volumes.Journal;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Gateway.Volumes.Tests;

/// <summary>One volume, its store and its journal disk, through any number of openings and crashes.</summary>
internal sealed class VolumeWorld : IAsyncDisposable, ILogger
{
    public const string Name = "vol";
    public const int BlockDefaultBytes = 512;

    private readonly List<Volume> _ghosts = [];
    private readonly ConcurrentQueue<string> _log = new();
    private ProcessBlobStore? _process;

    public MemoryBlobStore Store { get; } = new();

    public SimulatedJournalDirectory Journals { get; private set; } = new();

    public Volume Volume { get; private set; } = null!;

    public Random Random { get; init; } = new(1);

    public double FailureRate { get; init; }

    /// <summary>Logical block length of the volume.</summary>
    public int BlockBytes { get; init; } = BlockDefaultBytes;

    public VolumeCompression Compression { get; init; } = VolumeCompression.Lz4;

    public JournalOptions JournalOptions { get; } = new() { CapacityBytes = 1 << 20 };

    public VolumeOptions Options { get; } = new()
    {
        LeaseLength = TimeSpan.Zero, // These worlds run on the real clock. Leases have their own, on virtual time.
        SegmentBytes = 64 << 10,
        SealAfter = TimeSpan.FromMilliseconds(5),
        CloseTimeout = TimeSpan.FromSeconds(20),
        RetryDelayMin = TimeSpan.FromMilliseconds(1),
        RetryDelayMax = TimeSpan.FromMilliseconds(10),
        CacheBytes = 256 << 10,
        HighWaterPercent = 100, // The journals here are so small that they would be slow all the time.
        CheckpointSegmentsMin = 2,
        CheckpointSegments = 6,
        CheckpointIdle = TimeSpan.FromMilliseconds(20),
        RemoveAfter = TimeSpan.FromMilliseconds(200),
    };

    public async Task CreateAsync(long sizeBytes = 1 << 20)
    {
        await new VolumeCatalog(Store, TimeProvider.System).CreateAsync(Name, new VolumeSpec(sizeBytes, BlockBytes, Compression), default);
    }

    public async Task OpenAsync(IBlobStore? store = null)
    {
        _process = new ProcessBlobStore(store ?? Store, Random, FailureRate);
        var opener = new VolumeOpener(_process, Options, JournalOptions, Journals, "test", TimeProvider.System, Random, this, caches: Journals);
        while (true)
        {
            try
            {
                Volume = await opener.OpenAsync(Name, default);
                return;
            }
            catch (BlobStoreException e) when (e.IsTransient && FailureRate > 0)
            {
                // What an operator's restart loop does.
            }
        }
    }

    public VolumeOpener NewOpener(SimulatedJournalDirectory journals, IBlobStore? store = null) => new(store ?? Store, Options, JournalOptions, journals, "other", TimeProvider.System, Random, this);

    /// <summary>The process dies; its unsent requests with it. The old volume object lives on as a ghost that reaches nothing.</summary>
    public void Kill() => Die(disk => disk.AfterKill());

    /// <summary>The machine loses power: also what the disk had not flushed may be gone.</summary>
    public void CutPower() => Die(disk =>
    {
        lock (Random) return disk.AfterPowerCut(Random);
    });

    public void LoseJournal() => Journals = new SimulatedJournalDirectory();

    public async ValueTask CloseAsync() => await Volume.DisposeAsync();

    public Task<BlockResult> WriteAsync(ulong lba, byte[] data, bool fua = false) => WriteAsync(Volume, lba, data, fua);

    public static async Task<BlockResult> WriteAsync(Volume volume, ulong lba, byte[] data, bool fua = false, CancellationToken cancellationToken = default)
    {
        using var buffer = new NativeBuffer(data.Length);
        data.CopyTo(buffer.Span);
        var list = new ScatterList();
        list.Add(buffer);
        return await volume.WriteAsync(new BlockRange(lba, (uint)(data.Length / volume.Geometry.BlockLengthBytes)), list, fua, cancellationToken);
    }

    public async Task<byte[]> ReadAsync(ulong lba, int blocks)
    {
        while (true)
        {
            var (result, data) = await TryReadAsync(lba, blocks);
            if (FailureRate > 0 && result.Error == BlockError.StoreUnavailable) continue; // What an initiator does.
            if (!result.IsSuccess) Assert.Fail($"{result} for a read of {blocks} blocks at {lba}. The engine's log:\n{string.Join('\n', _log)}");
            return data;
        }
    }

    /// <summary>Reads into memory of 0xEE.</summary>
    public Task<(BlockResult Result, byte[] Data)> TryReadAsync(ulong lba, int blocks, CancellationToken cancellationToken) => TryReadAsync(Volume, lba, blocks, cancellationToken);

    public static async Task<byte[]> ReadAsync(Volume volume, ulong lba, int blocks)
    {
        var (result, data) = await TryReadAsync(volume, lba, blocks);
        Assert.Equal(BlockResult.Success, result);
        return data;
    }

    public Task<(BlockResult Result, byte[] Data)> TryReadAsync(ulong lba, int blocks) => TryReadAsync(Volume, lba, blocks);

    private static async Task<(BlockResult Result, byte[] Data)> TryReadAsync(Volume volume, ulong lba, int blocks, CancellationToken cancellationToken = default)
    {
        using var buffer = new NativeBuffer(blocks * volume.Geometry.BlockLengthBytes);
        buffer.Span.Fill(0xEE);
        var list = new ScatterList();
        list.Add(buffer);
        var result = await volume.ReadAsync(new BlockRange(lba, (uint)blocks), list, cancellationToken);
        return (result, buffer.Span.ToArray());
    }

    /// <summary>A block's worth of data that says which write it came from.</summary>
    public static byte[] Tagged(long tag, int blocks, int blockBytes = BlockDefaultBytes)
    {
        var data = new byte[blocks * blockBytes];
        for (var i = 0; i < data.Length; i += 8) BinaryPrimitives.WriteInt64LittleEndian(data.AsSpan(i), tag);
        return data;
    }

    public async ValueTask DisposeAsync()
    {
        Options.CloseTimeout = TimeSpan.Zero;
        if (Volume is not null) await Volume.DisposeAsync();
        foreach (var ghost in _ghosts) await ghost.DisposeAsync();
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        _log.Enqueue($"{logLevel} {eventId.Name}: {formatter(state, exception)} {exception}");

    private void Die(Func<SimulatedDisk, byte[]> image)
    {
        _process!.Die();
        Journals = Journals.AfterCrash(image);
        _ghosts.Add(Volume);
    }
}
