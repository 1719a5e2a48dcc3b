using Gateway.Doctor;
using Gateway.Serving;
using Gateway.Tcmu;

namespace Gateway.Tests.Doctor;

/// <summary>A host of folders: sysfs, configfs, procfs and the rest, as far as a test fills them.</summary>
internal sealed class HostFolder : IDisposable
{
    public string Root { get; } = Directory.CreateTempSubdirectory("tcmu-gateway-doctor-").FullName;

    public Host Host => new(
        new HostRoots
        {
            Kernel = new KernelRoots(Path.Combine(Root, "sys"), Path.Combine(Root, "sys/kernel/config"), Path.Combine(Root, "dev")),
            Proc = Path.Combine(Root, "proc"),
            Etc = Path.Combine(Root, "etc"),
            Modules = Path.Combine(Root, "lib/modules"),
        },
        new KernelFiles());

    public void Dispose() => Directory.Delete(Root, recursive: true);

    /// <summary>Writes a file, with a newline at its end as the kernel does.</summary>
    public HostFolder Put(string path, string text)
    {
        var full = Path.Combine(Root, path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        File.WriteAllText(full, text + "\n");
        return this;
    }

    /// <summary>A kernel with everything loaded that volumes and iSCSI need.</summary>
    public HostFolder PutKernel(string release = "6.1.0-18-amd64")
    {
        Put("proc/sys/kernel/osrelease", release);
        Put($"lib/modules/{release}/modules.dep", "kernel/drivers/target/target_core_mod.ko:\nkernel/drivers/target/target_core_user.ko: kernel/drivers/uio/uio.ko\nkernel/drivers/target/iscsi/iscsi_target_mod.ko:\nkernel/drivers/target/loopback/tcm_loop.ko:\nkernel/drivers/vhost/vhost_scsi.ko:");
        foreach (var module in (string[])["target_core_mod", "target_core_user", "uio"]) Put($"sys/module/{module}/refcnt", "1");
        Directory.CreateDirectory(Path.Combine(Root, "sys/kernel/config/target/core"));
        return this;
    }

    /// <summary>A device of ours, as 'target export' makes it.</summary>
    public HostFolder PutDevice(string volume, params (string Attribute, string Value)[] others)
    {
        var folder = $"sys/kernel/config/target/core/user_770000/{volume.Replace('/', '.')}";
        Put($"{folder}/enable", "1");
        (string, string)[] attributes = [("dev_config", $"gateway/{volume}"), ("cmd_time_out", "0"), ("qfull_time_out", "5"), ("tmr_notification", "1"), ("hw_max_sectors", "8192"), ("hw_block_size", "512"), ("max_data_area_mb", "128"), .. others];
        foreach (var (attribute, value) in attributes) Put($"{folder}/attrib/{attribute}", value);
        return this;
    }

    /// <summary>A disk of ours on this host.</summary>
    public HostFolder PutDisk(string name, string timeout = "30", string? session = null)
    {
        var device = session is null ? $"sys/devices/platform/host1/target1:0:0/1:0:0:0/{name}" : $"sys/devices/platform/host1/{session}/target1:0:0/1:0:0:0/{name}";
        foreach (var (file, text) in ((string, string)[])[("vendor", "LIO-ORG "), ("model", "tcmu-gateway    "), ("timeout", timeout), ("eh_timeout", "10"), ("state", "running")]) Put($"{device}/{file}", text);
        Directory.CreateDirectory(Path.Combine(Root, $"sys/block/{name}"));
        Directory.CreateSymbolicLink(Path.Combine(Root, $"sys/block/{name}/device"), Path.Combine(Root, device));
        return this;
    }
}
