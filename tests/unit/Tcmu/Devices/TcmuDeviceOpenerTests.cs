using Gateway.Tcmu.Simulation;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Tcmu.Tests.Devices;

public sealed class TcmuDeviceOpenerTests : IDisposable
{
    private readonly KernelTree _tree = new();
    private readonly RingSimulator _simulator = new(new RingSimulatorOptions());

    [Fact]
    public async Task Open_AllWell_BlocksOpensResetsUnblocks()
    {
        _tree.PutActions();

        using var port = await OpenAsync();

        Assert.Equal(["block_dev=1", "opened", "reset_ring=1", "block_dev=0"], _tree.Writes);
        Assert.True(_simulator.IsOpen);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Open_TaskManagementNotNotified_AsksForIt(bool isNew)
    {
        PutNotification("0").IsNotEnabled = isNew;

        using var port = await OpenAsync();

        Assert.Equal("tmr_notification=1", _tree.Writes[^1]);
    }

    [Fact]
    public async Task Open_TaskManagementNotified_WritesNothing()
    {
        PutNotification("1");

        using var port = await OpenAsync();

        Assert.Equal("block_dev=0", _tree.Writes[^1]);
    }

    [Fact]
    public async Task Open_KernelRefusesToNotify_OpensAllTheSame()
    {
        PutNotification("0").Failures["tmr_notification=1"] = 1;

        using var port = await OpenAsync();

        Assert.True(_simulator.IsOpen);
    }

    [Fact]
    public async Task Open_ResetFailsAtFirst_IsRetried()
    {
        _tree.PutActions().Failures["reset_ring=1"] = TcmuDeviceOpener.ActionAttemptsMax - 1;

        using var port = await OpenAsync();

        Assert.Equal("block_dev=0", _tree.Writes[^1]);
        Assert.Equal(TcmuDeviceOpener.ActionAttemptsMax, _tree.Writes.Count(write => write == "reset_ring=1"));
    }

    [Fact]
    public async Task Open_ResetKeepsFailing_UnblocksClosesAndSaysSo()
    {
        _tree.PutActions().Failures["reset_ring=1"] = int.MaxValue;

        var failure = await Assert.ThrowsAsync<IOException>(OpenAsync);

        Assert.Contains("reset_ring", failure.Message, StringComparison.Ordinal);
        Assert.Equal("block_dev=0", _tree.Writes[^1]);
        Assert.False(_simulator.IsOpen);
    }

    [Fact]
    public async Task Open_DeviceBusy_Unblocks()
    {
        _tree.PutActions();
        using var other = _simulator.OpenPort();

        await Assert.ThrowsAnyAsync<IOException>(OpenAsync);

        Assert.Equal(["block_dev=1", "opened", "block_dev=0"], _tree.Writes);
    }

    [Fact]
    public async Task Open_UnblockFailsAtFirst_IsRetried()
    {
        _tree.PutActions().Failures["block_dev=0"] = 2;

        using var port = await OpenAsync();

        Assert.Equal(3, _tree.Writes.Count(write => write == "block_dev=0"));
    }

    [Fact]
    public async Task Open_UnblockKeepsFailing_ClosesAndSaysSo()
    {
        _tree.PutActions().Failures["block_dev=0"] = int.MaxValue;

        await Assert.ThrowsAsync<IOException>(OpenAsync);

        Assert.False(_simulator.IsOpen);
    }

    [Fact]
    public async Task Open_EnablingWaitsForOurReply_NewRingIsOpenedAsItIs()
    {
        _tree.PutActions().IsNotEnabled = true;

        using var port = await OpenAsync();

        Assert.True(_simulator.IsOpen);
        Assert.DoesNotContain("reset_ring=1", _tree.Writes);
    }

    [Fact]
    public async Task Open_ActionsRefusedButRingInUse_IsRefusedAndClosed()
    {
        _tree.PutActions().IsNotEnabled = true;
        _simulator.Memory.Field(Mailbox.CmdTailOffset) = 128;

        await Assert.ThrowsAsync<IOException>(OpenAsync);

        Assert.False(_simulator.IsOpen);
    }

    [Fact]
    public async Task Open_NoActions_NothingIsTouched()
    {
        var failure = await Assert.ThrowsAsync<IOException>(OpenAsync);

        Assert.Contains("action/block_dev", failure.Message, StringComparison.Ordinal);
        Assert.Empty(_tree.Writes);
    }

    public void Dispose()
    {
        _simulator.Dispose();
        _tree.Dispose();
    }

    private KernelTree PutNotification(string value) => _tree.PutActions().Put($"config/{KernelTree.Disk.ConfigfsPath}/attrib/tmr_notification", value);

    private Task<IRingPort> OpenAsync()
    {
        var time = new StepTime();
        var opener = new TcmuDeviceOpener(_tree, _tree.Configfs, new UioDiscovery(_tree, _tree.Sysfs, _tree.Dev, time), time, NullLogger.Instance);
        return opener.OpenAsync(
            new TcmuBackstore(_tree, _tree.Configfs, KernelTree.Disk),
            () =>
            {
                _tree.Writes.Add("opened");
                return _simulator.OpenPort();
            },
            CancellationToken.None);
    }
}
