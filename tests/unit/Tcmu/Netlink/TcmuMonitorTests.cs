using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Tcmu.Tests.Netlink;

public sealed class TcmuMonitorTests
{
    private const string Ours = "tcm-user/1/disk/gateway/store/vol";
    private const string Others = "tcm-user/1/image/rbd/pool/image";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    [Fact]
    public async Task Start_KernelHasTcmu_JoinsAndAnnouncesReplies()
    {
        var kernel = new SimulatedNetlink();

        await using var monitor = TcmuMonitor.Start(kernel, NullLogger.Instance);

        Assert.Equal(SimulatedNetlink.Group, kernel.JoinedGroup);
        Assert.Equal((7, (byte?)1), (await kernel.NextReplyAsync()) is var sent ? (sent.Command, sent.SupportsReply) : default);
    }

    [Fact]
    public void Start_NoFamily_NamesTheModule()
    {
        var kernel = new SimulatedNetlink { HasFamily = false };

        var failure = Assert.Throws<IOException>(() => TcmuMonitor.Start(kernel, NullLogger.Instance));

        Assert.Contains("modprobe target_core_user", failure.Message, StringComparison.Ordinal);
        Assert.True(kernel.IsDisposed);
    }

    [Fact]
    public void Start_WithoutCapability_SaysSo()
    {
        var failure = Assert.Throws<IOException>(() => TcmuMonitor.Start(new SimulatedNetlink { FeaturesError = -1 }, NullLogger.Instance));

        Assert.Contains("CAP_NET_ADMIN", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Event_DuringTheHandshake_IsNotLost()
    {
        var kernel = new SimulatedNetlink { EventBeforeAck = SimulatedNetlink.Event(TcmuGenlCommand.Added, Ours, 4, 17) };

        await using var monitor = TcmuMonitor.Start(kernel, NullLogger.Instance);

        Assert.IsType<DeviceAdded>(await NextAsync(monitor));
    }

    [Fact]
    public async Task Reply_Given_ReachesTheKernelOnce()
    {
        var kernel = new SimulatedNetlink();
        await using var monitor = TcmuMonitor.Start(kernel, NullLogger.Instance);
        await kernel.NextReplyAsync();
        kernel.Raise(SimulatedNetlink.Event(TcmuGenlCommand.Removed, Ours, 4, 17));
        kernel.Raise(SimulatedNetlink.Event(TcmuGenlCommand.Reconfig, Ours, 4, 18, size: 1 << 30));
        var removed = (DeviceEvent)await NextAsync(monitor);
        var resized = (DeviceEvent)await NextAsync(monitor);

        resized.Reply(-22);
        removed.Reply(0);
        removed.Reply(-5);

        Assert.Equal((6, 18u, -22, null), await kernel.NextReplyAsync());
        Assert.Equal((5, 17u, 0, null), await kernel.NextReplyAsync());
        await monitor.DisposeAsync();
        Assert.Equal((7, 0u, 0, (byte?)0), await kernel.NextReplyAsync()); // Nothing in between.
    }

    [Fact]
    public async Task Event_OfAnotherDaemon_IsNeitherRaisedNorAnswered()
    {
        var kernel = new SimulatedNetlink();
        await using var monitor = TcmuMonitor.Start(kernel, NullLogger.Instance);
        await kernel.NextReplyAsync();

        kernel.Raise(SimulatedNetlink.Event(TcmuGenlCommand.Added, Others, 3, 16));
        kernel.Raise([1, 2, 3]);
        kernel.Raise(SimulatedNetlink.Event(TcmuGenlCommand.Added, Ours, 4, 17));

        var added = Assert.IsType<DeviceAdded>(await NextAsync(monitor));
        Assert.Equal(17u, added.DeviceId);
        added.Reply(0);
        Assert.Equal((4, 17u, 0, null), await kernel.NextReplyAsync());
    }

    [Fact]
    public async Task Overrun_Seen_AsksForARescan()
    {
        var kernel = new SimulatedNetlink();
        await using var monitor = TcmuMonitor.Start(kernel, NullLogger.Instance);

        kernel.RaiseOverrun();

        Assert.IsType<RescanNeeded>(await NextAsync(monitor));
    }

    [Fact]
    public async Task Dispose_EventsUnread_WithdrawsTheAnnouncementAndRefusesThem()
    {
        var kernel = new SimulatedNetlink();
        var monitor = TcmuMonitor.Start(kernel, NullLogger.Instance);
        await kernel.NextReplyAsync();
        kernel.Raise(SimulatedNetlink.Event(TcmuGenlCommand.Added, Ours, 4, 17));
        Assert.True(await monitor.Events.WaitToReadAsync().AsTask().WaitAsync(Patience));

        await monitor.DisposeAsync();

        Assert.Equal((7, 0u, 0, (byte?)0), await kernel.NextReplyAsync());
        Assert.Equal((4, 17u, -108, null), await kernel.NextReplyAsync());
        Assert.True(kernel.IsDisposed);
    }

    [Fact]
    public async Task Events_MoreThanTheBound_AreRefusedAndARescanFollows()
    {
        var kernel = new SimulatedNetlink();
        await using var monitor = TcmuMonitor.Start(kernel, NullLogger.Instance);
        await kernel.NextReplyAsync();
        for (uint id = 0; id <= TcmuMonitor.WaitingEventsMax; id++) kernel.Raise(SimulatedNetlink.Event(TcmuGenlCommand.Added, Ours, 4, id));

        Assert.Equal((4, (uint)TcmuMonitor.WaitingEventsMax, -16, null), await kernel.NextReplyAsync());

        await NextAsync(monitor);
        await NextAsync(monitor);
        kernel.Raise(SimulatedNetlink.Event(TcmuGenlCommand.Added, Ours, 4, 5000));
        for (var i = 2; i < TcmuMonitor.WaitingEventsMax; i++) Assert.IsType<DeviceAdded>(await NextAsync(monitor));
        Assert.IsType<RescanNeeded>(await NextAsync(monitor));
        Assert.IsType<DeviceAdded>(await NextAsync(monitor));
    }

    private static async Task<TcmuEvent> NextAsync(TcmuMonitor monitor) => await monitor.Events.ReadAsync().AsTask().WaitAsync(Patience);
}
