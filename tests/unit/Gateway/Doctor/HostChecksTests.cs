using Gateway.Configuration;
using Gateway.Doctor;
using Xunit;

namespace Gateway.Tests.Doctor;

/// <summary>What doctor makes of a kernel, its devices, an initiator, and what a process gets, each from folders.</summary>
public sealed class HostChecksTests : IDisposable
{
    private static readonly TimeSpan CommandTimeout = TimeSpan.FromSeconds(20);
    private readonly HostFolder _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task Kernel_WithAll_IsOk()
    {
        _host.PutKernel();

        Assert.All(await KernelAsync(), f => Assert.Equal(Severity.Ok, f.Severity));
    }

    [Fact]
    public async Task Kernel_ModuleNotLoaded_IsAFaultAndSaysHowToLoadIt()
    {
        _host.PutKernel();
        Directory.Delete(Path.Combine(_host.Root, "sys/module/target_core_user"), recursive: true);

        var fault = Assert.Single(await KernelAsync(), f => f.Severity == Severity.Fault);

        Assert.Equal("module target_core_user", fault.Check);
        Assert.StartsWith("modprobe target_core_user", fault.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Kernel_BuiltWithoutTheModule_NamesKernelsThatHaveIt()
    {
        _host.PutKernel().Put("lib/modules/6.1.0-18-amd64/modules.dep", "kernel/fs/ext4/ext4.ko:");
        Directory.Delete(Path.Combine(_host.Root, "sys/module/target_core_user"), recursive: true);

        var found = await KernelAsync();

        Assert.Contains("'cloud' kernels do not", Assert.Single(found, f => f.Severity == Severity.Fault).Remedy, StringComparison.Ordinal);
        Assert.Equal(Severity.Note, Assert.Single(found, f => f.Check == "module iscsi_target_mod").Severity); // Nothing declared needs it.
        Assert.Equal(Severity.Fault, Assert.Single(await KernelAsync("iscsi"), f => f.Check == "module iscsi_target_mod").Severity);
    }

    [Fact]
    public async Task Kernel_BuiltInModule_IsOk()
    {
        _host.PutKernel().Put("lib/modules/6.1.0-18-amd64/modules.builtin", "kernel/drivers/uio/uio.ko");
        Directory.Delete(Path.Combine(_host.Root, "sys/module/uio"), recursive: true);

        Assert.Equal("built in (rings in shared memory)", Assert.Single(await KernelAsync(), f => f.Check == "module uio").Measured);
    }

    [Fact]
    public async Task Kernel_TooOld_IsAFault()
    {
        _host.PutKernel("4.19.0-26-amd64");

        Assert.Contains(await KernelAsync(), f => f is { Check: "kernel version", Severity: Severity.Fault });
    }

    [Fact]
    public async Task Kernel_OfAHostThatShowsNothing_SaysWhatItCouldNotLookAt()
    {
        var found = await KernelAsync();

        Assert.Contains(found, f => f is { Check: "kernel version", Looked: false });
        Assert.Contains(found, f => f is { Check: "module target_core_user", Looked: false });
        Assert.Contains(found, f => f is { Check: "configfs", Severity: Severity.Fault });
    }

    [Fact]
    public async Task Devices_AsExported_AreOk()
    {
        _host.PutKernel().PutDevice("local/d1");

        var found = Assert.Single(await new DeviceChecks(_host.Host, CommandTimeout).RunAsync(default));

        Assert.Equal((Severity.Ok, "local/d1"), (found.Severity, found.Check));
        Assert.Equal("cmd_time_out 0 s, qfull_time_out 5 s, transfers of up to 4 MiB, data area 128 MiB", found.Measured);
    }

    [Theory]
    [InlineData("cmd_time_out", "10", "commands that wait for the store end after 6 s")]
    [InlineData("qfull_time_out", "-1", "wait for ever")]
    [InlineData("tmr_notification", "0", "abort")]
    [InlineData("hw_max_sectors", "128", "pieces of 64 KiB")]
    [InlineData("max_data_area_mb", "8", "wait for kernel memory")]
    public async Task Devices_AttributeThatMakesThemSlow_IsAWarningWithItsRemedy(string attribute, string value, string says)
    {
        _host.PutKernel().PutDevice("local/d1", (attribute, value));

        var found = Assert.Single(await new DeviceChecks(_host.Host, CommandTimeout).RunAsync(default));

        Assert.Equal((Severity.Warning, $"local/d1 {attribute}"), (found.Severity, found.Check));
        Assert.Contains(says, found.Measured, StringComparison.Ordinal);
        Assert.NotNull(found.Remedy);
    }

    [Fact]
    public async Task Devices_OfOthers_AreNotLookedAt()
    {
        _host.PutKernel().PutDevice("local/d1", ("dev_config", "rbd/pool/image"), ("cmd_time_out", "10"));

        Assert.Equal("the kernel has none of ours", Assert.Single(await new DeviceChecks(_host.Host, CommandTimeout).RunAsync(default)).Measured);
    }

    [Fact]
    public async Task Devices_MoreDataAreaThanTheKernelAllows_IsNoted()
    {
        _host.PutKernel().PutDevice("local/d1", ("max_data_area_mb", "1024")).PutDevice("local/d2", ("max_data_area_mb", "1024")).Put("sys/module/target_core_user/parameters/global_max_data_area_mb", "512");

        Assert.Contains("2048 MiB for 2 devices, 512 MiB at most", Assert.Single(await new DeviceChecks(_host.Host, CommandTimeout).RunAsync(default), f => f.Severity == Severity.Note).Measured, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Initiator_WithoutOurDisks_IsOk()
    {
        _host.Put("sys/block/sda/device/vendor", "ATA").Put("sys/block/sda/device/timeout", "1");

        Assert.Equal(Severity.Ok, Assert.Single(await InitiatorAsync()).Severity);
    }

    [Fact]
    public async Task Initiator_DiskThatGivesUpBeforeTheGatewayAnswers_IsAWarning()
    {
        _host.PutDisk("sda", timeout: "10");

        var found = Assert.Single(await InitiatorAsync());

        Assert.Equal((Severity.Warning, "sda timeout"), (found.Severity, found.Check));
        Assert.StartsWith("echo 30 > /sys/block/sda/device/timeout", found.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Initiator_DiskThatWasGivenUp_IsAFault()
    {
        _host.PutDisk("sda");
        File.WriteAllText(Path.Combine(_host.Root, "sys/block/sda/device/state"), "offline\n");

        Assert.Contains(await InitiatorAsync(), f => f is { Check: "sda state", Severity: Severity.Fault, Measured: "offline" });
    }

    [Fact]
    public async Task Initiator_SessionsPatience_GoesByMultipath()
    {
        _host.PutDisk("sda", session: "session7").Put("sys/class/iscsi_session/session7/recovery_tmo", "120");
        Assert.Contains("recovery 120 s", Assert.Single(await InitiatorAsync()).Measured, StringComparison.Ordinal);

        _host.Put("sys/class/iscsi_session/session7/recovery_tmo", "5");
        Assert.Contains("no multipath", Assert.Single(await InitiatorAsync()).Measured, StringComparison.Ordinal);

        _host.Put("sys/block/sda/holders/dm-0/x", "").Put("sys/block/dm-0/dm/uuid", "mpath-36001405");
        Assert.Equal(Severity.Ok, Assert.Single(await InitiatorAsync()).Severity);

        _host.Put("sys/class/iscsi_session/session7/recovery_tmo", "120");
        Assert.Contains("multipath uses the disk", Assert.Single(await InitiatorAsync()).Measured, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Initiator_IscsidsSettings_AreShown()
    {
        _host.Put("etc/iscsi/iscsid.conf", "# node.session.timeo.replacement_timeout = 1\nnode.session.timeo.replacement_timeout = 60\nnode.conn[0].timeo.noop_out_interval = 10");

        Assert.Equal("for new sessions: replacement_timeout 60 s, noop_out 10 s + 5 s", Assert.Single(await InitiatorAsync(), f => f.Check == "iscsid.conf").Measured);
    }

    [Fact]
    public async Task Process_OnAHealthyHost_IsOk()
    {
        PutProcess(available: 4 << 20, files: 524288);

        Assert.All(await new ProcessChecks(_host.Host, null, null).RunAsync(default), f => Assert.Equal(Severity.Ok, f.Severity));
    }

    [Fact]
    public async Task Process_ShortOfMemoryDescriptorsAndDisk_IsWarnedOf()
    {
        PutProcess(available: 100 << 10, files: 256);
        _host.Put("proc/pressure/io", "some avg10=80.00 avg60=61.50 avg300=10.00 total=1\nfull avg10=1.00 avg60=1.00 avg300=1.00 total=1").Put("proc/42/status", "Name:\tx\nVmSwap:\t    2048 kB").Put("proc/42/limits", "Max open files            256                  256                  files");

        var found = await new ProcessChecks(_host.Host, null, 42).RunAsync(default);

        Assert.Equal(["memory", "swap", "file descriptors", "io pressure"], found.Where(f => f.Severity == Severity.Warning).Select(f => f.Check));
        Assert.Contains("61.5 %", found[^1].Measured, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Process_CachesOfManyVolumesPastTheMemory_AreWarnedOf()
    {
        PutProcess(available: 4 << 20, files: 524288);
        var configuration = new GatewayConfiguration();
        for (var i = 0; i < 200; i++) configuration.Volumes.Each.Add($"local/d{i}", new VolumeSection());

        Assert.Contains("200 volumes may take 18.8 GiB", Assert.Single(await new ProcessChecks(_host.Host, configuration, null).RunAsync(default), f => f.Severity == Severity.Warning).Measured, StringComparison.Ordinal);
    }

    private void PutProcess(long available, int files) => _host
        .Put("proc/meminfo", $"MemTotal:        8388608 kB\nMemAvailable:    {available} kB")
        .Put("proc/self/limits", $"Limit                     Soft Limit           Hard Limit           Units\nMax open files            {files}               {files}               files");

    private Task<IReadOnlyList<Finding>> KernelAsync(params string[] declared) => new KernelChecks(_host.Host, declared.ToHashSet()).RunAsync(default);

    private Task<IReadOnlyList<Finding>> InitiatorAsync() => new InitiatorChecks(_host.Host, CommandTimeout).RunAsync(default);
}
