using System.Globalization;

namespace Gateway.Doctor;

/// <summary>The kernel: its version, the modules of the target, configfs, UIO.</summary>
/// <param name="host">Where to look.</param>
/// <param name="declared">Kinds of targets that are wanted here (iscsi, loopback, vhost): their modules must be there.</param>
internal sealed class KernelChecks(Host host, IReadOnlySet<string> declared) : ICheckFamily
{
    /// <summary>block_dev and reset_ring, which a clean start needs, came with it (drivers/target/target_core_user.c).</summary>
    private static readonly Version Oldest = new(4, 20);

    private static readonly (string Module, string? Kind, string What)[] Modules =
    [
        ("target_core_mod", null, "the SCSI target"), ("uio", null, "rings in shared memory"), ("target_core_user", null, "TCMU, volumes as its devices"),
        ("iscsi_target_mod", "iscsi", "targets over iSCSI"), ("tcm_loop", "loopback", "disks of this host itself"), ("vhost_scsi", "vhost", "disks of virtual machines"),
    ];

    public string Name => "kernel";

    public Task<IReadOnlyList<Finding>> RunAsync(CancellationToken cancellationToken)
    {
        var found = new Findings(Name);
        Version(found);
        var index = ModuleIndex();
        foreach (var (module, kind, what) in Modules) Module(found, index, module, kind, what);
        Configfs(found);
        return Task.FromResult(found.All);
    }

    private void Version(Findings found)
    {
        if (host.KernelRelease is not { } release)
            found.NotLooked("kernel version", $"'{host.Proc("sys/kernel/osrelease")}' cannot be read", "Mount procfs.");
        else if (Parse(release) is not { } version)
            found.NotLooked("kernel version", $"'{release}' is no version", null);
        else if (version < Oldest)
            found.Fault("kernel version", $"{release}", $"Run Linux {Oldest} or newer: older ones cannot hand a device over to a restarted gateway.");
        else found.Ok("kernel version", release);
    }

    private void Module(Findings found, (string Loadable, string BuiltIn)? index, string module, string? kind, string what)
    {
        var check = $"module {module}";
        var isNeeded = kind is null || declared.Contains(kind);
        var isLoadedByUs = kind is not null; // With the first target of its kind.
        if (host.Exists(host.Sys($"module/{module}"))) found.Ok(check, $"loaded ({what})");
        else if (Names(index?.BuiltIn, module)) found.Ok(check, $"built in ({what})");
        else if (index is null && !isNeeded) return; // Nobody misses it, and nobody knows.
        else if (index is null)
            found.NotLooked(check, $"it is not loaded, and '{host.Roots.Modules}/{host.KernelRelease}' is not there to tell whether it can be", $"modprobe {module} (on the host, if this is a container)");
        else if (!Names(index.Value.Loadable, module))
        {
            const string Get = "Run a kernel that has it: Debian's and Ubuntu's normal kernels do, their 'cloud' kernels do not (apt-get install linux-image-amd64, and reboot).";
            if (isNeeded) found.Fault(check, $"this kernel was built without it ({what})", Get);
            else found.Note(check, $"this kernel was built without it ({what}); nothing that is declared needs it", null);
        }
        else if (!isNeeded) found.Ok(check, $"not loaded; loaded when the first target needs it ({what})");
        else if (isLoadedByUs) found.Note(check, $"not loaded, although targets of its kind are declared ({what})", $"The gateway loads it: is it running, and what does 'tcmu-gateway target list' say? By hand: modprobe {module}");
        else found.Fault(check, $"not loaded ({what})", $"modprobe {(module is "uio" or "target_core_mod" ? "target_core_user" : module)}; and for every boot: echo target_core_user > /etc/modules-load.d/tcmu-gateway.conf");
    }

    private static bool Names(string? index, string module) => index?.Contains($"/{module}.ko", StringComparison.Ordinal) == true;

    /// <summary>The modules that this kernel can load, and those that it has built in, by their paths; null if there is no list.</summary>
    private (string Loadable, string BuiltIn)? ModuleIndex()
    {
        if (host.KernelRelease is not { } release) return null;
        var folder = Path.Combine(host.Roots.Modules, release);
        var (loadable, builtIn) = (host.Read(Path.Combine(folder, "modules.dep")), host.Read(Path.Combine(folder, "modules.builtin")));
        return loadable is null && builtIn is null ? null : (loadable ?? "", builtIn ?? "");
    }

    private void Configfs(Findings found)
    {
        var root = host.Roots.Kernel.Configfs;
        if (host.Exists(Path.Combine(root, "target"))) found.Ok("configfs", $"mounted at {root}, with the target in it");
        else if ((host.Read(host.Proc("self/mounts")) ?? "").Split('\n').Any(m => m.Split(' ') is [_, var at, "configfs", ..] && at == root))
            found.Fault("configfs", $"mounted at {root}, without the target in it", "modprobe target_core_mod");
        else found.Fault("configfs", $"not mounted at {root}", $"modprobe configfs; mount -t configfs configfs {root}. In a container, mount the host's.");
    }

    private static Version? Parse(string release)
    {
        var digits = release.TakeWhile(c => char.IsAsciiDigit(c) || c == '.').ToArray();
        var parts = new string(digits).Split('.', StringSplitOptions.RemoveEmptyEntries);
        return parts.Length >= 2 && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var major) && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var minor)
            ? new Version(major, minor) : null;
    }
}
