using Xunit;

namespace Gateway.Tcmu.Tests.Devices;

public sealed class TcmuDeviceNameTests
{
    [Theory]
    [InlineData("tcm-user/0/disk1/gateway/store/vol", 0u, "disk1", "gateway", "store/vol")]
    [InlineData("tcm-user/12/disk-2/gateway/store/vol\n", 12u, "disk-2", "gateway", "store/vol")]
    [InlineData("tcm-user/1/d/rbd/pool/image;x=1", 1u, "d", "rbd", "pool/image;x=1")]
    [InlineData("tcm-user/1/d/gateway", 1u, "d", "gateway", "")]
    [InlineData("tcm-user/1/d", 1u, "d", "", "")]
    public void Name_OfTcmu_IsParsed(string text, uint hba, string device, string subtype, string path)
    {
        var name = TcmuDeviceName.Parse(text);

        Assert.Equal((hba, device, subtype, path), (name.Hba, name.Device, name.Subtype, name.Path));
        Assert.Equal(subtype == "gateway", name.IsGateway);
        Assert.Equal($"target/core/user_{hba}/{device}", name.ConfigfsPath);
        Assert.Equal(name, TcmuDeviceName.Parse(name.ToString()));
    }

    [Theory]
    [InlineData("")]
    [InlineData("uio_pdrv_genirq")]
    [InlineData("tcm-user")]
    [InlineData("tcm-user/1")]
    [InlineData("tcm-user/1/")]
    [InlineData("tcm-user/x/disk/gateway")]
    [InlineData("tcm-user/-1/disk/gateway")]
    [InlineData("tcm-user/ 1/disk/gateway")]
    [InlineData("tcm-user/4294967296/disk/gateway")]
    [InlineData("tcm-user/1/../gateway")]
    [InlineData("tcm-user/1/./gateway")]
    [InlineData("tcm-userx/1/disk/gateway")]
    public void Name_OfSomethingElse_IsRefused(string text)
    {
        Assert.False(TcmuDeviceName.TryParse(text, out _));
        Assert.Throws<FormatException>(() => TcmuDeviceName.Parse(text));
    }
}
