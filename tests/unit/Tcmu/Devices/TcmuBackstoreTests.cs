using Xunit;

namespace Gateway.Tcmu.Tests.Devices;

public sealed class TcmuBackstoreTests : IDisposable
{
    private readonly KernelTree _tree = new();

    private TcmuBackstore Backstore => new(_tree, _tree.Configfs, KernelTree.Disk);

    [Fact]
    public void Attributes_AsTheKernelWritesThem_AreRead()
    {
        Attribute("attrib/hw_block_size", "4096\n").Attribute("attrib/dev_size", "1099511627776\n").Attribute("attrib/cmd_time_out", "30\n")
            .Attribute("attrib/qfull_time_out", "-1\n").Attribute("attrib/max_data_area_mb", "1024\n").Attribute("attrib/hw_max_sectors", "128\n")
            .Attribute("attrib/emulate_write_cache", "1\n").Attribute("attrib/tmr_notification", "0\n")
            .Attribute("wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: 2f3a-11\n");

        var attributes = Backstore.ReadAttributes();

        Assert.Equal(
            new BackstoreAttributes
            {
                BlockLengthBytes = 4096,
                CapacityBytes = 1L << 40,
                CommandTimeout = TimeSpan.FromSeconds(30),
                QueueFullTimeout = TimeSpan.FromSeconds(-1),
                DataAreaMaxBytes = 1 << 30,
                TransferMaxBlocks = 128,
                WriteCache = true,
                TaskManagementNotification = false,
                UnitSerial = "2f3a-11",
            },
            attributes);
    }

    [Fact]
    public void Attributes_MissingOrMalformed_AreNull()
    {
        Attribute("attrib/hw_block_size", "many\n").Attribute("wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: \n").Attribute("attrib/cmd_time_out", "99999999999999999");

        Assert.Equal(new BackstoreAttributes(), Backstore.ReadAttributes());
    }

    [Fact]
    public void Attribute_Written_ReachesItsFile()
    {
        Attribute("attrib/cmd_time_out", "9");

        Backstore.WriteAttribute("cmd_time_out", "0");

        Assert.Equal(TimeSpan.Zero, Backstore.ReadAttributes().CommandTimeout);
    }

    [Fact]
    public void Attribute_NotThere_IsNotCreated()
    {
        Attribute("attrib/cmd_time_out", "9");

        Assert.ThrowsAny<IOException>(() => Backstore.WriteAttribute("no_such_attribute", "0"));
    }

    [Fact]
    public void Module_WaitersReleased_BlocksResetsAndUnblocks()
    {
        _tree.Put("sys/module/target_core_user/parameters/block_netlink", "0").Put("sys/module/target_core_user/parameters/reset_netlink", "0");
        var module = new TcmuModule(_tree, _tree.Sysfs);

        Assert.True(module.CanReleaseNetlinkWaiters);
        module.ReleaseNetlinkWaiters();

        Assert.Equal(["block_netlink=1", "reset_netlink=1", "block_netlink=0"], _tree.Writes);
    }

    [Fact]
    public void Module_ResetFails_NetlinkIsUnblocked()
    {
        _tree.Put("sys/module/target_core_user/parameters/block_netlink", "0").Put("sys/module/target_core_user/parameters/reset_netlink", "0");
        _tree.Failures["reset_netlink=1"] = 1;

        Assert.Throws<IOException>(() => new TcmuModule(_tree, _tree.Sysfs).ReleaseNetlinkWaiters());

        Assert.Equal("block_netlink=0", _tree.Writes[^1]);
    }

    public void Dispose() => _tree.Dispose();

    private TcmuBackstoreTests Attribute(string file, string text)
    {
        _tree.Put($"config/{KernelTree.Disk.ConfigfsPath}/{file}", text);
        return this;
    }
}
