using Gateway.Scsi;
using Gateway.Tests.Shared;
using Gateway.Tests.Shared.Stores;
using Gateway.Volumes.Leases;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gateway.Volumes.Tests.Leases;

/// <summary>One gateway in a world of several: its journal disk, its view of the store, and its clock, all of which stop while it is suspended.</summary>
internal sealed class GatewayProcess
{
    public const string VolumeName = "vol";

    private readonly VirtualTime _time;
    private readonly List<OpeningWait> _waits = [];
    private TaskCompletionSource? _suspended;

    public GatewayProcess(string name, VirtualTime time, MemoryBlobStore bucket)
    {
        (Name, _time) = (name, time);
        Clock = new SuspendableTime(this, time);
        Store = new FaultyBlobStore(bucket, 1, time) { BeforeRequest = (_, _, _) => PauseAsync(), AfterEffect = (_, _, _) => PauseAsync() };
    }

    public string Name { get; }

    public FaultyBlobStore Store { get; }

    public TimeProvider Clock { get; }

    public SimulatedJournalDirectory Journals { get; private set; } = new();

    public VolumeOptions Options { get; } = new() { SealAfter = TimeSpan.FromSeconds(1), CacheBytes = 256 << 10 };

    public Volume Volume { get; private set; } = null!;

    /// <summary>What the last opening said while it waited.</summary>
    public IReadOnlyList<OpeningWait> Waits => _waits;

    private bool IsSuspended => _suspended is not null;

    public async Task<Volume> OpenAsync(CancellationToken cancellationToken = default)
    {
        _waits.Clear();
        var opener = new VolumeOpener(Store, Options, new JournalOptions { CapacityBytes = 1 << 20 }, Journals, Name, Clock, new Random(1), NullLogger.Instance) { Waits = _waits.Add };
        return Volume = await opener.OpenAsync(VolumeName, cancellationToken);
    }

    /// <summary>The process is killed, and its machine comes back with what was written to the journal. Its old volume lives on as a ghost.</summary>
    public GatewayProcess AfterKill(MemoryBlobStore bucket)
    {
        Suspend();
        return new GatewayProcess(Name, _time, bucket) { Journals = Journals.AfterCrash(disk => disk.AfterKill()) };
    }

    /// <summary>Nothing of it runs any more: a machine asleep, a virtual machine that is moved.</summary>
    public void Suspend() => _suspended ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

    public void Resume()
    {
        var suspended = _suspended;
        _suspended = null;
        suspended?.SetResult();
    }

    public Task<BlockResult> WriteAsync(long tag, ulong lba = 0, bool fua = false, CancellationToken cancellationToken = default) =>
        VolumeWorld.WriteAsync(Volume, lba, VolumeWorld.Tagged(tag, 8), fua, cancellationToken);

    public async Task<BlockResult> FlushAsync(CancellationToken cancellationToken = default) => await Volume.FlushAsync(cancellationToken);

    public async Task<BlockResult> ReadErrorAsync(ulong lba = 0, CancellationToken cancellationToken = default)
    {
        using var buffer = new Scsi.Interop.NativeBuffer(8 * VolumeWorld.BlockDefaultBytes);
        var list = new ScatterList();
        list.Add(buffer);
        return await Volume.ReadAsync(new BlockRange(lba, 8), list, cancellationToken);
    }

    public Task<byte[]> ReadAsync(ulong lba = 0) => VolumeWorld.ReadAsync(Volume, lba, 8);

    private async ValueTask PauseAsync()
    {
        while (_suspended is { } suspended) await suspended.Task;
    }

    /// <summary>The world's clock, which a suspended process does not see but which goes on: CLOCK_BOOTTIME. Timers fire late.</summary>
    private sealed class SuspendableTime(GatewayProcess process, VirtualTime time) : TimeProvider
    {
        public override long TimestampFrequency => time.TimestampFrequency;

        public override long GetTimestamp() => time.GetTimestamp();

        public override DateTimeOffset GetUtcNow() => time.GetUtcNow();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            time.CreateTimer(s => _ = FireAsync(callback, s), state, dueTime, period);

        private async Task FireAsync(TimerCallback callback, object? state)
        {
            if (process.IsSuspended) await process.PauseAsync();
            callback(state);
        }
    }
}
