using Xunit;

namespace Gateway.Tcmu.Tests.Devices;

public sealed class UioDiscoveryTests : IDisposable
{
    private readonly KernelTree _tree = new();
    private readonly StepTime _time = new();

    private UioDiscovery Discovery => new(_tree, _tree.Sysfs, _tree.Dev, _time);

    [Fact]
    public void Scan_DevicesOfSeveralKinds_GivesOnlyOurs()
    {
        _tree.PutUio(10, "tcm-user/1/b/gateway/store/b", "0x0000000040800000\n")
            .PutUio(2, "tcm-user/1/a/gateway/store/a")
            .PutUio(3, "tcm-user/1/c/rbd/pool/c")
            .PutUio(4, "uio_pci_generic")
            .PutUio(5, "tcm-user/1/e/gateway/store/e", "nonsense")
            .PutUio(7, "tcm-user/1/g/gateway/store/g", "0x0")
            .Put("sys/class/uio/uio6/event", "0")
            .Put("sys/class/uio/uiox/name", "tcm-user/1/f/gateway/store/f");

        var found = Discovery.Scan();

        Assert.Equal([2u, 10u], found.Select(device => device.Minor));
        Assert.Equal(0x40800000, found[1].MapLengthBytes);
        Assert.Equal("store/a", found[0].Name.Path);
    }

    [Fact]
    public void Scan_NoUioClass_GivesNothing() => Assert.Empty(Discovery.Scan());

    [Fact]
    public async Task Node_ComesLate_IsWaitedFor()
    {
        var device = new UioDevice(3, KernelTree.Disk, 1 << 20);
        _time.OnWait = waited =>
        {
            if (waited >= TimeSpan.FromSeconds(1)) _tree.Put("dev/uio3", "");
        };

        Assert.Equal(Path.Combine(_tree.Dev, "uio3"), await Discovery.WaitForNodeAsync(device, CancellationToken.None));
    }

    [Fact]
    public async Task Node_NeverComes_FailsAfterTheWait()
    {
        var device = new UioDevice(3, KernelTree.Disk, 1 << 20);

        var failure = await Assert.ThrowsAsync<IOException>(() => Discovery.WaitForNodeAsync(device, CancellationToken.None));

        Assert.Contains("uio3", failure.Message, StringComparison.Ordinal);
        Assert.True(_time.GetTimestamp() >= UioDiscovery.NodeWaitMax.Ticks);
    }

    public void Dispose() => _tree.Dispose();
}
