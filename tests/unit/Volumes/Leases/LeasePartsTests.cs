using Gateway.Backends.Core;
using Gateway.Tests.Shared;
using Gateway.Volumes.Formats;
using Gateway.Volumes.Leases;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Volumes.Tests.Leases;

/// <summary>The small parts that openings and heartbeats are made of.</summary>
public class LeasePartsTests
{
    private static readonly VolumeKeys Keys = new("vol");

    [Fact]
    public void Ledger_FlushAndStore_TurnDirtyAndCleanOnce()
    {
        var turns = 0;
        var ledger = new FlushLedger(0, 0) { Turned = () => turns++ };
        for (var i = 1; i <= 3; i++) ledger.Appended(i * 4096, i);

        ledger.Flushed(4096);
        ledger.Flushed(2 * 4096);
        Assert.Equal((1, new WriterProgress(3, 2, 0)), (turns, ledger.Progress));
        ledger.Stored(4096, 1);
        Assert.Equal((1, new WriterProgress(3, 2, 1)), (turns, ledger.Progress));
        ledger.Stored(3 * 4096, 3);

        Assert.Equal((2, new WriterProgress(3, 3, 3)), (turns, ledger.Progress));
    }

    [Fact]
    public void Ledger_FlushOfWhatIsLongForgotten_SaysRatherTooMuch()
    {
        var ledger = new FlushLedger(0, 0);
        ledger.Appended(4096, 1);
        ledger.Flushed(4096);
        for (var i = 2; i <= 3000; i++) ledger.Appended(i * 4096, i);

        Assert.InRange(ledger.Progress.LastWriteFlushed, 1, 3000 - 1000);
    }

    [Fact]
    public void Watch_NoChange_CountsFromTheFirstSight()
    {
        var time = new StepTime();
        var watch = new HeartbeatWatch(time, TimeSpan.FromSeconds(30));
        for (var i = 0; i < 4; i++)
        {
            watch.Observe(1, "a"u8, time.GetTimestamp());
            time.Pass(TimeSpan.FromSeconds(10));
        }

        Assert.Equal((TimeSpan.FromSeconds(30), false), (watch.SilentFor, watch.SeenAlive));
    }

    [Fact]
    public void Watch_ChangeOrAnotherEpoch_BeginsAnew()
    {
        var time = new StepTime();
        var watch = new HeartbeatWatch(time, TimeSpan.FromSeconds(30));
        watch.Observe(1, "a"u8, time.GetTimestamp());
        time.Pass(TimeSpan.FromSeconds(10));
        watch.Observe(1, "b"u8, time.GetTimestamp());
        Assert.Equal((TimeSpan.Zero, true), (watch.SilentFor, watch.SeenAlive));
        time.Pass(TimeSpan.FromSeconds(10));

        watch.Observe(2, "b"u8, time.GetTimestamp());

        Assert.Equal(TimeSpan.Zero, watch.SilentFor);
    }

    [Fact]
    public void Watch_StoreAwayOrAsleepMeanwhile_BeginsAnew()
    {
        var time = new StepTime();
        var watch = new HeartbeatWatch(time, TimeSpan.FromSeconds(30));
        watch.Observe(1, "a"u8, time.GetTimestamp());
        time.Pass(TimeSpan.FromSeconds(31));

        watch.Observe(1, "a"u8, time.GetTimestamp());

        Assert.Equal(TimeSpan.Zero, watch.SilentFor);
    }

    [Theory]
    [InlineData(150, 150, 50)] // A checkpoint covers all: the newest 100 stay.
    [InlineData(20, 150, 19)]
    [InlineData(150, 80, 0)]
    [InlineData(0, 150, 0)] // No checkpoint.
    public async Task Sweeper_ManyEpochs_LeavesTheNewestAndWhatTheLogNeeds(long covered, int newest, int removed)
    {
        var store = await NewStoreAsync(newest);

        await EpochSweeper.RemoveAsync(store, await EpochSweeper.FindAsync(store, Keys, covered, newest, default), default);

        Assert.Equal(newest - removed, store.Blobs.Keys.Count(k => k.StartsWith(Keys.EpochPrefix, StringComparison.Ordinal)));
        Assert.Equal(newest - removed, store.Blobs.Keys.Count(k => k.StartsWith(Keys.TakeoverPrefix, StringComparison.Ordinal)));
        Assert.DoesNotContain(Keys.Epoch(removed).Value, store.Blobs.Keys);
        Assert.Contains(Keys.Epoch(removed + 1).Value, store.Blobs.Keys);
    }

    [Fact]
    public async Task Sweeper_EndsAnywhere_NoSleepingWriterTakesItselfForTheOwner()
    {
        const int Newest = 150;
        var all = (await EpochSweeper.FindAsync(await NewStoreAsync(Newest), Keys, Newest, Newest, default)).Count;
        for (var removed = 0; removed <= all; removed++)
        {
            var store = await NewStoreAsync(Newest);
            var records = await EpochSweeper.FindAsync(store, Keys, Newest, Newest, default);
            await EpochSweeper.RemoveAsync(store, [.. records.Take(removed)], default);

            for (var epoch = 1; epoch < Newest; epoch++) Assert.True(await EpochLook.IsSupersededAsync(store, Keys, epoch, null, default), $"Epoch {epoch} after {removed} removals.");
            Assert.False(await EpochLook.IsSupersededAsync(store, Keys, Newest, null, default));
        }
    }

    [Fact]
    public async Task Trust_GoodStore_IsTestedOnce()
    {
        var store = new CountingStore(new MemoryBlobStore());
        var trust = new StoreTrust();
        for (var i = 0; i < 3; i++) await trust.CheckAsync(store, new VolumeOptions(), Guid.NewGuid, NullLogger.Instance, default);

        Assert.InRange(store.Puts, 1, 12);
    }

    [Fact]
    public async Task Trust_StoreThatIgnoresConditions_IsRefusedUnlessASingleGatewayIsDeclared()
    {
        var store = new MemoryBlobStore { IgnoresPreconditions = true };
        var trust = new StoreTrust();

        var refusal = await Assert.ThrowsAsync<VolumeException>(() => trust.CheckAsync(store, new VolumeOptions(), Guid.NewGuid, NullLogger.Instance, default));
        Assert.Equal(VolumeErrorKind.Unsupported, refusal.Kind);

        await trust.CheckAsync(store, new VolumeOptions { LeaseLength = TimeSpan.Zero }, Guid.NewGuid, NullLogger.Instance, default);
    }

    [Fact]
    public async Task Trust_StoreThatIsAway_IsTestedAgainLater()
    {
        var inner = new MemoryBlobStore();
        var store = new HookedBlobStore(inner) { BeforePut = _ => throw new BlobStoreException(BlobErrorKind.Unavailable, "Away.") };
        var trust = new StoreTrust();
        Assert.True((await Assert.ThrowsAsync<BlobStoreException>(() => trust.CheckAsync(store, new VolumeOptions(), Guid.NewGuid, NullLogger.Instance, default))).IsTransient);

        store.BeforePut = null;

        await trust.CheckAsync(store, new VolumeOptions(), Guid.NewGuid, NullLogger.Instance, default);
    }

    [Fact]
    public void Records_RoundTrip()
    {
        var id = Guid.NewGuid();
        var heartbeat = new HeartbeatRecord
        {
            Epoch = 3,
            Owner = "o",
            Beat = Guid.NewGuid(),
            At = DateTimeOffset.UnixEpoch,
            JournalId = Guid.NewGuid(),
            LastWrite = 7,
            LastWriteFlushed = 6,
            LastWriteInBucket = 5,
        };
        var release = new ReleaseRecord
        {
            Epoch = 3,
            Owner = "o",
            Nonce = Guid.NewGuid(),
            At = DateTimeOffset.UnixEpoch,
            JournalEpoch = 2,
            JournalOwner = "p",
            JournalId = Guid.NewGuid(),
            LastWriteFlushed = 6,
            LastWriteInBucket = 5,
            Abandoned = true,
        };

        Assert.Equal(heartbeat, LeaseCodec.DecodeHeartbeat(LeaseCodec.Encode(heartbeat, id), "x", id));
        Assert.Equal(release, LeaseCodec.DecodeRelease(LeaseCodec.Encode(release, id), "x", id, 3));
        Assert.Throws<VolumeException>(() => LeaseCodec.DecodeRelease(LeaseCodec.Encode(release, id), "x", id, 4));
        Assert.Throws<VolumeException>(() => LeaseCodec.DecodeRelease(LeaseCodec.Encode(heartbeat, id), "x", id, 3));
        Assert.Throws<VolumeException>(() => LeaseCodec.DecodeHeartbeat(LeaseCodec.Encode(heartbeat, id), "x", Guid.NewGuid()));
        var damaged = LeaseCodec.Encode(heartbeat, id);
        damaged[^3] ^= 1;
        Assert.Null(Heartbeat.TryDecode(damaged, Keys, id));
    }

    private static async Task<MemoryBlobStore> NewStoreAsync(int epochs)
    {
        var store = new MemoryBlobStore();
        for (var epoch = 1; epoch <= epochs; epoch++)
            foreach (var key in (BlobKey[])[Keys.Epoch(epoch), Keys.Takeover(epoch), Keys.Release(epoch)]) await store.PutAsync(key, new byte[1], Precondition.Absent, default);
        return store;
    }

    private sealed class CountingStore(IBlobStore inner) : DelegatingBlobStore(inner)
    {
        public int Puts { get; private set; }

        public override ValueTask PutAsync(BlobKey key, ReadOnlyMemory<byte> content, Precondition precondition, CancellationToken cancellationToken)
        {
            Puts++;
            return base.PutAsync(key, content, precondition, cancellationToken);
        }
    }
}
