using Gateway.Backends.Core;
using Gateway.Scsi;
using Gateway.Scsi.Interop;
using Gateway.Serving;
using Gateway.Tcmu;
using Gateway.Tests.Shared;
using Gateway.Volumes;
using Microsoft.Extensions.Logging;
using Xunit;
using static Gateway.Scsi.BlockError;

namespace Gateway.Tests;

/// <summary>What initiators are told once a store has been away for long, or refuses for long, and that it ends with that.</summary>
public sealed class LongOutageTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);
    private static readonly BlockError[] Served = [None, None, None, None, None];
    private static readonly BlockError[] ReadOnly = [None, WriteProtected, WriteProtected, None, WriteProtected];
    private static readonly BlockError[] Failed = [PathUnavailable, PathUnavailable, PathUnavailable, PathUnavailable, PathUnavailable];

    [Fact]
    public async Task Retry_OutageOfADay_ChangesNothing()
    {
        await using var world = new OutageWorld(LongOutagePolicy.Retry);
        await world.BeginAsync();

        world.Time.Advance(TimeSpan.FromDays(1));

        Assert.Equal(Served, await world.AllAsync());
        Assert.Empty(world.Log);
    }

    [Fact]
    public async Task ReadOnly_OutageIsLong_WritesAreRefusedAndReadsAndFlushesGoOn()
    {
        await using var world = new OutageWorld(LongOutagePolicy.ReadOnly);
        await world.BeginAsync();

        world.Time.Advance(OutageWorld.Long - Second);
        Assert.Equal(Served, await world.AllAsync());
        world.Time.Advance(Second);

        Assert.Equal(ReadOnly, await world.AllAsync());
        Assert.Equal((2, 1, 1, 2), (world.Inner.Reads, world.Inner.Writes, world.Inner.Zeroes, world.Inner.Flushes));
    }

    [Fact]
    public async Task Fail_OutageIsLong_EveryMediumCommandIsRefused()
    {
        await using var world = new OutageWorld(LongOutagePolicy.Fail);
        await world.BeginAsync();

        world.Time.Advance(OutageWorld.Long - Second);
        Assert.Equal(Served, await world.AllAsync());
        world.Time.Advance(Second);

        Assert.Equal(Failed, await world.AllAsync());
        Assert.Equal((1, 1, 1, 1), (world.Inner.Reads, world.Inner.Writes, world.Inner.Zeroes, world.Inner.Flushes));
    }

    [Theory]
    [InlineData(BlobErrorKind.AccessDenied)]
    [InlineData(BlobErrorKind.ContainerMissing)]
    public async Task Fail_StoreRefusesForLong_IsAnOutageToo(BlobErrorKind kind)
    {
        await using var world = new OutageWorld(LongOutagePolicy.Fail);
        await world.BeginAsync(kind);

        world.Time.Advance(OutageWorld.Long);

        Assert.Equal(Failed, await world.AllAsync());
    }

    [Theory]
    [InlineData((int)LongOutagePolicy.ReadOnly)]
    [InlineData((int)LongOutagePolicy.Fail)]
    public async Task LongOutage_FirstRequestIsDone_AllIsServedAtOnce(int policy)
    {
        await using var world = new OutageWorld((LongOutagePolicy)policy);
        await world.BeginAsync();
        world.Time.Advance(OutageWorld.Long);
        Assert.Equal(policy == (int)LongOutagePolicy.Fail ? Failed : ReadOnly, await world.AllAsync());

        world.Failure = null;
        await world.AskAsync();

        Assert.Equal(Served, await world.AllAsync());
    }

    [Fact]
    public async Task LongOutage_StoreIsBackAndNobodyElseAsksIt_IsNoticedWithinASecond()
    {
        await using var world = new OutageWorld(LongOutagePolicy.Fail);
        await world.BeginAsync();
        world.Time.Advance(OutageWorld.Long);
        Assert.Equal(PathUnavailable, await world.WriteAsync());

        world.Failure = null;
        world.Time.Advance(Second);

        Assert.Equal(Served, await world.AllAsync());
    }

    [Fact]
    public async Task LongOutage_OneRequestWasDoneBetween_TheDelayBeginsAnew()
    {
        await using var world = new OutageWorld(LongOutagePolicy.ReadOnly);
        await world.BeginAsync();
        world.Time.Advance(OutageWorld.Long - (2 * Second));
        world.Failure = null;
        await world.AskAsync();
        await world.BeginAsync();

        world.Time.Advance(OutageWorld.Long - Second);
        Assert.Equal(Served, await world.AllAsync());
        world.Time.Advance(Second);

        Assert.Equal(ReadOnly, await world.AllAsync());
    }

    [Fact]
    public async Task LongOutage_VolumeHasItsOwnReason_ThatComesFirst()
    {
        await using var world = new OutageWorld(LongOutagePolicy.Fail);
        world.Inner.Readiness = Standby;
        await world.BeginAsync();

        world.Time.Advance(OutageWorld.Long);

        Assert.Equal([Standby, Standby, Standby, Standby, Standby], await world.AllAsync());
    }

    [Theory]
    [InlineData((int)LongOutagePolicy.ReadOnly, 111, "have initiators mount again")]
    [InlineData((int)LongOutagePolicy.Fail, 112, "See that another gateway reaches the store")]
    public async Task Log_BeginAndEnd_AreToldOnceWithoutAnyCommand(int policy, int eventId, string advice)
    {
        await using var world = new OutageWorld((LongOutagePolicy)policy);
        await world.BeginAsync();

        world.Time.Advance(2 * OutageWorld.Long);
        world.Failure = null;
        world.Time.Advance(2 * Second);

        Assert.Equal([(eventId, LogLevel.Error), (113, LogLevel.Warning)], world.Log.Select(l => (l.Id, l.Level)));
        Assert.Contains(advice, world.Log[0].Text, StringComparison.Ordinal);
        Assert.Contains("Unavailable by design of the test.", world.Log[0].Text, StringComparison.Ordinal);
        Assert.Contains("refused for 00:10:0", world.Log[1].Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(BlobErrorKind.AccessDenied)]
    [InlineData(BlobErrorKind.ContainerMissing)]
    public async Task Refused_LongerThanTheGrace_ReadsThatMissNeedAPersonUntilTheStoreTakesRequests(BlobErrorKind kind)
    {
        await using var world = new OutageWorld(LongOutagePolicy.Retry);
        world.Inner.Failure = StoreUnavailable; // What a read that misses ends in.
        await world.BeginAsync(kind);

        world.Time.Advance(TimeSpan.FromSeconds(59));
        Assert.Equal(StoreUnavailable, await world.ReadAsync());
        world.Time.Advance(Second);
        Assert.Equal(Offline, await world.ReadAsync());
        world.Inner.CompleteAsynchronously = true;
        Assert.Equal(Offline, await world.ReadAsync());
        Assert.Equal(StoreUnavailable, await world.WriteAsync());

        world.Failure = null;
        await world.AskAsync();
        Assert.Equal(StoreUnavailable, await world.ReadAsync());
    }

    [Fact]
    public async Task Refused_ReadsThatHitTheCache_AreServed()
    {
        await using var world = new OutageWorld(LongOutagePolicy.Retry);
        await world.BeginAsync(BlobErrorKind.AccessDenied);

        world.Time.Advance(TimeSpan.FromHours(1));

        Assert.Equal(Served, await world.AllAsync());
    }

    [Fact]
    public async Task Away_LongerThanTheGrace_ReadsAreTriedAgain()
    {
        await using var world = new OutageWorld(LongOutagePolicy.Retry);
        world.Inner.Failure = StoreUnavailable;
        await world.BeginAsync(BlobErrorKind.AccessDenied);
        await world.BeginAsync(BlobErrorKind.Unavailable); // An outage from here on: time helps.

        world.Time.Advance(TimeSpan.FromHours(1));

        Assert.Equal(StoreUnavailable, await world.ReadAsync());
    }

    [Fact]
    public async Task Fail_VolumeIsNotOpenYet_CommandsAreRefusedAtOnce()
    {
        await using var world = new OutageWorld(LongOutagePolicy.Fail);
        var name = TcmuDeviceName.Parse("tcm-user/0/dev/gateway/local/v");
        await using var target = new VolumeTarget(
            name, async (_, cancellation) => await new TaskCompletionSource<Volume>().Task.WaitAsync(cancellation), new TcmuBackstore(new KernelFiles(), "/nowhere", name), new VolumeOptions(), world.Time, world,
            new OutageWatch(name, world.Store, new OutageOptions(LongOutagePolicy.Fail, OutageWorld.Long), world.Time, world));
        target.OpenInBackground();
        await world.BeginAsync();
        world.Time.Advance(OutageWorld.Long);
        var command = new ScsiCommand();
        command.Begin(new byte[6]); // TEST UNIT READY.

        var answer = target.ExecuteAsync(command, default);

        Assert.True(answer.IsCompletedSuccessfully);
        Assert.Equal(SenseMapping.ToSense(PathUnavailable), command.Sense);
    }

    [Fact]
    public void Bursts_OfADeviceThatTakesThem_AreForwarded()
    {
        var inner = new BurstDevice();
        var device = new OutageDevice(inner, null!);

        device.BeginBurst();
        device.EndBurst();

        Assert.Equal("begin end ", inner.Seen);
    }

    [Fact]
    public async Task Commands_ServedAtOnce_AllocateNothing()
    {
        await using var world = new OutageWorld(LongOutagePolicy.Fail);
        using var memory = new NativeBuffer(512);
        var data = new ScatterList();
        data.Add(memory);
        for (var i = 0; i < 10_000; i++) Execute();

        var allocated = Allocations.Least(() =>
        {
            for (var i = 0; i < 1_000; i++) Execute();
        });

#if !DEBUG
        Assert.Equal(0, allocated);
#else
        Assert.True(allocated >= 0);
#endif

        void Execute()
        {
            Assert.True(world.Device.ReadAsync(new(0, 1), data, default).Result.IsSuccess);
            Assert.True(world.Device.WriteAsync(new(0, 1), data, false, default).Result.IsSuccess);
            Assert.True(world.Device.FlushAsync(default).Result.IsSuccess);
        }
    }

    private sealed class BurstDevice : IBlockDevice, IBurstTarget
    {
        public string Seen { get; private set; } = "";

        public BlockGeometry Geometry => default;

        public BlockResult Readiness => None;

        public void BeginBurst() => Seen += "begin ";

        public void EndBurst() => Seen += "end ";

        public ValueTask<BlockResult> ReadAsync(BlockRange range, ScatterList destination, CancellationToken cancellationToken) => new(None);

        public ValueTask<BlockResult> WriteAsync(BlockRange range, ScatterList source, bool forceUnitAccess, CancellationToken cancellationToken) => new(None);

        public ValueTask<BlockResult> ZeroAsync(BlockRange range, bool forceUnitAccess, CancellationToken cancellationToken) => new(None);

        public ValueTask<BlockResult> FlushAsync(CancellationToken cancellationToken) => new(None);
    }
}
